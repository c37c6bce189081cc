//! Without a framework: `cargo run -p vestiary-tower --example hyper`, then <http://localhost:3000>.

use std::{convert::Infallible, error::Error};

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use vestiary_tower::{Config, MemoryStore, Session, SessionError, SessionLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::new("only for this example, and not for anything else");
    let sessions = SessionLayer::new(&config, MemoryStore::default())?;
    let service = ServiceBuilder::new().layer(sessions).service(service_fn(answer));
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // An error of one visitor's connection concerns no other visitor.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let answered = count(&request).await;
    Ok(answered.map_or_else(
        |error| {
            let mut response = Response::new(Full::from(error.to_string()));
            *response.status_mut() =
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response
        },
        |text| Response::new(Full::from(text)),
    ))
}

async fn count(request: &Request<Incoming>) -> Result<String, SessionError> {
    let Some(session) = Session::<vestiary_tower::Data>::of(request.extensions()) else {
        return Ok("there is no session layer".to_owned());
    };
    let visits: u64 = session.get("visits").await?.unwrap_or(0) + 1;
    session.insert("visits", visits).await?;
    Ok(format!("You were here {visits} times.\n"))
}

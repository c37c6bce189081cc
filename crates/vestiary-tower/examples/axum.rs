//! Log in, count, log out: `cargo run -p vestiary-tower --example axum`, then <http://localhost:3000>.

use std::error::Error;

use axum::{
    Router,
    response::{Html, Redirect},
    routing::{get, post},
};
use tokio::net::TcpListener;
use vestiary_tower::{
    Config, MemoryStore, RequireLogin, Session, SessionError, SessionLayer, UserId,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("SESSION_SECRET")
        .unwrap_or_else(|_| "only for this example, and not for anything else".to_owned());
    let sessions = SessionLayer::new(&Config::new(secret), MemoryStore::default())?;
    let app = Router::new()
        .route("/account", get(account))
        .route("/logout", post(logout))
        .route_layer(RequireLogin::at("/"))
        .route("/", get(home))
        .route("/login", post(login))
        .layer(sessions);
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    axum::serve(TcpListener::bind(("127.0.0.1", port)).await?, app).await?;
    Ok(())
}

async fn home(user: Option<UserId>) -> Html<&'static str> {
    match user {
        Some(_) => Html(r#"<a href="/account">Your account</a>"#),
        None => {
            Html(r#"<form method="post" action="/login"><button>Log in as Ada</button></form>"#)
        }
    }
}

/// Logs in without a password. An application would check one first.
async fn login(session: Session) -> Result<Redirect, SessionError> {
    session.login("ada").await?;
    Ok(Redirect::to("/account"))
}

async fn account(UserId(user): UserId, session: Session) -> Result<Html<String>, SessionError> {
    let visits: u64 = session.get("visits").await?.unwrap_or(0) + 1;
    session.insert("visits", visits).await?;
    let form = r#"<form method="post" action="/logout"><button>Log out</button></form>"#;
    Ok(Html(format!("<h1>Hello {user}</h1><p>You were here {visits} times.</p>{form}")))
}

async fn logout(session: Session) -> Result<Redirect, SessionError> {
    session.destroy().await?;
    Ok(Redirect::to("/"))
}

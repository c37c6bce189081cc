use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::header,
    response::Response,
    routing::future::RouteFuture,
};
use tower_service::Service as _;

use crate::app::{Answer, App, Ask, HEADERS};

/// An application of axum's. A `Router` is always ready.
pub(crate) struct AxumApp(pub(crate) Router);

impl App for AxumApp {
    type Request = Request;
    type Response = Result<Response, Infallible>;
    type Future = RouteFuture<Infallible>;

    fn request(ask: &Ask) -> Request {
        let mut request = Request::get(ask.route.path());
        for (name, value) in HEADERS {
            request = request.header(name, value);
        }
        if let Some(cookie) = &ask.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        request.body(Body::empty()).expect("nothing in it is wrong")
    }

    fn call(&mut self, request: Request) -> RouteFuture<Infallible> {
        self.0.call(request)
    }

    fn succeeded(response: &Result<Response, Infallible>) -> bool {
        response.as_ref().is_ok_and(|response| response.status().is_success())
    }

    async fn answer(response: Result<Response, Infallible>) -> Answer {
        let Ok(response) = response;
        let set_cookies = response.headers().get_all(header::SET_COOKIE);
        let set_cookies =
            set_cookies.iter().filter_map(|it| it.to_str().ok()).map(str::to_owned).collect();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
        Answer { status, set_cookies, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

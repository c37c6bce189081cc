//! A browser's jar with both cookies.

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
};
use tower::ServiceExt as _;

use crate::support::{set_cookies, text};

/// An answer to a browser that registers or refreshes.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) challenge: Option<String>,
    pub(super) cookie: String,
    pub(super) cache: String,
    pub(super) body: String,
}

/// A browser with a session cookie and a bound one. It drops no cookie by itself when the time is over, as a thief would.
#[derive(Clone)]
pub(super) struct Jar {
    pub(super) app: Router,
    pub(super) session: Option<String>,
    pub(super) bound: Option<String>,
}

impl Jar {
    pub(super) fn new(app: &Router) -> Self {
        Self { app: app.clone(), session: None, bound: None }
    }

    pub(super) fn without_bound(&self) -> Self {
        Self { bound: None, ..self.clone() }
    }

    /// The header `Cookie`.
    pub(super) fn header(&self) -> String {
        let cookies = [("sid", &self.session), ("sid.bound", &self.bound)];
        let pairs = cookies.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::COOKIE, self.header());
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        for cookie in set_cookies(&response) {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let value = (!attributes.contains("Max-Age=0")).then(|| value.to_owned());
            if name == "sid" { self.session = value } else { self.bound = value }
        }
        response
    }

    pub(super) async fn post(&mut self, path: &str) -> Answer {
        answer_of(self.send(Method::POST, path, &[]).await).await
    }

    /// The page `/`.
    pub(super) async fn page(&mut self) -> String {
        answer_of(self.send(Method::GET, "/", &[]).await).await.body
    }

    /// Logs in. The challenge, if a binding is offered.
    pub(super) async fn login(&mut self) -> Option<String> {
        let response = self.send(Method::POST, "/login", &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let offer = response.headers().get("secure-session-registration")?.to_str().unwrap();
        Some(offer.rsplit('"').nth(1).unwrap().to_owned())
    }

    pub(super) async fn register(&mut self, proof: &str) -> Answer {
        let headers = [("secure-session-response", proof)];
        answer_of(self.send(Method::POST, "/device-session/register", &headers).await).await
    }

    pub(super) async fn refresh(&mut self, id: &str, proof: &str) -> Answer {
        let headers = [("sec-secure-session-id", id), ("secure-session-response", proof)];
        answer_of(self.send(Method::POST, "/device-session/refresh", &headers).await).await
    }
}

pub(super) async fn answer_of(response: Response<Body>) -> Answer {
    let header =
        |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let challenge = header("secure-session-challenge");
    let cache = header("cache-control").unwrap_or_default();
    let cookie = set_cookies(&response).into_iter().find(|it| it.starts_with("sid.bound="));
    let (status, cookie) = (response.status(), cookie.unwrap_or_default());
    Answer { status, challenge, cookie, cache, body: text(response).await }
}

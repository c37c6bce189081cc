use std::time::Duration;

use axum::{
    Router,
    extract::Query,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use vestiary_tower::{Session, SessionError};

/// A login that this browser has begun.
#[derive(Serialize, Deserialize)]
struct Login {
    state: String,
    verifier: String,
}

/// The form that the provider posts.
#[derive(Deserialize)]
struct Answer {
    code: String,
    state: String,
}

async fn start(session: Session) -> Result<Redirect, SessionError> {
    // Your library for OpenID Connect makes these values, and the address.
    let login = Login { state: "random".into(), verifier: "random, too".into() };
    session.put("login", &login, Duration::from_secs(600)).await?;
    Ok(Redirect::to("https://provider.example/authorize?response_mode=form_post"))
}

/// Keeps what the provider has posted, for a request that has the session.
async fn keep_answer(body: String) -> Response {
    // Form data has only characters that a cookie may have. Browsers drop a cookie of more than 4,096 bytes.
    let is_form =
        body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"&=%+-._*".contains(&byte));
    if !is_form || body.len() > 4_000 {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let attributes = "Path=/login/callback; Max-Age=60; HttpOnly; Secure; SameSite=Lax";
    let cookie = format!("login-answer={body}; {attributes}");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login/callback")).into_response()
}

fn answer(headers: &HeaderMap) -> Option<Answer> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    let form = pairs.find_map(|pair| pair.trim().strip_prefix("login-answer="))?;
    let uri: Uri = format!("/?{form}").parse().ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(answer)| answer)
}

async fn finish(headers: HeaderMap, session: Session) -> Result<Response, SessionError> {
    let Some(answer) = answer(&headers) else {
        return Ok((StatusCode::BAD_REQUEST, "No login was begun.").into_response());
    };
    // Taken, whatever the result: no answer is accepted twice.
    let login: Option<Login> = session.take("login").await?;
    let Some(login) = login.filter(|login| login.state == answer.state) else {
        return Ok((StatusCode::BAD_REQUEST, "This login has expired.").into_response());
    };
    let Some(user) = user_of(&answer.code, &login.verifier) else {
        return Ok((StatusCode::BAD_REQUEST, "This login could not be verified.").into_response());
    };
    session.login(&user).await?;
    Ok(Redirect::to("/").into_response())
}

/// Stands in for the request to the provider, by your library.
fn user_of(code: &str, _verifier: &str) -> Option<String> {
    code.strip_prefix("code-of-").map(str::to_owned)
}

pub fn routes() -> Router {
    Router::new()
        .route("/login", get(start))
        .route("/login/callback", get(finish).post(keep_answer))
}

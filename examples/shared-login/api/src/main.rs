//! The Rust half: pages and an API under `/api`, in the very sessions of the SvelteKit app.
#![forbid(unsafe_code)]

use std::{env, error::Error, time::Duration};

use axum::{
    Form, Json, Router,
    extract::{
        Request,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use vestiary_store::{AnyStore, RedisStore, SqliteStore, redis::Client};
use vestiary_tower::{Config, RequireLogin, Session, SessionError, SessionLayer, UserId};

/// The data of the session: `SessionData` in src/app.d.ts is the same, in TypeScript.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Data {
    by: Option<String>,
    sveltekit: u64,
    axum: u64,
    clicks: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = env::var("SESSION_SECRET")
        .map_err(|_| "SESSION_SECRET is not set: use that of the SvelteKit app")?;
    let url = env::var("SESSION_STORE").unwrap_or_else(|_| "sqlite:sessions.db".to_owned());
    // These must be the same in src/hooks.server.ts: the name, the secret, and the store.
    let config = Config::new(secret).name("session").max_age(Duration::from_secs(24 * 60 * 60));
    let sessions = SessionLayer::new(&config, store(&url).await?)?;

    let app = Router::new()
        .route("/api/count", post(count))
        .route("/api/live", get(live))
        .route_layer(RequireLogin::new())
        .route("/api", get(page))
        .route("/api/login", post(login))
        .route("/api/logout", post(logout))
        .layer(sessions)
        .layer(middleware::from_fn(same_origin));
    let address = env::var("API").unwrap_or_else(|_| "http://127.0.0.1:4000".to_owned());
    let listener = TcpListener::bind(address.trim_start_matches("http://")).await?;
    axum::serve(listener, app).await?;
    Ok(())
}

async fn store(url: &str) -> Result<AnyStore, Box<dyn Error>> {
    // With the feed, the sockets here end soon after SvelteKit has logged the visitor out.
    if url.starts_with("redis") {
        let store = RedisStore::connect(url).await?.with_feed(Client::open(url)?);
        return Ok(AnyStore::new(store));
    }
    let store = SqliteStore::open(url.trim_start_matches("sqlite:")).await?;
    Ok(AnyStore::new(store.with_feed(None)))
}

#[derive(Deserialize)]
struct LoginForm {
    name: String,
}

async fn login(
    session: Session<Data>,
    Form(LoginForm { name }): Form<LoginForm>,
) -> Result<Response, SessionError> {
    let name = name.trim();
    if !(2..=40).contains(&name.chars().count()) {
        let error = "Please enter a name of 2 to 40 letters.";
        return Ok((StatusCode::BAD_REQUEST, front(Some(error))).into_response());
    }
    session.login(name).await?;
    session.write(&Data { by: Some("axum".to_owned()), ..Data::default() }).await?;
    Ok(Redirect::to("/api").into_response())
}

async fn logout(session: Session) -> Result<Redirect, SessionError> {
    session.destroy().await?;
    Ok(Redirect::to("/api"))
}

/// Changes the stored data: the SvelteKit app writes the same number concurrently.
async fn count(session: Session<Data>) -> Result<Json<Data>, SessionError> {
    session
        .update(|data| {
            data.clicks += 1;
            data.axum += 1;
        })
        .await?;
    Ok(Json(session.read().await?))
}

/// A WebSocket that is open for as long as the session lives, whichever half ends it.
async fn live(session: Session, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if !is_own(&headers) {
        return (StatusCode::FORBIDDEN, "this page is of another site").into_response();
    }
    upgrade.on_upgrade(|socket| counting(socket, session))
}

/// Sends the seconds for which the socket is open. It closes when the session ends, or the visitor goes.
async fn counting(mut socket: WebSocket, session: Session) {
    let mut ended = session.ended();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut seconds: u64 = 0;
    loop {
        tokio::select! {
            biased;
            () = &mut ended => break,
            message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
            _ = second.tick() => {
                if socket.send(Message::text(seconds.to_string())).await.is_err() {
                    return;
                }
                seconds += 1;
            }
        }
    }
    // If the visitor is gone, too, there is no page to tell.
    let _ = socket.send(Message::Close(None)).await;
}

async fn page(user: Option<UserId>, session: Session<Data>) -> Result<Markup, SessionError> {
    let Some(UserId(user)) = user else { return Ok(front(None)) };
    let data = session.read().await?;
    let by = data.by.as_deref().unwrap_or_default();
    Ok(document(
        &html! {
            form method="post" action="/api/logout" class="who" {
                span data-testid="user" { (user) }
                button class="quiet" { "Log out" }
            }
        },
        &html! {
            h1 { "Hello " (user) ", says axum" }
            p class="lead" { "Logged in at " b data-testid="by" { (by) } ", and so at both: they share a store." }
            p class="lead" {
                "Log out in another tab, at either service, and this page leaves by itself. "
                span id="live" {}
            }
            dl class="card" {
                dt { "Counted by SvelteKit" } dd data-testid="sveltekit" { (data.sveltekit) }
                dt { "Counted by axum" } dd data-testid="axum" { (data.axum) }
                dt { "Together" } dd data-testid="clicks" { (data.clicks) }
            }
            script { (PreEscaped(LIVE)) }
        },
    ))
}

/// Shows for how long the socket is open, and loads the page again when it closes, unless the visitor leaves it already: that
/// would abort the response to the form.
const LIVE: &str = "
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/api/live');
    socket.onmessage = ({ data }) => {
        document.getElementById('live').textContent = `It has a socket to axum, for ${data} seconds now.`;
        socket.onclose = () => location.reload();
    };
    addEventListener('beforeunload', () => { socket.onmessage = socket.onclose = null; });
";

fn front(error: Option<&str>) -> Markup {
    document(
        &html! {},
        &html! {
            h1 { "One login for two" }
            p class="lead" { "This page comes from a Rust service, the other one from SvelteKit. Enter any name." }
            form class="card" method="post" action="/api/login" {
                div class="row" {
                    input name="name" aria-label="Your name" placeholder="Your name" required;
                    button { "Log in here" }
                }
                @if let Some(error) = error { p class="error" role="alert" { (error) } }
            }
        },
    )
}

fn document(visitor: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "axum · One login for two" }
                link rel="icon" href="/icon.svg";
                link rel="stylesheet" href="/style.css";
            }
            body {
                header {
                    nav aria-label="Main" {
                        a href="/" { "SvelteKit" }
                        a href="/api" aria-current="page" { "axum" }
                    }
                    (visitor)
                }
                main { (content) }
            }
        }
    }
}

/// Forms of other sites may not log a visitor in or out: in the SvelteKit app, SvelteKit refuses them.
async fn same_origin(request: Request, next: Next) -> Response {
    let from = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    if request.method().is_safe() || matches!(from, None | Some(b"same-origin" | b"none")) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "this form is of another site").into_response()
}

/// Whether a socket was opened by a page of this site. A browser sends the cookie with those of other sites, too.
fn is_own(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    origin.map(|(_, at)| at) == host
}

//! The handlers, for more than one version of tower-sessions: the parent module names it `library`.

use axum::{Router, http::StatusCode, routing::get};

use super::library::{
    Expiry, Session, SessionManagerLayer, SessionStore,
    cookie::{Key, SameSite, time::Duration},
    session::Error,
};
use crate::{
    app::{Rolling, Route, Setup},
    payload::{Payload, new_user},
    peers::{COOKIE, LIFE, SECRET, axum_app::AxumApp},
};

pub(crate) fn app(setup: &Setup, store: impl SessionStore + Clone) -> AxumApp {
    let layer = SessionManagerLayer::new(store)
        .with_name(COOKIE)
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(Duration::seconds(LIFE.into())))
        .with_always_save(setup.rolling != Rolling::Off)
        .with_signed(Key::from(SECRET.as_bytes()));
    let payload = setup.payload;
    AxumApp(
        Router::new()
            .route(Route::Untouched.path(), get(async || "untouched"))
            .route(Route::Read.path(), get(read))
            .route(Route::Write.path(), get(write))
            .route(Route::Same.path(), get(same))
            .route(Route::Begin.path(), get(move |session| begin(session, payload)))
            .route(Route::Login.path(), get(login))
            .route(Route::Logout.path(), get(logout))
            .layer(layer),
    )
}

/// A handler's response if the session fails.
struct Failed;

impl From<Error> for Failed {
    fn from(_: Error) -> Self {
        Self
    }
}

impl axum::response::IntoResponse for Failed {
    fn into_response(self) -> axum::response::Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

async fn begin(session: Session, payload: Payload) -> Result<&'static str, Failed> {
    session.insert("count", 1_u64).await?;
    session.insert("cart", payload.cart()).await?;
    Ok("begun")
}

async fn read(session: Session) -> Result<String, Failed> {
    Ok(session.get::<u64>("count").await?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> Result<String, Failed> {
    let count = session.get::<u64>("count").await?.unwrap_or_default() + 1;
    session.insert("count", count).await?;
    Ok(count.to_string())
}

async fn same(session: Session) -> Result<&'static str, Failed> {
    session.insert("count", 1_u64).await?;
    Ok("same")
}

async fn login(session: Session) -> Result<String, Failed> {
    let user = new_user();
    session.cycle_id().await?;
    session.insert("user", &user).await?;
    Ok(user)
}

async fn logout(session: Session) -> Result<&'static str, Failed> {
    session.flush().await?;
    Ok("logged out")
}

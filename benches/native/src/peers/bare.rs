use axum::{Router, routing::get};

use super::axum_app::AxumApp;
use crate::{
    app::{Make, Route, Setup},
    payload::new_user,
};

/// Handlers of the same shape, and no sessions.
pub(crate) struct Bare;

impl Make for Bare {
    type App = AxumApp;

    async fn app(&self, _: &Setup) -> AxumApp {
        AxumApp(
            Router::new()
                .route(Route::Untouched.path(), get(async || "untouched"))
                .route(Route::Read.path(), get(async || 1_u64.to_string()))
                .route(Route::Write.path(), get(async || 2_u64.to_string()))
                .route(Route::Same.path(), get(async || "same"))
                .route(Route::Begin.path(), get(async || "begun"))
                .route(Route::Login.path(), get(async || new_user()))
                .route(Route::Logout.path(), get(async || "logged out")),
        )
    }
}

//! HTTP, as a table of contents.

mod caller;
mod error;
mod oauth;
mod reporting;
mod serve;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};

use crate::app::App;

pub use caller::Peer;
pub(crate) use serve::serve;

/// Bytes of a form or another small request body.
pub const FORM_BYTES_MAX: usize = 1 << 20;

/// Every route.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/api/reporting", any(reporting::report))
        .route("/api/reporting.ns", any(reporting::report))
        .route("/oauth2/token", post(oauth::token))
        .route("/check_health", get(reporting::check_health))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(app)
}

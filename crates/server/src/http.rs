//! HTTP, as a table of contents.

mod caller;
mod command;
mod digest;
mod directory;
mod error;
mod events;
mod file;
mod links;
mod oauth;
mod openapi;
mod permit;
mod recordings;
mod reporting;
mod serve;
mod sessions;
mod sources;
mod tail;
mod team;

use axum::Router;
use axum::routing::{get, post, put};

use crate::app::App;
use crate::pages::assets;
use crate::sources::rustdesk;

pub use caller::Peer;
pub(crate) use caller::{Address, Caller, is_home};
pub(crate) use error::{
    ApiError, TokenGiven, busy, log_chain, no_such_path, not_found, too_many, unauthorized,
};
pub(crate) use events::receive;
pub(crate) use file::{hash, hex};
pub(crate) use permit::{ReportPermit, ReportsAtOnce};
pub use recordings::UPLOADS_MAX;
pub(crate) use recordings::words;
pub(crate) use serve::serve;
pub(crate) use tail::TAILS_MAX;

pub(crate) use events::PARSES_AT_ONCE_MAX;
pub use events::{BATCH_BYTES_MAX, BATCHES_AT_ONCE_MAX, BODY_SECS_MAX, EVENT_BYTES_MAX};

/// Bytes of a form or another small request body.
pub const FORM_BYTES_MAX: usize = 1 << 20;

/// Every route. Each handler that reads a body has a limit of its own, with a name.
pub fn router(app: App) -> Router {
    let sources = rustdesk::routes(&app).unwrap_or_default();
    Router::new()
        .route(
            "/api/reporting",
            get(reporting::report).post(reporting::report),
        )
        .route(
            "/api/reporting.ns",
            get(reporting::report).post(reporting::report),
        )
        .route("/api/command", get(command::command).post(command::command))
        .route(
            "/api/command.ns",
            get(command::command).post(command::command),
        )
        .route("/oauth2/token", post(oauth::token))
        .route("/api/v1/events", post(events::append))
        .route("/api/v1/sessions", get(sessions::list))
        .route("/api/v1/sessions/{lsid}", get(sessions::show))
        .route("/api/v1/sessions/{lsid}/recordings", get(recordings::list))
        .route(
            "/api/v1/sessions/{lsid}/recordings/{kind}/{instance}",
            get(recordings::show).put(recordings::put),
        )
        .route(
            "/api/v1/sessions/{lsid}/recordings/{kind}/{instance}/timing",
            get(recordings::show_timing).put(recordings::put_timing),
        )
        .route("/session_download", get(links::open))
        .route("/api/v1/changes", get(sessions::changes))
        .route("/api/v1/tail", get(tail::tail))
        .route("/api/v1/sources", get(sources::list))
        .route(
            "/api/v1/sources/{source}/dead-letters",
            get(sources::dead_letters),
        )
        .route(
            "/api/v1/directory",
            get(directory::show)
                .put(directory::replace)
                .patch(directory::amend),
        )
        .route("/api/v1/presence", get(directory::presences))
        .route(
            "/api/v1/representatives/{id}/presence",
            put(directory::log_in).delete(directory::log_out),
        )
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/assets/{name}", get(assets::show_asset))
        .route("/check_health", get(reporting::check_health))
        .merge(sources)
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .with_state(app)
}

//! The report `SupportTeam` of `/api/reporting`.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use debrief_report::{
    Fault, Faults, Format, Params, REPORT_LOGINS_MAX, TeamQuery, TeamReport, team_error,
};
use debrief_store::StoreError;
use futures::stream;

use super::caller::Caller;
use super::error::ApiError;
use super::reporting::{note, words};
use crate::app::App;

/// Answers with the report, or with an error in its own root.
pub(super) async fn report(
    app: &App,
    caller: &Caller,
    params: &Params,
    asked: Result<TeamQuery, Faults>,
) -> Response {
    match answer(app, caller, params, asked).await {
        Ok(response) => response,
        Err(error) => {
            note(app, caller, "refused", error.sentence());
            let config = app.config();
            let document = team_error(config.dialect, &config.namespace, error.sentence());
            error.respond_document(document)
        }
    }
}

async fn answer(
    app: &App,
    caller: &Caller,
    params: &Params,
    asked: Result<TeamQuery, Faults>,
) -> Result<Response, ApiError> {
    let query = asked?;
    let logins = app
        .store()
        .logins(query.window, app.now(), REPORT_LOGINS_MAX + 1)
        .await?;
    if REPORT_LOGINS_MAX < logins.len() {
        let message = format!("there are more than {REPORT_LOGINS_MAX} logins in this time");
        let parameter = "duration";
        return Err(Faults(vec![Fault { parameter, message }]).into());
    }
    let directory = Arc::clone(&caller.names.directory);
    let config = app.config();
    let (dialect, namespace) = (config.dialect, config.namespace.clone());
    // Sorting many logins takes its time.
    let report = tokio::task::spawn_blocking(move || {
        TeamReport::begin(dialect, &namespace, &query, directory, logins)
    });
    let report = report
        .await
        .map_err(|_| StoreError::refused("the report was given up"))?;
    note(app, caller, "report", words(params));
    let body = match report.nothing_found(dialect, &config.namespace) {
        Some(document) => Body::from(document),
        None => Body::from_stream(stream::iter(
            report.map(|chunk| Ok::<Bytes, io::Error>(chunk.into())),
        )),
    };
    let media_type = [(CONTENT_TYPE, Format::Xml.media_type())];
    Ok((StatusCode::OK, media_type, body).into_response())
}

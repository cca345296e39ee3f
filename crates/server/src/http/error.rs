//! What goes wrong, by name, in the form the path speaks: the `<error>` of the reporting API.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debrief_report::Faults;
use debrief_store::StoreError;

use crate::app::{App, TooMany};

/// An error of the reporting API.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    sentence: String,
    headers: HeaderMap,
}

impl ApiError {
    fn new(status: StatusCode, sentence: impl Into<String>) -> ApiError {
        ApiError {
            status,
            sentence: sentence.into(),
            headers: HeaderMap::new(),
        }
    }

    fn with(mut self, name: header::HeaderName, value: &str) -> ApiError {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The answer, in the configured dialect.
    pub(crate) fn respond(self, app: &App) -> Response {
        let config = app.config();
        let document = config
            .dialect
            .error_document(&config.namespace, &self.sentence);
        let media_type = [(header::CONTENT_TYPE, "text/xml; charset=utf-8")];
        (self.status, media_type, self.headers, document).into_response()
    }

    /// The answer to a question that wants JSON.
    pub(crate) fn respond_json(self) -> Response {
        let body = serde_json::json!({ "error": self.sentence }).to_string();
        let media_type = [(header::CONTENT_TYPE, "application/json")];
        (self.status, media_type, self.headers, body).into_response()
    }

    /// The sentence, for the log.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }
}

/// No token, or one that is not valid (RFC 6750 §3).
pub(crate) fn unauthorized(is_given: TokenGiven) -> ApiError {
    let (challenge, sentence) = match is_given {
        TokenGiven::No => (
            "Bearer realm=\"debrief\"",
            "A bearer token is required: POST /oauth2/token gives one.",
        ),
        TokenGiven::Yes => (
            "Bearer realm=\"debrief\", error=\"invalid_token\"",
            "The bearer token is not valid, or no longer.",
        ),
    };
    ApiError::new(StatusCode::UNAUTHORIZED, sentence).with(header::WWW_AUTHENTICATE, challenge)
}

/// Whether a request carried a token at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenGiven {
    /// It did.
    Yes,
    /// It did not.
    No,
}

/// A known account that may not do this.
pub(crate) fn forbidden(permission: &str) -> ApiError {
    let sentence = format!("The API account lacks the permission `{permission}`.");
    let challenge = "Bearer realm=\"debrief\", error=\"insufficient_scope\"";
    ApiError::new(StatusCode::FORBIDDEN, sentence).with(header::WWW_AUTHENTICATE, challenge)
}

/// A known account from where it may not come.
pub(crate) fn wrong_network() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "The API account may not be used from this network.",
    )
}

/// A limit was reached.
pub(crate) fn too_many(too_many: &TooMany) -> ApiError {
    let sentence = format!("Too many requests: {}.", too_many.limit);
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, sentence)
        .with(header::RETRY_AFTER, &too_many.retry_secs.to_string())
}

/// A request body beyond its limit.
pub(crate) fn body_too_long(bytes_max: usize) -> ApiError {
    let sentence = format!("The request body is longer than {bytes_max} bytes.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
}

/// A request body that broke off or came too slowly.
pub(crate) fn body_broken() -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "The request body is not whole.")
}

/// Faulty parameters. Clients read the body, not the status: 200, as the vendor answers.
impl From<Faults> for ApiError {
    fn from(faults: Faults) -> ApiError {
        ApiError::new(StatusCode::OK, faults.to_string())
    }
}

/// The archive failed. The body says nothing of how: the log does.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        log_chain(&error);
        match error {
            StoreError::Refused { .. } | StoreError::Unknown { .. } => {
                let sentence = "The archive cannot answer now. Try again.";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
                    .with(header::RETRY_AFTER, "5")
            }
            StoreError::Corrupt { .. } => ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The archive is damaged. The administrator has been told in the log.",
            ),
        }
    }
}

/// Logs an error with all its causes, once.
pub(crate) fn log_chain(error: &dyn std::error::Error) {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        chain.push_str(": ");
        chain.push_str(&source.to_string());
        cause = source.source();
    }
    tracing::error!("{chain}");
}

/// No route has this path.
pub(crate) async fn no_such_path(State(app): State<App>) -> Response {
    ApiError::new(StatusCode::NOT_FOUND, "Document Not Found").respond(&app)
}

/// The path has no such method.
pub(crate) async fn no_such_method(State(app): State<App>) -> Response {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "This path does not know this method.",
    )
    .respond(&app)
}

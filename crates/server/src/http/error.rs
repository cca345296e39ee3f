//! What goes wrong, by name, in the form the path speaks: the `<error>` of the reporting API.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use debrief_report::{Action, CommandHead, Faults, ReportKind};
use debrief_store::StoreError;
use serde_json::{Map, Value, json};

use crate::app::{App, TooMany};

/// An error of the reporting API.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    /// What kind of error, in one word, for programs that read JSON.
    code: &'static str,
    sentence: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The root element around the sentence, where the dialect has one.
    root: &'static str,
    /// Further members of a JSON answer.
    details: Box<Map<String, Value>>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        sentence: impl Into<String>,
    ) -> ApiError {
        ApiError {
            status,
            code,
            sentence: sentence.into(),
            headers: Vec::new(),
            root: ReportKind::SupportSession.root(),
            details: Box::default(),
        }
    }

    /// The same where clients read the body and not the status: what is not there, or cannot be
    /// had, is told with 200.
    pub(crate) fn in_body(mut self) -> ApiError {
        if matches!(self.code, "not_found" | "lost") {
            self.status = StatusCode::OK;
        }
        self
    }

    pub(crate) fn detail(mut self, name: &str, value: impl Into<Value>) -> ApiError {
        self.details.insert(name.into(), value.into());
        self
    }

    /// The same error inside the root that an answer would have had.
    pub(crate) fn inside(self, root: &'static str) -> ApiError {
        ApiError { root, ..self }
    }

    fn with(mut self, name: HeaderName, value: &str) -> ApiError {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The answer, in the configured dialect.
    pub(crate) fn respond(self, app: &App) -> Response {
        let config = app.config();
        let headers = HeaderMap::from_iter(self.headers);
        let document = config
            .dialect
            .error_document(self.root, &config.namespace, &self.sentence);
        let media_type = [(header::CONTENT_TYPE, "text/xml; charset=utf-8")];
        (self.status, media_type, headers, document).into_response()
    }

    /// The answer to a question that wants JSON.
    pub(crate) fn respond_json(self) -> Response {
        let headers = HeaderMap::from_iter(self.headers);
        let mut members = *self.details;
        members.insert("error".into(), self.code.into());
        members.insert("message".into(), self.sentence.into());
        let body = Value::Object(members).to_string();
        let media_type = [(header::CONTENT_TYPE, "application/json")];
        (self.status, media_type, headers, body).into_response()
    }

    /// The answer to a command, in the configured dialect.
    pub(crate) fn respond_command(self, app: &App, action: Option<&Action>) -> Response {
        let config = app.config();
        let head = CommandHead {
            dialect: config.dialect,
            namespace: &config.command_namespace,
        };
        let document = head.error(action, &self.sentence);
        self.respond_document(document)
    }

    /// The answer with this XML document.
    pub(crate) fn respond_document(self, document: Vec<u8>) -> Response {
        let headers = HeaderMap::from_iter(self.headers);
        let media_type = [(header::CONTENT_TYPE, "text/xml; charset=utf-8")];
        (self.status, media_type, headers, document).into_response()
    }

    /// The answer in the form that the path speaks.
    fn respond_to(self, app: &App, uri: &Uri) -> Response {
        if uri.path().starts_with("/api/v1/") || uri.path().starts_with("/oauth2/") {
            return self.respond_json();
        }
        if uri.path().starts_with("/api/command") {
            return self.respond_command(app, None);
        }
        self.respond(app)
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
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_token", sentence)
        .with(header::WWW_AUTHENTICATE, challenge)
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
    ApiError::new(StatusCode::FORBIDDEN, "insufficient_scope", sentence)
        .with(header::WWW_AUTHENTICATE, challenge)
}

/// A known account from where it may not come.
pub(crate) fn wrong_network() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "wrong_network",
        "The API account may not be used from this network.",
    )
}

/// A limit was reached.
pub(crate) fn too_many(too_many: &TooMany) -> ApiError {
    let sentence = format!("Too many requests: {}.", too_many.limit);
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", sentence)
        .with(header::RETRY_AFTER, &too_many.retry_secs.to_string())
}

/// A request body beyond its limit.
pub(crate) fn body_too_long(bytes_max: usize) -> ApiError {
    let sentence = format!("The request body is longer than {bytes_max} bytes.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", sentence)
}

/// A request body that broke off or came too slowly.
pub(crate) fn body_broken() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "broken_body",
        "The request body is not whole.",
    )
}

/// One faulty place of a request body.
pub(crate) struct BodyFault {
    /// The line, or the number of the element, from 1; none where the body is one document.
    pub(crate) line: Option<usize>,
    /// The field.
    pub(crate) field: String,
    /// What kind of fault, in one word.
    pub(crate) code: &'static str,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// A faulty request body, with every fault; `n_more` are not listed.
pub(crate) fn invalid_body(faults: &[BodyFault], n_more: usize) -> ApiError {
    let told = |fault: &BodyFault| {
        let mut told = json!({
            "field": fault.field,
            "code": fault.code,
            "message": fault.message,
        });
        if let Some(line) = fault.line {
            told["line"] = line.into();
        }
        told
    };
    let n_faults = faults.len() + n_more;
    let noun = if n_faults == 1 { "fault" } else { "faults" };
    let sentence = format!("The request has {n_faults} {noun}, and nothing of it was kept.");
    let error = ApiError::new(StatusCode::BAD_REQUEST, "invalid_body", sentence)
        .detail("faults", faults.iter().map(told).collect::<Vec<Value>>());
    if n_more == 0 {
        error
    } else {
        error.detail("more_faults", n_more)
    }
}

/// A limit on a request, by name and value.
pub(crate) fn over_limit(name: &str, value: u64) -> ApiError {
    let sentence = format!("The request is over the limit {name}, which is {value}.");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", sentence)
        .detail("limit", name)
        .detail("value", value)
}

/// More of something at once than the server takes.
pub(crate) fn busy(name: &str, value: usize) -> ApiError {
    let sentence = format!("The server is at its limit {name}, which is {value}. Try again.");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", sentence)
        .with(header::RETRY_AFTER, "1")
        .detail("limit", name)
        .detail("value", value)
}

/// Bytes that are not what their digest says; none of them were kept.
pub(crate) fn wrong_digest(header: &str) -> ApiError {
    let sentence = format!("The bytes are not what `{header}` says; they were not kept.");
    ApiError::new(StatusCode::BAD_REQUEST, "wrong_digest", sentence).detail("field", header)
}

/// Something that stands against what is there.
pub(crate) fn conflict(sentence: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "conflict", sentence)
}

/// A part of the server that cannot do its work now.
pub(crate) fn unavailable(sentence: &str) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", sentence)
        .with(header::RETRY_AFTER, "5")
}

/// A request body that did not arrive in time.
pub(crate) fn too_slow(secs: u64) -> ApiError {
    let sentence = format!("The request body took longer than {secs} seconds.");
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", sentence)
}

/// A coding or media type that is not known here.
pub(crate) fn unsupported(what: &str, expected: &str) -> ApiError {
    let sentence = format!("This {what} is not known; expected {expected}.");
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", sentence)
}

/// There is no such thing, or none that this caller may know of.
pub(crate) fn not_found(noun: &str, id: &str) -> ApiError {
    let sentence = format!("There is no {noun} `{id}`.");
    ApiError::new(StatusCode::NOT_FOUND, "not_found", sentence)
}

/// Faulty parameters, where the status is read.
pub(crate) fn invalid_parameters(faults: Faults) -> ApiError {
    ApiError {
        status: StatusCode::BAD_REQUEST,
        ..ApiError::from(faults)
    }
}

/// One faulty parameter.
pub(crate) fn invalid_parameter(parameter: &'static str, message: &str) -> ApiError {
    let fault = debrief_report::Fault {
        parameter,
        message: message.into(),
    };
    invalid_parameters(Faults(vec![fault]))
}

/// A cursor that is too old to go on from.
fn gone() -> ApiError {
    let sentence = "The cursor is too old. Begin again without one.";
    ApiError::new(StatusCode::GONE, "gone", sentence)
}

/// Faulty parameters of the reporting API. Clients read the body, not the status: 200, as the vendor answers.
impl From<Faults> for ApiError {
    fn from(faults: Faults) -> ApiError {
        let told =
            |f: &debrief_report::Fault| json!({ "field": f.parameter, "message": f.message });
        let list: Vec<Value> = faults.0.iter().map(told).collect();
        ApiError::new(StatusCode::OK, "invalid_parameters", faults.to_string())
            .detail("faults", list)
    }
}

/// A command that cannot be given. Clients read the body, not the status: 200, as the vendor answers.
pub(crate) fn refused_command(sentence: String) -> ApiError {
    ApiError::new(StatusCode::OK, "invalid_parameters", sentence)
}

/// The archive failed. The body says nothing of how: the log does.
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        log_chain(&error);
        match error {
            StoreError::Expired => gone(),
            StoreError::Refused { .. } | StoreError::Unknown { .. } => {
                unavailable("The archive cannot answer now. Try again.")
            }
            StoreError::Corrupt { .. } => ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "damaged",
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
pub(crate) async fn no_such_path(State(app): State<App>, uri: Uri) -> Response {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "Document Not Found").respond_to(&app, &uri)
}

/// The path has no such method.
pub(crate) async fn no_such_method(State(app): State<App>, uri: Uri) -> Response {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path does not know this method.",
    )
    .respond_to(&app, &uri)
}

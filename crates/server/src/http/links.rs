//! `/session_download`: what the links of a report lead to.
//!
//! A link opens without a login: its signature says for which session, what and which account it
//! was made, and until when. It dies with the account. A bearer token opens the same addresses,
//! whatever became of their signature.

use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_domain::{Lsid, Recording, RecordingKind, Reporting};
use debrief_report::{LinkTarget, SignedLink, Transcript, Verdict, transcript};
use debrief_store::{
    AccessEntry, Account, AccountId, Enabled, KeptRecording, ObjectError, Part, RecordingKey,
    StoreError,
};

use super::caller::{Address, Caller};
use super::error::{ApiError, log_chain};
use super::file;
use super::recordings::words;
use crate::app::{App, Names};
use crate::pages::{self, Downloads, Show};
use crate::random;
use crate::recording::media::Media;
use crate::recording::play::{self, Playable};
use crate::render;

/// `GET /session_download`.
pub(crate) async fn open(
    State(app): State<App>,
    address: Address,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::parse(query.as_deref().unwrap_or(""));
    let admitted = if headers.contains_key(AUTHORIZATION) {
        match Caller::find(&app, address, &headers).await {
            Ok(caller) => by_token(&caller, &asked),
            Err(error) => return error.respond(&app),
        }
    } else {
        by_signature(&app, &asked).await
    };
    let refusal = match admitted {
        Ok(admitted) => match show(&app, &admitted, &asked, &headers).await {
            Ok(response) => return response,
            Err(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    match refusal {
        Refusal::Page {
            status,
            title,
            sentence,
        } => pages::respond(status, pages::refusal(title, &sentence)),
        Refusal::Api(error) => error.respond(&app),
    }
}

/// The parameters of an address.
struct Asked {
    /// The query as it came, without `view` and `form`: the address of the file itself.
    file: String,
    link: Option<SignedLink>,
    view: View,
    form: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// A page for people.
    Page,
    /// The thing itself.
    File,
}

impl Asked {
    fn parse(query: &str) -> Asked {
        let mut asked = Asked {
            file: String::new(),
            link: None,
            view: View::File,
            form: None,
        };
        let mut file = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "view" if value == "1" => asked.view = View::Page,
                "view" => {}
                "form" => asked.form = Some(value.into_owned()),
                "lsid" => {
                    asked.link = SignedLink::parse(&value);
                    file.append_pair(&name, &value);
                }
                "dl_action" => {
                    file.append_pair(&name, &value);
                }
                _ => {}
            }
        }
        asked.file = format!("session_download?{}", file.finish());
        asked
    }

    /// The address of the thing itself in another form.
    fn in_form(&self, form: &str) -> String {
        format!("{}&form={form}", self.file)
    }
}

/// Who looks, and at what.
struct Admitted {
    account: Account,
    /// `link` or `token`.
    by: &'static str,
    lsid: Lsid,
    target: LinkTarget,
    instance: u32,
}

/// Why there is nothing to see.
enum Refusal {
    Page {
        status: StatusCode,
        title: &'static str,
        sentence: String,
    },
    Api(ApiError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        log_chain(&error);
        page(
            StatusCode::SERVICE_UNAVAILABLE,
            "Not available now",
            "The archive cannot answer now. Try again in a moment.",
        )
    }
}

fn page(status: StatusCode, title: &'static str, sentence: impl Into<String>) -> Refusal {
    Refusal::Page {
        status,
        title,
        sentence: sentence.into(),
    }
}

const AGAIN: &str = "Ask for the report again to get a new one, or log in: with the bearer token \
                     of an API account this address opens too.";

/// Admits whoever has an address that was signed here, while its account lives.
async fn by_signature(app: &App, asked: &Asked) -> Result<Admitted, Refusal> {
    let altered = || {
        page(
            StatusCode::FORBIDDEN,
            "This link is not valid",
            "It was changed, cut short, or made by another server.",
        )
    };
    let revoked = || {
        page(
            StatusCode::FORBIDDEN,
            "This link was revoked",
            format!("The account it was made for may no longer see what it leads to. {AGAIN}"),
        )
    };
    let link = asked.link.as_ref().ok_or_else(altered)?;
    match app.link_key().judge(link, app.now().secs()) {
        Verdict::Genuine => {}
        Verdict::Altered => return Err(altered()),
        Verdict::Expired => {
            return Err(page(
                StatusCode::GONE,
                "This link has expired",
                format!("Links in reports open for a limited time. {AGAIN}"),
            ));
        }
    }
    let id = link.account.parse().map_err(|_| altered())?;
    let account = app.store().account(AccountId(id)).await?;
    let account = account
        .filter(|account| account.enabled == Enabled::Yes && may_see(account, link.target))
        .ok_or_else(revoked)?;
    admitted(account, "link", link).ok_or_else(altered)
}

/// Admits an account with a valid token to whatever it may see.
fn by_token(caller: &Caller, asked: &Asked) -> Result<Admitted, Refusal> {
    caller.may_report().map_err(Refusal::Api)?;
    let incomplete = || {
        page(
            StatusCode::BAD_REQUEST,
            "This link is not valid",
            "It was changed or cut short.",
        )
    };
    let link = asked.link.as_ref().ok_or_else(incomplete)?;
    if !may_see(&caller.account, link.target) {
        caller.may_see_recordings().map_err(Refusal::Api)?;
    }
    admitted((*caller.account).clone(), "token", link).ok_or_else(incomplete)
}

fn admitted(account: Account, by: &'static str, link: &SignedLink) -> Option<Admitted> {
    Some(Admitted {
        account,
        by,
        lsid: Lsid::parse(&link.lsid).ok()?,
        target: link.target,
        instance: link.instance,
    })
}

fn may_see(account: &Account, target: LinkTarget) -> bool {
    match (account.permissions.reporting, target) {
        (Reporting::ReportsAndRecordings, _) | (Reporting::Reports, LinkTarget::Chat) => true,
        (Reporting::Reports, LinkTarget::Recording(_)) | (Reporting::Deny, _) => false,
    }
}

async fn show(
    app: &App,
    admitted: &Admitted,
    asked: &Asked,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    match admitted.target {
        LinkTarget::Chat => show_chat(app, admitted, asked, headers).await,
        LinkTarget::Recording(kind) => show_recording(app, admitted, kind, asked, headers).await,
    }
}

async fn show_chat(
    app: &App,
    admitted: &Admitted,
    asked: &Asked,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let (version, directory) = app.store().directory().await?;
    let names = Names { version, directory };
    let session = render::session_element(app, &admitted.lsid, &names).await?;
    let session = session.ok_or_else(no_session)?;
    let transcript = transcript(&session);
    note(app, admitted, "transcript", admitted.lsid.as_str());
    let name = format!("{}-chat", admitted.lsid);
    match (asked.view, asked.form.as_deref()) {
        (View::Page, _) => {
            let downloads = Downloads {
                text: asked.in_form("text"),
                json: asked.in_form("json"),
            };
            let page = pages::transcript(&transcript, &downloads);
            Ok(pages::respond(StatusCode::OK, page))
        }
        (View::File, Some("json")) => Ok(attachment(
            "application/json",
            &format!("{name}.json"),
            transcript.to_json(),
        )),
        (View::File, None | Some("text")) => Ok(text(&name, &transcript, headers)),
        (View::File, Some(_)) => Err(page(
            StatusCode::BAD_REQUEST,
            "This link is not valid",
            "A transcript can be downloaded as `form=text` or `form=json`.",
        )),
    }
}

/// A transcript that the client has already is not sent again.
fn text(name: &str, transcript: &Transcript, headers: &HeaderMap) -> Response {
    let text = transcript.to_text();
    let tag = format!("\"{}\"", file::hex(&random::sha256(&text)));
    let mut response = if file::is_known(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        attachment("text/plain; charset=utf-8", &format!("{name}.txt"), text)
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn no_session() -> Refusal {
    page(
        StatusCode::NOT_FOUND,
        "There is no such session",
        "The archive does not have the session that this link leads to.",
    )
}

async fn show_recording(
    app: &App,
    admitted: &Admitted,
    kind: RecordingKind,
    asked: &Asked,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let key = RecordingKey {
        lsid: admitted.lsid.clone(),
        recording: Recording {
            kind,
            instance: admitted.instance,
        },
        part: Part::Main,
    };
    let kept = app.store().recordings(&key.lsid).await?;
    let kept = kept.ok_or_else(no_session)?;
    let of_part = |part| {
        let mut kept = kept.iter().filter(|kept| kept.key.part == part);
        kept.find(|kept| kept.key.recording == key.recording)
    };
    let main = of_part(Part::Main).ok_or_else(|| {
        page(
            StatusCode::NOT_FOUND,
            "This recording is not here",
            "The session was recorded, but nobody has handed the recording in yet.",
        )
    })?;
    let timing = of_part(Part::Timing);
    let words = words(&key);
    // Every look leaves a trace; seeking, and what a page fetches for its player, leaves no more.
    let is_new = app.is_new_look(&admitted.account, &words);
    let is_first = asked.form.is_none() && file::is_first_look(headers);
    if is_new || is_first || asked.view == View::Page {
        note(app, admitted, "recording", &words);
    }
    if asked.view == View::Page {
        let playable = play::playable(app, main).await.map_err(lost)?;
        let page = recording_page(main, playable, asked);
        return Ok(pages::respond(StatusCode::OK, page));
    }
    match asked.form.as_deref() {
        None => file::respond(app, main, headers).await.map_err(lost),
        Some("timing") => {
            let timing = timing.ok_or_else(|| {
                page(
                    StatusCode::NOT_FOUND,
                    "There is no timing",
                    "Nobody has handed in the timing of this typescript.",
                )
            })?;
            file::respond(app, timing, headers).await.map_err(lost)
        }
        Some(form) => {
            let playable = play::playable(app, main).await.map_err(lost)?;
            let answer = match (form, playable) {
                ("cast", Playable::Terminal) => play::cast(app, main, timing).await,
                ("screen", Playable::Screen) => play::screen(app, main).await,
                _ => {
                    return Err(page(
                        StatusCode::BAD_REQUEST,
                        "This link is not valid",
                        "A recording cannot be had in this form.",
                    ));
                }
            };
            answer.map_err(lost)
        }
    }
}

/// The page that plays a recording, or offers it where no browser can.
fn recording_page(main: &KeptRecording, playable: Playable, asked: &Asked) -> pages::Page {
    let recording = main.key.recording;
    let title = match recording.kind {
        RecordingKind::Session => "Session recording".into(),
        RecordingKind::ShowMyScreen => format!("Show My Screen recording {}", recording.instance),
        RecordingKind::CommandShell => format!("Command shell recording {}", recording.instance),
    };
    let show = |source: String| Show {
        title: title.clone(),
        subtitle: format!("Session {}", main.key.lsid),
        source,
        download: asked.file.clone(),
    };
    match playable {
        Playable::Video => pages::video(&show(asked.file.clone())),
        Playable::Terminal => pages::terminal(&show(asked.in_form("cast"))),
        Playable::Screen => pages::screen(&show(asked.in_form("screen"))),
        Playable::No => pages::offer(&title, Media::of(&main.media).name(), &asked.file),
    }
}

fn lost(error: ObjectError) -> Refusal {
    log_chain(&error);
    match error {
        ObjectError::Missing { .. } => page(
            StatusCode::NOT_FOUND,
            "This recording is lost",
            "The archive knows this recording, but its file is missing from the object store.",
        ),
        ObjectError::Failed(_) => page(
            StatusCode::SERVICE_UNAVAILABLE,
            "Not available now",
            "The store of recordings cannot answer now. Try again in a moment.",
        ),
    }
}

fn attachment(media_type: &'static str, name: &str, body: String) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, media_type),
        (CONTENT_DISPOSITION, &disposition),
        (CACHE_CONTROL, "private, no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (
            HeaderName::from_static("content-security-policy"),
            "default-src 'none'; sandbox",
        ),
    ];
    (headers, body).into_response()
}

/// Notes in the access log who looked at what.
fn note(app: &App, admitted: &Admitted, action: &'static str, detail: &str) {
    app.store().log_access(AccessEntry {
        at: app.now(),
        who: admitted.account.name.clone(),
        action: action.into(),
        detail: detail.into(),
        outcome: format!("by {}", admitted.by),
    });
}

//! Pages for people: pure functions that give HTML and the policy it is sent with.
//!
//! What a session holds was typed by strangers. Everything is escaped by the templates, and the
//! policy forbids whatever a page does not need, scripts above all.

pub mod assets;
mod notice;
mod recording;
mod transcript;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

pub use notice::{offer, refusal};
pub use recording::{Show, screen, terminal, video};
pub use transcript::{Downloads, transcript};

/// The policy of a page that only has text and style.
pub const TEXT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The policy of a page with a video.
pub const VIDEO_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The policy of a page with the terminal player, which compiles WebAssembly and fetches the
/// recording.
pub const TERMINAL_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The policy of a page with the player of desktop recordings, which fetches the recording. Its
/// pictures are decoded from bytes and have no address.
pub const SCREEN_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     script-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The whole document.
    pub body: String,
    /// Its Content-Security-Policy.
    pub policy: &'static str,
}

/// The answer with this page. It is for one reader: nothing on the way keeps it, and no other
/// site learns its address, which is the key to it.
pub fn respond(status: StatusCode, page: Page) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, page.policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "private, no-store"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (status, headers, page.body).into_response()
}

/// How much room a page takes.
#[derive(Clone, Copy)]
enum Width {
    /// A column to read.
    Column,
    /// A screen to watch.
    Screen,
}

/// The document around a page's own content; `more` stands in its head.
fn document(title: &str, width: Width, more: &Markup, content: &Markup) -> String {
    let class = match width {
        Width::Column => "frame",
        Width::Screen => "frame wide",
    };
    let icon = assets::address("icon.svg");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " – Debrief" }
                link rel="icon" href=(icon);
                link rel="stylesheet" href=(assets::address("page.css"));
                (more)
            }
            body {
                div class=(class) {
                    p.brand { img src=(icon) alt="" width="20" height="20"; "Debrief" }
                    (content)
                }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests;

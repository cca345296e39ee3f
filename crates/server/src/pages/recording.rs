//! A recording, to watch.

use maud::{Markup, html};

use super::{Page, TERMINAL_POLICY, VIDEO_POLICY, Width, assets, document};

/// What is shown, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Show {
    /// The heading.
    pub title: String,
    /// Under it: the session, or another line.
    pub subtitle: String,
    /// The address of what the page plays.
    pub source: String,
    /// The address of the recording as it was kept.
    pub download: String,
}

/// A page that plays a video with the browser's own controls.
pub fn video(show: &Show) -> Page {
    let screen = html! {
        div.screen {
            video controls preload="metadata" playsinline src=(show.source) {
                "This browser plays no video; the recording can be downloaded."
            }
        }
    };
    Page {
        body: page(show, &html! {}, &screen),
        policy: VIDEO_POLICY,
    }
}

/// A page that plays a terminal's recording, which is an asciicast.
pub fn terminal(show: &Show) -> Page {
    let head = html! {
        link rel="stylesheet" href=(assets::address("asciinema-player.css"));
        script src=(assets::address("asciinema-player.min.js")) defer {}
        script src=(assets::address("terminal.js")) defer {}
    };
    let screen = html! {
        div.screen.terminal id="terminal" data-cast=(show.source) {}
        noscript {
            p { "The player needs JavaScript; without it the recording can be downloaded." }
        }
    };
    Page {
        body: page(show, &head, &screen),
        policy: TERMINAL_POLICY,
    }
}

fn page(show: &Show, head: &Markup, screen: &Markup) -> String {
    let content = html! {
        main {
            h1 { bdi { (show.title) } }
            p.subtitle { bdi { (show.subtitle) } }
            (screen)
            nav.actions aria-label="Downloads" {
                a.button href=(show.download) download { "Download recording" }
            }
        }
    };
    document(&show.title, Width::Screen, head, &content)
}

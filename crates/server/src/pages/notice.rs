//! A page with one thing to say.

use maud::{Markup, html};

use super::{Page, TEXT_POLICY, Width, document};

/// A page that offers a recording of this format for download, because no browser plays it.
pub fn offer(title: &str, format: &str, download: &str) -> Page {
    let sentence = format!("This browser cannot play {format}. The recording can be downloaded.");
    let action = html! {
        nav.actions aria-label="Downloads" {
            a.button.first href=(download) download { "Download recording" }
        }
    };
    notice(title, &sentence, &action)
}

/// A page that says why there is nothing to see.
pub fn refusal(title: &str, sentence: &str) -> Page {
    notice(title, sentence, &html! {})
}

fn notice(title: &str, sentence: &str, action: &Markup) -> Page {
    let content = html! {
        main.notice {
            h1 { bdi { (title) } }
            p dir="auto" { (sentence) }
            (action)
        }
    };
    Page {
        body: document(title, Width::Column, &html! {}, &content),
        policy: TEXT_POLICY,
    }
}

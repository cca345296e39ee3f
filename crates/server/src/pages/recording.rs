//! A recording, to watch.

use maud::{Markup, html};

use super::{Page, SCREEN_POLICY, TERMINAL_POLICY, VIDEO_POLICY, Width, assets, document};

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

/// What a player's button shows: paths of an icon of 24 by 24.
const PLAY: &str = "M8 5v14l11-7z";
const PAUSE: &str = "M6 5h4v14H6zM14 5h4v14h-4z";
const WHOLE_SCREEN: &str = "M4 9V4h5v2H6v3zM15 4h5v5h-2V6h-3zM4 15h2v3h3v2H4zM18 15h2v5h-5v-2h3z";

/// How fast a player plays, in tenths.
const SPEEDS: &[u32] = &[5, 10, 20, 40, 80, 160];

/// A page that plays a desktop's recording, which is a list of what was drawn; the pictures are
/// ranges of the recording itself.
pub fn screen(show: &Show) -> Page {
    let head = html! {
        script src=(assets::address("screen-source.js")) defer {}
        script src=(assets::address("screen.js")) defer {}
    };
    let icon = |class: &str, path: &str| {
        html! { svg class=(class) viewBox="0 0 24 24" aria-hidden="true" { path d=(path) {} } }
    };
    let screen = html! {
        div.screen.player id="player" data-list=(show.source) data-file=(show.download) {
            div.stage {
                div.picture {
                    canvas id="picture" width="800" height="600" role="img"
                        aria-label="The recorded screen" {}
                    div.pointer id="pointer" hidden {}
                }
            }
            div.controls role="group" aria-label="Player" {
                button id="play" type="button" aria-label="Play" disabled {
                    (icon("to-play", PLAY)) (icon("to-pause", PAUSE))
                }
                input id="position" type="range" min="0" max="0" step="1" value="0"
                    aria-label="Position" disabled;
                span.clock { span id="now" { "0:00" } " / " span id="whole" { "0:00" } }
                label { "Speed "
                    select id="speed" {
                        @for tenths in SPEEDS {
                            option value=(tenths) selected[*tenths == 10] {
                                (f64::from(*tenths) / 10.0) "×"
                            }
                        }
                    }
                }
                label { input id="pauses" type="checkbox"; " Skip pauses" }
                button id="full" type="button" aria-label="Full screen" {
                    (icon("", WHOLE_SCREEN))
                }
            }
        }
        p.said id="said" role="status" { "Reading the recording …" }
        noscript {
            p { "The player needs JavaScript; without it the recording can be downloaded." }
        }
        details.hint {
            summary { "What is shown, and keys" }
            "A desktop as MeshCentral recorded it, picture by picture; there is no sound. "
            "The ring is the representative's pointer, where the recording has it. Keys: "
            kbd { "Space" } " plays and pauses, " kbd { "←" } " " kbd { "→" } " five seconds, "
            kbd { "0" } " to " kbd { "9" } " a tenth of the way each, "
            kbd { "<" } " " kbd { ">" } " slower and faster, " kbd { "F" } " full screen."
        }
    };
    Page {
        body: page(show, &head, &screen),
        policy: SCREEN_POLICY,
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

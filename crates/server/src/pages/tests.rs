use debrief_domain::{ActorKind, At};
use debrief_report::{Line, LineKind, Party, Transcript};

use super::*;

const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;";

fn hostile() -> Transcript {
    let party = Party {
        kind: ActorKind::Customer,
        name: HOSTILE.into(),
    };
    let line = |kind| Line {
        at: At::from_secs(1_733_239_565).ok(),
        who: party.clone(),
        to: Some(party.clone()),
        kind,
        event_type: HOSTILE.into(),
        text: HOSTILE.into(),
    };
    Transcript {
        lsid: HOSTILE.into(),
        customers: vec![HOSTILE.into()],
        representatives: vec![HOSTILE.into()],
        public_site: HOSTILE.into(),
        start: At::from_secs(1_733_239_565).ok(),
        end: None,
        lines: vec![line(LineKind::Chat), line(LineKind::Event)],
    }
}

fn every_page() -> Vec<Page> {
    let downloads = Downloads {
        text: HOSTILE.into(),
        json: HOSTILE.into(),
    };
    let show = Show {
        title: HOSTILE.into(),
        subtitle: HOSTILE.into(),
        source: HOSTILE.into(),
        download: HOSTILE.into(),
    };
    vec![
        transcript(&hostile(), &downloads),
        video(&show),
        terminal(&show),
        screen(&show),
        offer(HOSTILE, HOSTILE, HOSTILE),
        refusal(HOSTILE, HOSTILE),
    ]
}

#[test]
fn nothing_hostile_leaves_its_place_on_any_page() {
    for page in every_page() {
        let without_own = page.body.replace("<script src=\"/assets/", "");
        for tag in ["<script", "<img src=x", "\"'>", "&amp;&amp;"] {
            assert!(!without_own.contains(tag), "{tag} in {}", page.body);
        }
        assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!page.body.contains("style="), "{}", page.body);
    }
}

#[test]
fn only_pages_with_a_player_of_ours_may_run_a_script() {
    let policies: Vec<&str> = every_page().iter().map(|page| page.policy).collect();
    let is_allowed = |policy: &&str| policy.contains("script-src");
    let allowed: Vec<bool> = policies.iter().map(is_allowed).collect();
    assert_eq!(allowed, [false, false, true, true, false, false]);
    for policy in policies {
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self'; "));
        assert!(policy.ends_with("base-uri 'none'; form-action 'none'; frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe-inline"), "{policy}");
        assert!(!policy.contains("  "), "{policy}");
    }
}

#[test]
fn a_page_is_for_one_reader() {
    let answer = respond(
        StatusCode::GONE,
        refusal("Expired", "This link has expired."),
    );
    assert_eq!(answer.status(), StatusCode::GONE);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", TEXT_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "private, no-store"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
}

async fn get_asset(address: &str, etag: Option<&str>) -> Response {
    let route = axum::routing::get(assets::show_asset);
    let router = axum::Router::new().route("/assets/{name}", route);
    let mut request = axum::http::Request::get(address);
    if let Some(etag) = etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    let request = request.body(axum::body::Body::empty()).unwrap();
    tower::ServiceExt::oneshot(router, request).await.unwrap()
}

#[tokio::test]
async fn a_file_is_kept_for_ever_under_its_version_and_asked_for_again_without_it() {
    for (name, media_type) in [
        ("page.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("terminal.js", "text/javascript; charset=utf-8"),
        ("screen.js", "text/javascript; charset=utf-8"),
        ("screen-source.js", "text/javascript; charset=utf-8"),
        ("asciinema-player.css", "text/css; charset=utf-8"),
        ("asciinema-player.min.js", "text/javascript; charset=utf-8"),
        ("asciinema-player.LICENSE.txt", "text/plain; charset=utf-8"),
    ] {
        let answer = get_asset(&assets::address(name), None).await;
        assert_eq!(answer.status(), StatusCode::OK, "{name}");
        let headers = answer.headers();
        assert_eq!(headers["content-type"], media_type);
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(
            headers["cache-control"],
            "public, max-age=31536000, immutable"
        );
        let etag = headers["etag"].to_str().unwrap();
        for known in [etag, &format!("\"x\", W/{etag}"), "*"] {
            let again = get_asset(&format!("/assets/{name}"), Some(known)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{name}");
            assert_eq!(again.headers()["cache-control"], "no-cache");
        }
        let other = get_asset(&format!("/assets/{name}?v=0"), Some("\"x\"")).await;
        assert_eq!(other.status(), StatusCode::OK);
        assert_eq!(other.headers()["cache-control"], "no-cache");
    }
}

#[tokio::test]
async fn there_is_no_other_file() {
    for name in [
        "",
        "x",
        "..%2Fpage.css",
        "page.css%00",
        "PAGE.CSS",
        "LICENSE",
    ] {
        let answer = get_asset(&format!("/assets/{name}"), None).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{name}");
    }
}

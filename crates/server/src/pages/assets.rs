//! The files that pages load: they are part of the program.

use std::sync::LazyLock;

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// One file.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    /// The beginning of its SHA-256, in hexadecimal.
    version: String,
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! asset {
    ($name:literal, $path:literal, $media_type:expr) => {{
        let bytes = include_bytes!(concat!("../../assets/", $path));
        Asset::new($name, $media_type, bytes)
    }};
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    vec![
        asset!("page.css", "page.css", CSS),
        asset!("icon.svg", "icon.svg", "image/svg+xml"),
        asset!("terminal.js", "terminal.js", SCRIPT),
        asset!("screen.js", "screen.js", SCRIPT),
        asset!("screen-source.js", "screen-source.js", SCRIPT),
        asset!(
            "asciinema-player.css",
            "vendor/asciinema-player/asciinema-player.css",
            CSS
        ),
        asset!(
            "asciinema-player.min.js",
            "vendor/asciinema-player/asciinema-player.min.js",
            SCRIPT
        ),
        asset!(
            "asciinema-player.LICENSE.txt",
            "vendor/asciinema-player/LICENSE",
            TEXT
        ),
    ]
});

impl Asset {
    fn new(name: &'static str, media_type: &'static str, bytes: &'static [u8]) -> Asset {
        let digest = Sha256::digest(bytes);
        let version = digest[..8].iter().map(|byte| format!("{byte:02x}"));
        Asset {
            name,
            media_type,
            bytes,
            version: version.collect(),
        }
    }
}

fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The address of a file, which changes when its content does.
pub(super) fn address(name: &str) -> String {
    let version = find(name).map_or("", |asset| &asset.version);
    format!("/assets/{name}?v={version}")
}

/// `GET /assets/{name}`: a file by its name. Under its current version it may be kept for ever.
pub async fn show_asset(
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let nosniff = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let Some(asset) = find(&name) else {
        return (StatusCode::NOT_FOUND, [nosniff], "There is no such file.\n").into_response();
    };
    let current = format!("v={}", asset.version);
    let keep = match query == Some(current) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let etag = format!("\"{}\"", asset.version);
    let about: [(HeaderName, &str); 3] = [
        nosniff,
        (header::ETAG, &etag),
        (header::CACHE_CONTROL, keep),
    ];
    if knows(&headers, &etag) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let media_type = [(header::CONTENT_TYPE, asset.media_type)];
    (about, media_type, asset.bytes).into_response()
}

/// Whether the client has it already (RFC 9110 section 13.1.2).
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter();
    let texts = given.filter_map(|value| value.to_str().ok());
    let mut tags = texts.flat_map(|text| text.split(','));
    tags.any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag)
}

//! `Content-Digest` and `Repr-Digest` (RFC 9530), and the older `Digest` (RFC 3230).

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::error::{ApiError, invalid_parameter};

/// What a digest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The bytes of this request.
    Content,
    /// The whole recording.
    Whole,
}

/// The digests that a request gives, and what has been seen of the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Digests(Vec<Expected>);

#[derive(Debug, Clone)]
struct Expected {
    scope: Scope,
    seen: Seen,
    digest: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Seen {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

/// Digests of one request.
const DIGESTS_MAX: usize = 16;

impl Digests {
    /// Reads the headers. Algorithms that are not known are passed over, as the RFC has it.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Digests, ApiError> {
        let mut digests = Vec::new();
        for (name, scope) in [
            ("content-digest", Scope::Content),
            ("repr-digest", Scope::Whole),
            ("digest", Scope::Whole),
        ] {
            let lines = headers.get_all(name).iter();
            let lines = lines.map(|line| line.to_str().unwrap_or("="));
            for item in lines.flat_map(|line| line.split(',')) {
                let expected = one(item.trim(), name == "digest", scope);
                let Ok(expected) = expected else {
                    return Err(invalid_parameter(
                        NAMES[usize::from(scope == Scope::Whole)],
                        "expected a digest such as `sha-256=:BASE64:`",
                    ));
                };
                digests.extend(expected);
            }
        }
        digests.truncate(DIGESTS_MAX);
        Ok(Digests(digests))
    }

    /// Takes bytes in.
    pub(crate) fn absorb(&mut self, scope: Scope, bytes: &[u8]) {
        let digests = self.0.iter_mut().filter(|digest| digest.scope == scope);
        for digest in digests {
            match &mut digest.seen {
                Seen::Sha256(hash) => hash.update(bytes),
                Seen::Sha512(hash) => hash.update(bytes),
            }
        }
    }

    /// Whether the bytes of the request are what it says.
    pub(crate) fn content_matches(&self) -> bool {
        self.matches(Scope::Content)
    }

    /// Whether the whole recording is what the request says.
    pub(crate) fn whole_matches(&self) -> bool {
        self.matches(Scope::Whole)
    }

    fn matches(&self, scope: Scope) -> bool {
        let mut digests = self.0.iter().filter(|digest| digest.scope == scope);
        digests.all(|digest| match digest.seen.clone() {
            Seen::Sha256(hash) => hash.finalize()[..] == digest.digest,
            Seen::Sha512(hash) => hash.finalize()[..] == digest.digest,
        })
    }
}

const NAMES: [&str; 2] = ["Content-Digest", "Repr-Digest"];

/// One member; none when its algorithm is not known.
fn one(item: &str, is_old_form: bool, scope: Scope) -> Result<Option<Expected>, ()> {
    if item.is_empty() {
        return Ok(None);
    }
    let (algorithm, value) = item.split_once('=').ok_or(())?;
    let (seen, n_bytes) = match algorithm.trim().to_ascii_lowercase().as_str() {
        "sha-256" => (Seen::Sha256(Sha256::new()), 32),
        "sha-512" => (Seen::Sha512(Box::new(Sha512::new())), 64),
        _ => return Ok(None),
    };
    let value = if is_old_form {
        value
    } else {
        let inner = value.strip_prefix(':').and_then(|v| v.strip_suffix(':'));
        inner.ok_or(())?
    };
    let digest = STANDARD.decode(value).map_err(|_| ())?;
    if digest.len() != n_bytes {
        return Err(());
    }
    Ok(Some(Expected {
        scope,
        seen,
        digest,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &'static str, value: &str, bytes: &[u8]) -> Option<(bool, bool)> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let mut digests = Digests::parse(&headers).ok()?;
        digests.absorb(Scope::Content, bytes);
        digests.absorb(Scope::Whole, bytes);
        Some((digests.content_matches(), digests.whole_matches()))
    }

    #[test]
    fn every_form_is_compared_with_what_it_is_of() {
        // Of the letters `abc`, FIPS 180-2 appendix B.1.
        let sha256 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        let form = |digest: &str| format!("sha-256=:{digest}:");
        assert_eq!(
            check("content-digest", &form(sha256), b"abc"),
            Some((true, true))
        );
        assert_eq!(
            check("content-digest", &form(sha256), b"abd"),
            Some((false, true))
        );
        assert_eq!(
            check("repr-digest", &form(sha256), b"abd"),
            Some((true, false))
        );
        let old = format!("SHA-256={sha256}");
        assert_eq!(check("digest", &old, b"abc"), Some((true, true)));
        assert_eq!(check("digest", &old, b""), Some((true, false)));
        let unknown = format!("md5=:AAAA:, {}", form(sha256));
        assert_eq!(check("content-digest", &unknown, b"x"), Some((false, true)));
    }

    #[test]
    fn a_digest_that_cannot_be_one_is_refused() {
        for bad in ["sha-256", "sha-256=abc", "sha-256=:abc:", "sha-256=:!!!:"] {
            assert_eq!(check("content-digest", bad, b""), None, "{bad}");
        }
        assert_eq!(check("digest", "sha-512=AAAA", b""), None);
    }
}

//! The links of a report: which ones a session has, and their signed addresses.
//!
//! They depend on who asks and on the clock, so they are the one part of a closed session that is
//! written at every request. Their form follows the vendor's: one parameter `lsid` that carries
//! `l=<session>;h=<signature>;t=sd;m=<what>` and, of our own, instance, account and expiry.

use std::fmt::Write as _;

use debrief_domain::RecordingKind;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkTarget {
    /// The transcript of the chat.
    Chat,
    /// A recording.
    Recording(RecordingKind),
}

impl LinkTarget {
    /// The word in the address.
    pub fn name(self) -> &'static str {
        match self {
            LinkTarget::Chat => "chat",
            LinkTarget::Recording(kind) => kind.name(),
        }
    }

    fn tag(self) -> u8 {
        match self {
            LinkTarget::Chat => 0,
            LinkTarget::Recording(RecordingKind::Session) => 1,
            LinkTarget::Recording(RecordingKind::ShowMyScreen) => 2,
            LinkTarget::Recording(RecordingKind::CommandShell) => 3,
        }
    }

    fn from_tag(tag: u8) -> Option<LinkTarget> {
        let all = [
            LinkTarget::Chat,
            LinkTarget::Recording(RecordingKind::Session),
            LinkTarget::Recording(RecordingKind::ShowMyScreen),
            LinkTarget::Recording(RecordingKind::CommandShell),
        ];
        all.into_iter().find(|target| target.tag() == tag)
    }
}

/// What a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    View,
    Download,
}

/// One piece of the part of a session between `custom_attributes` and `file_transfer_count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes as they are.
    Literal(Vec<u8>),
    /// A signed address.
    Address {
        target: LinkTarget,
        instance: u32,
        action: Action,
    },
    /// An empty `custom_attributes`, shown where custom fields are defined.
    CustomAttributesIfDefined,
    /// The pieces up to the next `Open` are for those who may see recordings.
    Guarded,
    /// The pieces from here on are for everybody.
    Open,
}

/// Whether the asking account may see recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingsView {
    /// It may.
    Allowed,
    /// It may not; their links are left out.
    Denied,
}

/// The secret that signs links.
#[derive(Clone)]
pub struct LinkKey(Hmac<Sha256>);

impl LinkKey {
    /// A key out of random bytes.
    pub fn new(secret: &[u8; 32]) -> LinkKey {
        // A fixed-size key of 32 bytes is always a valid HMAC key.
        LinkKey(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }
}

/// Everything that makes one account's links at one time.
#[derive(Clone)]
pub struct Links {
    /// Scheme, host and port that addresses begin with, without a final slash.
    pub base: String,
    /// The account that asks; its links die with it.
    pub account: String,
    /// UNIX seconds after which the links no longer open; 0 is never.
    pub expires: i64,
    /// Whether links to recordings are shown.
    pub recordings: RecordingsView,
    /// Whether the directory defines custom fields.
    pub defines_custom_fields: DefinesCustomFields,
    /// The key that signs.
    pub key: LinkKey,
}

/// Whether any custom field is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinesCustomFields {
    /// At least one.
    Some,
    /// None.
    None,
}

/// What a signed address turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Signed here and still open.
    Genuine,
    /// Signed here, but its time is over.
    Expired,
    /// Not signed here.
    Altered,
}

impl Links {
    /// Appends the pieces as XML text, with every address signed.
    pub(crate) fn write(&self, lsid: &str, pieces: &[Piece], out: &mut Vec<u8>) {
        let mut shown = true;
        let mut last: Option<(LinkTarget, u32, String)> = None;
        for piece in pieces {
            match piece {
                Piece::Guarded => shown = self.recordings == RecordingsView::Allowed,
                Piece::Open => shown = true,
                _ if !shown => {}
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::CustomAttributesIfDefined => {
                    if self.defines_custom_fields == DefinesCustomFields::Some {
                        out.extend_from_slice(b"<custom_attributes></custom_attributes>");
                    }
                }
                Piece::Address {
                    target,
                    instance,
                    action,
                } => {
                    // View and download share a signature: computed once.
                    let signed = match &last {
                        Some((t, i, signed)) if (t, i) == (target, instance) => signed.clone(),
                        _ => self.signed(lsid, *target, *instance),
                    };
                    out.extend_from_slice(signed.as_bytes());
                    if *action == Action::View {
                        out.extend_from_slice(b"&amp;view=1");
                    }
                    last = Some((*target, *instance, signed));
                }
            }
        }
    }

    /// The address of a download, escaped for XML.
    fn signed(&self, lsid: &str, target: LinkTarget, instance: u32) -> String {
        let word = target.name();
        let mut address = String::with_capacity(self.base.len() + 200);
        address.push_str(&self.base);
        let _ = write!(address, "/session_download?lsid=l%3D{lsid}%3Bh%3D");
        let signature = self.mac(lsid, target, instance).finalize().into_bytes();
        for byte in &signature[..SIGNATURE_BYTES] {
            let _ = write!(address, "{byte:02x}");
        }
        let (account, expires) = (&self.account, self.expires);
        let _ = write!(address, "%3Bt%3Dsd%3Bm%3D{word}%3Bi%3D{instance}");
        let _ = write!(
            address,
            "%3Ba%3D{account}%3Be%3D{expires}&amp;dl_action={word}"
        );
        address
    }

    /// HMAC-SHA256 over session, kind, instance, account and expiry.
    fn mac(&self, lsid: &str, target: LinkTarget, instance: u32) -> Hmac<Sha256> {
        let mut mac = self.key.0.clone();
        mac.update(lsid.as_bytes());
        mac.update(&[0, target.tag()]);
        mac.update(&instance.to_le_bytes());
        mac.update(&self.expires.to_le_bytes());
        mac.update(self.account.as_bytes());
        mac
    }

    /// Judges a signature in hexadecimal, in constant time, as of `now` in UNIX seconds.
    pub fn judge(
        &self,
        lsid: &str,
        target: LinkTarget,
        instance: u32,
        signature: &str,
        now: i64,
    ) -> Verdict {
        let given: Option<Vec<u8>> = (0..signature.len() / 2)
            .map(|idx| signature.get(2 * idx..2 * idx + 2))
            .map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        let genuine = given.is_some_and(|given| {
            given.len() == SIGNATURE_BYTES
                && self
                    .mac(lsid, target, instance)
                    .verify_truncated_left(&given)
                    .is_ok()
        });
        if !genuine {
            return Verdict::Altered;
        }
        if self.expires != 0 && self.expires < now {
            return Verdict::Expired;
        }
        Verdict::Genuine
    }
}

/// Bytes of a signature that are shown: 160 bits, the length of the vendor's.
const SIGNATURE_BYTES: usize = 20;

/// Packs pieces for keeping beside a sealed session.
pub(crate) fn pack(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) => match COMMON.iter().position(|common| *common == &bytes[..]) {
                Some(idx) => out.extend_from_slice(&[TAG_COMMON, idx as u8]),
                None => {
                    out.push(TAG_LITERAL);
                    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    out.extend_from_slice(bytes);
                }
            },
            Piece::Address {
                target,
                instance,
                action,
            } => {
                let tag = if *action == Action::View {
                    TAG_VIEW
                } else {
                    TAG_DOWNLOAD
                };
                out.extend_from_slice(&[tag, target.tag()]);
                out.extend_from_slice(&instance.to_le_bytes());
            }
            Piece::CustomAttributesIfDefined => out.push(TAG_CUSTOM),
            Piece::Guarded => out.push(TAG_GUARDED),
            Piece::Open => out.push(TAG_OPEN),
        }
    }
    out
}

const TAG_LITERAL: u8 = 0;
const TAG_COMMON: u8 = 1;
const TAG_VIEW: u8 = 2;
const TAG_DOWNLOAD: u8 = 3;
const TAG_CUSTOM: u8 = 4;
const TAG_GUARDED: u8 = 5;
const TAG_OPEN: u8 = 6;

/// Literals that most sessions have; their place in the table is on disk, so only append.
const COMMON: &[&[u8]] = &[
    b"<session_chat_view_url>",
    b"</session_chat_view_url>",
    b"<session_chat_download_url>",
    b"</session_chat_download_url>",
    b"<session_recording_view_url>",
    b"</session_recording_view_url>",
    b"<session_recording_download_url>",
    b"</session_recording_download_url>",
    b"<show_my_screen_recordings>",
    b"</show_my_screen_recordings>",
    b"<command_shell_recordings>",
    b"</command_shell_recordings>",
    b"<download_url>",
    b"</download_url>",
    b"<view_url>",
    b"</view_url>",
    b"</show_my_screen_recording>",
    b"</command_shell_recording>",
];

/// Reads what [`pack`] wrote; none when it is damaged.
pub(crate) fn unpack(mut packed: &[u8]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    while let Some((tag, rest)) = packed.split_first() {
        packed = rest;
        let piece = match *tag {
            TAG_LITERAL => {
                let (len, rest) = packed.split_first_chunk::<4>()?;
                let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
                packed = rest;
                Piece::Literal(bytes.to_vec())
            }
            TAG_COMMON => {
                let (idx, rest) = packed.split_first()?;
                packed = rest;
                Piece::Literal(COMMON.get(usize::from(*idx))?.to_vec())
            }
            TAG_VIEW | TAG_DOWNLOAD => {
                let (target, rest) = packed.split_first()?;
                let (instance, rest) = rest.split_first_chunk::<4>()?;
                packed = rest;
                Piece::Address {
                    target: LinkTarget::from_tag(*target)?,
                    instance: u32::from_le_bytes(*instance),
                    action: if *tag == TAG_VIEW {
                        Action::View
                    } else {
                        Action::Download
                    },
                }
            }
            TAG_CUSTOM => Piece::CustomAttributesIfDefined,
            TAG_GUARDED => Piece::Guarded,
            TAG_OPEN => Piece::Open,
            _ => return None,
        };
        pieces.push(piece);
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links {
            base: "https://debrief.example".into(),
            account: "a1".into(),
            expires: 2_000,
            recordings: RecordingsView::Allowed,
            defines_custom_fields: DefinesCustomFields::None,
            key: LinkKey::new(&[7; 32]),
        }
    }

    fn address(action: Action) -> Piece {
        Piece::Address {
            target: LinkTarget::Chat,
            instance: 0,
            action,
        }
    }

    #[test]
    fn an_address_carries_a_signature_that_is_judged_genuine_until_it_expires() {
        let mut out = Vec::new();
        links().write("abc", &[address(Action::View)], &mut out);
        let text = String::from_utf8(out).unwrap();
        let signature = text
            .split("h%3D")
            .nth(1)
            .unwrap()
            .split("%3B")
            .next()
            .unwrap();
        assert_eq!(signature.len(), 40);
        assert!(
            text.ends_with("%3Ba%3Da1%3Be%3D2000&amp;dl_action=chat&amp;view=1"),
            "{text}"
        );
        let judge = |lsid, now| links().judge(lsid, LinkTarget::Chat, 0, signature, now);
        assert_eq!(judge("abc", 2_000), Verdict::Genuine);
        assert_eq!(judge("abc", 2_001), Verdict::Expired);
        assert_eq!(judge("abd", 2_000), Verdict::Altered);
        let short = links().judge("abc", LinkTarget::Chat, 0, &signature[..38], 2_000);
        assert_eq!(short, Verdict::Altered);
        let other_account = Links {
            account: "a2".into(),
            ..links()
        };
        let verdict = other_account.judge("abc", LinkTarget::Chat, 0, signature, 2_000);
        assert_eq!(verdict, Verdict::Altered);
    }

    #[test]
    fn guarded_pieces_are_left_out_for_an_account_without_recordings() {
        let pieces = [
            Piece::Literal(b"a".to_vec()),
            Piece::Guarded,
            Piece::Literal(b"b".to_vec()),
            address(Action::Download),
            Piece::Open,
            Piece::CustomAttributesIfDefined,
            Piece::Literal(b"c".to_vec()),
        ];
        let denied = Links {
            recordings: RecordingsView::Denied,
            ..links()
        };
        let mut out = Vec::new();
        denied.write("abc", &pieces, &mut out);
        assert_eq!(out, b"ac");
    }

    #[test]
    fn packed_pieces_are_unpacked_whole_and_damaged_ones_are_refused() {
        let pieces = vec![
            Piece::Literal(b"<session_chat_view_url>".to_vec()),
            address(Action::View),
            Piece::Literal(b"odd".to_vec()),
            Piece::Guarded,
            address(Action::Download),
            Piece::Open,
            Piece::CustomAttributesIfDefined,
        ];
        let packed = pack(&pieces);
        assert_eq!(unpack(&packed), Some(pieces));
        assert_eq!(unpack(&packed[..packed.len() - 6]), None);
        assert_eq!(unpack(&[99]), None);
    }
}

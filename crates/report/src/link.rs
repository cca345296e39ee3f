//! The links of a report: which ones a session has, and their signed addresses.
//!
//! They depend on who asks and on the clock, so they are the one part of a closed session that is
//! written at every request. Their form follows the vendor's: one parameter `lsid` that carries
//! `l=<session>;h=<signature>;t=sd;m=<what>` and, of our own, instance, account and expiry.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

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

    const ALL: [LinkTarget; 4] = [
        LinkTarget::Chat,
        LinkTarget::Recording(RecordingKind::Session),
        LinkTarget::Recording(RecordingKind::ShowMyScreen),
        LinkTarget::Recording(RecordingKind::CommandShell),
    ];

    fn from_tag(tag: u8) -> Option<LinkTarget> {
        LinkTarget::ALL
            .into_iter()
            .find(|target| target.tag() == tag)
    }

    fn parse(name: &str) -> Option<LinkTarget> {
        LinkTarget::ALL
            .into_iter()
            .find(|target| target.name() == name)
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
    /// What writes these links.
    pub fn signer(self) -> Signer {
        Signer {
            before: [&self.base, "/session_download?lsid=l%3D"].concat(),
            behind_first: LinkTarget::ALL.map(|_| OnceLock::new()),
            links: self,
        }
    }

    /// What stands behind the signature.
    fn behind(&self, target: LinkTarget, instance: u32) -> String {
        let (name, expires) = (target.name(), self.expires.to_string());
        let instance = instance.to_string();
        // Without a formatter, which takes longer than the signature: each report makes some of these.
        [
            "%3Bt%3Dsd%3Bm%3D",
            name,
            "%3Bi%3D",
            &instance,
            "%3Ba%3D",
            &self.account,
            "%3Be%3D",
            &expires,
            "&amp;dl_action=",
            name,
        ]
        .concat()
    }
}

/// Writes the links of one account. What all of them share is made once: every session of every
/// report has some.
pub struct Signer {
    links: Links,
    /// What stands before the session's id.
    before: String,
    /// What stands behind the signature of each target's first instance, in order of
    /// [`LinkTarget::ALL`]: most links have that one, and the formatter is slow. Made when the first
    /// link wants it, for a report of one session wants few.
    behind_first: [OnceLock<String>; LinkTarget::ALL.len()],
}

impl Signer {
    fn behind_first(&self, target: LinkTarget) -> &str {
        let [chat, session, screen, shell] = &self.behind_first;
        let behind = match target {
            LinkTarget::Chat => chat,
            LinkTarget::Recording(RecordingKind::Session) => session,
            LinkTarget::Recording(RecordingKind::ShowMyScreen) => screen,
            LinkTarget::Recording(RecordingKind::CommandShell) => shell,
        };
        behind.get_or_init(|| self.links.behind(target, 0))
    }

    /// Whether links to recordings are shown.
    pub fn recordings(&self) -> RecordingsView {
        self.links.recordings
    }

    /// Appends packed pieces as XML text, with every address signed; none when they are damaged.
    pub(crate) fn write(&self, lsid: &str, packed: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let mut shown = true;
        // View and download share an address: it is made once.
        let mut signed: Option<(LinkTarget, u32, Range<usize>)> = None;
        for piece in Pieces(packed) {
            match piece? {
                Packed::Guarded => shown = self.links.recordings == RecordingsView::Allowed,
                Packed::Open => shown = true,
                _ if !shown => {}
                Packed::Literal(bytes) => out.extend_from_slice(bytes),
                Packed::CustomAttributesIfDefined => {
                    if self.links.defines_custom_fields == DefinesCustomFields::Some {
                        out.extend_from_slice(b"<custom_attributes></custom_attributes>");
                    }
                }
                Packed::Address {
                    target,
                    instance,
                    action,
                } => {
                    match &signed {
                        Some((last, n, address)) if (*last, *n) == (target, instance) => {
                            out.extend_from_within(address.clone());
                        }
                        _ => {
                            let begin = out.len();
                            self.sign(lsid, target, instance, out);
                            signed = Some((target, instance, begin..out.len()));
                        }
                    }
                    if action == Action::View {
                        out.extend_from_slice(b"&amp;view=1");
                    }
                }
            }
        }
        Some(())
    }

    /// Appends the address of a download, escaped for XML.
    fn sign(&self, lsid: &str, target: LinkTarget, instance: u32, out: &mut Vec<u8>) {
        let links = &self.links;
        let mac = (links.key).mac(lsid, target, instance, &links.account, links.expires);
        let mut hex = [0; 2 * SIGNATURE_BYTES];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(&mac.finalize().into_bytes()) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        let behind: Cow<'_, str> = match instance {
            0 => self.behind_first(target).into(),
            n => links.behind(target, n).into(),
        };
        for part in [
            self.before.as_bytes(),
            lsid.as_bytes(),
            b"%3Bh%3D",
            &hex,
            behind.as_bytes(),
        ] {
            out.extend_from_slice(part);
        }
    }
}

impl LinkKey {
    /// HMAC-SHA256 over session, kind, instance, account and expiry.
    fn mac(
        &self,
        lsid: &str,
        target: LinkTarget,
        instance: u32,
        account: &str,
        expires: i64,
    ) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(lsid.as_bytes());
        let mut numbers = [0; 14];
        numbers[1] = target.tag();
        numbers[2..6].copy_from_slice(&instance.to_le_bytes());
        numbers[6..].copy_from_slice(&expires.to_le_bytes());
        mac.update(&numbers);
        mac.update(account.as_bytes());
        mac
    }

    /// Judges an address, in constant time, as of `now` in UNIX seconds.
    pub fn judge(&self, link: &SignedLink, now: i64) -> Verdict {
        let signature = &link.signature;
        let given: Option<Vec<u8>> = (0..signature.len() / 2)
            .map(|idx| signature.get(2 * idx..2 * idx + 2))
            .map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        let mac = self.mac(
            &link.lsid,
            link.target,
            link.instance,
            &link.account,
            link.expires,
        );
        let is_genuine = signature.len() == 2 * SIGNATURE_BYTES
            && given.is_some_and(|given| mac.verify_truncated_left(&given).is_ok());
        if !is_genuine {
            return Verdict::Altered;
        }
        if link.expires != 0 && link.expires < now {
            return Verdict::Expired;
        }
        Verdict::Genuine
    }
}

/// What an address says, not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLink {
    /// The session.
    pub lsid: String,
    /// What it leads to.
    pub target: LinkTarget,
    /// Which instance of that.
    pub instance: u32,
    /// The account it was made for.
    pub account: String,
    expires: i64,
    signature: String,
}

impl SignedLink {
    /// Reads the parameter `lsid` of an address: `l=…;h=…;t=sd;m=…;i=…;a=…;e=…`. None when
    /// anything is missing, or there twice.
    pub fn parse(text: &str) -> Option<SignedLink> {
        let mut fields: [Option<&str>; 7] = [None; 7];
        for pair in text.split(';') {
            let (name, value) = pair.split_once('=')?;
            let idx = ["l", "h", "t", "m", "i", "a", "e"]
                .iter()
                .position(|known| *known == name)?;
            if fields[idx].replace(value).is_some() {
                return None;
            }
        }
        let [
            Some(lsid),
            Some(signature),
            Some("sd"),
            Some(target),
            Some(instance),
            Some(account),
            Some(expires),
        ] = fields
        else {
            return None;
        };
        Some(SignedLink {
            lsid: lsid.into(),
            target: LinkTarget::parse(target)?,
            instance: instance.parse().ok()?,
            account: account.into(),
            expires: expires.parse().ok()?,
            signature: signature.into(),
        })
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

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

/// A piece as it is packed.
enum Packed<'a> {
    Literal(&'a [u8]),
    Address {
        target: LinkTarget,
        instance: u32,
        action: Action,
    },
    CustomAttributesIfDefined,
    Guarded,
    Open,
}

/// Reads what [`pack`] wrote, piece by piece; a damaged one is none.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = Option<Packed<'a>>;

    fn next(&mut self) -> Option<Option<Packed<'a>>> {
        if self.0.is_empty() {
            return None;
        }
        let piece = self.take();
        if piece.is_none() {
            // What follows damage means nothing.
            self.0 = &[];
        }
        Some(piece)
    }
}

impl<'a> Pieces<'a> {
    fn take(&mut self) -> Option<Packed<'a>> {
        let (tag, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match *tag {
            TAG_LITERAL => {
                let (len, rest) = self.0.split_first_chunk::<4>()?;
                let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
                self.0 = rest;
                Packed::Literal(bytes)
            }
            TAG_COMMON => {
                let (idx, rest) = self.0.split_first()?;
                self.0 = rest;
                Packed::Literal(COMMON.get(usize::from(*idx))?)
            }
            TAG_VIEW | TAG_DOWNLOAD => {
                let (target, rest) = self.0.split_first()?;
                let (instance, rest) = rest.split_first_chunk::<4>()?;
                self.0 = rest;
                Packed::Address {
                    target: LinkTarget::from_tag(*target)?,
                    instance: u32::from_le_bytes(*instance),
                    action: if *tag == TAG_VIEW {
                        Action::View
                    } else {
                        Action::Download
                    },
                }
            }
            TAG_CUSTOM => Packed::CustomAttributesIfDefined,
            TAG_GUARDED => Packed::Guarded,
            TAG_OPEN => Packed::Open,
            _ => return None,
        })
    }
}

/// Appends what stands beside the addresses: elements, each closed.
pub(crate) fn literals(pieces: &[Piece], out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            Piece::Address { .. }
            | Piece::CustomAttributesIfDefined
            | Piece::Guarded
            | Piece::Open => {}
        }
    }
}

/// Whether any of the packed pieces leads to a recording; none when they are damaged.
pub(crate) fn has_recording(packed: &[u8]) -> Option<bool> {
    for piece in Pieces(packed) {
        if let Packed::Address {
            target: LinkTarget::Recording(_),
            ..
        } = piece?
        {
            return Some(true);
        }
    }
    Some(false)
}

/// Reads what [`pack`] wrote; none when it is damaged.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<Piece>> {
    let own = |packed: Packed<'_>| match packed {
        Packed::Literal(bytes) => Piece::Literal(bytes.to_vec()),
        Packed::Address {
            target,
            instance,
            action,
        } => Piece::Address {
            target,
            instance,
            action,
        },
        Packed::CustomAttributesIfDefined => Piece::CustomAttributesIfDefined,
        Packed::Guarded => Piece::Guarded,
        Packed::Open => Piece::Open,
    };
    Pieces(packed).map(|piece| piece.map(own)).collect()
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
        links()
            .signer()
            .write("abc", &pack(&[address(Action::View)]), &mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        let told = text.split("lsid=").nth(1).unwrap().split('&').next();
        let told = told.unwrap().replace("%3D", "=").replace("%3B", ";");
        let link = SignedLink::parse(&told).unwrap();
        assert_eq!(link.signature.len(), 40);
        assert!(
            text.ends_with("%3Ba%3Da1%3Be%3D2000&amp;dl_action=chat&amp;view=1"),
            "{text}"
        );
        let judge = |link: &SignedLink, now| links().key.judge(link, now);
        assert_eq!(judge(&link, 2_000), Verdict::Genuine);
        assert_eq!(judge(&link, 2_001), Verdict::Expired);
        let altered = [
            told.replace("l=abc", "l=abd"),
            told.replace("m=chat", "m=session"),
            told.replace("i=0", "i=1"),
            told.replace("a=a1", "a=a2"),
            told.replace("e=2000", "e=2001"),
            told.replace("e=2000", "e=0"),
            told.replace("h=", "h=00"),
            told.replace(&link.signature, &link.signature[..38]),
            told.replace(&link.signature, &format!("é{}", &link.signature[2..])),
            told.replace(&link.signature, ""),
        ];
        for text in altered {
            let link = SignedLink::parse(&text).unwrap();
            assert_eq!(judge(&link, 1), Verdict::Altered, "{text}");
        }
        for text in [
            "",
            "l=abc",
            &told.replace("t=sd", "t=xx"),
            &told.replace("m=chat", "m=all"),
            &told.replace("i=0", "i=-1"),
            &told.replace("e=2000", "e=soon"),
            &format!("{told};l=abc"),
            &format!("{told};x=1"),
        ] {
            assert_eq!(SignedLink::parse(text), None, "{text}");
        }
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
        let packed = pack(&pieces);
        denied.signer().write("abc", &packed, &mut out).unwrap();
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

//! What a session offers for download: its links as somebody who follows them needs them.

use debrief_domain::RecordingKind;

use crate::element::Element;
use crate::link::LinkTarget;

/// A link of a session to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// What it leads to.
    pub target: LinkTarget,
    /// Which instance of that; none where the document says something that is no number.
    pub instance: Option<u32>,
    /// The address as the document has it.
    pub address: String,
}

/// The downloads of a session's element, in the order of the report.
pub fn downloads(session: &Element) -> Vec<Download> {
    let mut found = Vec::new();
    for (name, target) in [
        ("session_chat_download_url", LinkTarget::Chat),
        (
            "session_recording_download_url",
            LinkTarget::Recording(RecordingKind::Session),
        ),
    ] {
        let links = session.elements_named(name);
        found.extend(links.filter_map(|link| download(target, Some(0), link)));
    }
    for (list, entry, kind) in [
        (
            "show_my_screen_recordings",
            "show_my_screen_recording",
            RecordingKind::ShowMyScreen,
        ),
        (
            "command_shell_recordings",
            "command_shell_recording",
            RecordingKind::CommandShell,
        ),
    ] {
        let lists = session.elements_named(list);
        for recording in lists.flat_map(|list| list.elements_named(entry)) {
            let instance = recording.attribute("instance");
            let instance = instance.and_then(|instance| instance.trim().parse().ok());
            let link = recording.child("download_url");
            let target = LinkTarget::Recording(kind);
            found.extend(link.and_then(|link| download(target, instance, link)));
        }
    }
    found
}

/// A link whose element is empty leads nowhere.
fn download(target: LinkTarget, instance: Option<u32>, link: &Element) -> Option<Download> {
    let text = link.text();
    let address = text.trim();
    (!address.is_empty()).then(|| Download {
        target,
        instance,
        address: address.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::SessionReader;

    #[test]
    fn every_link_to_a_file_is_told_with_what_it_leads_to() {
        let document = "<session_list xmlns=\"urn:x\"><session lsid=\"../a\">\
            <session_chat_view_url>v</session_chat_view_url>\
            <session_chat_download_url> c&amp;d </session_chat_download_url>\
            <session_recording_download_url></session_recording_download_url>\
            <show_my_screen_recordings>\
            <show_my_screen_recording instance=\"0\"><download_url>s0</download_url>\
            <view_url>v</view_url></show_my_screen_recording>\
            <show_my_screen_recording instance=\"1\"><view_url>v</view_url>\
            </show_my_screen_recording>\
            <show_my_screen_recording instance=\"2\"><download_url>s2</download_url>\
            </show_my_screen_recording></show_my_screen_recordings>\
            <command_shell_recordings><command_shell_recording instance=\"../3\">\
            <download_url>k</download_url></command_shell_recording></command_shell_recordings>\
            </session></session_list>";
        let mut reader = SessionReader::new(document.as_bytes(), "urn:x");
        let session = reader.next_element().unwrap().unwrap();
        let found = downloads(&session);
        let told: Vec<_> = found
            .iter()
            .map(|link| (link.target.name(), link.instance, &*link.address))
            .collect();
        assert_eq!(
            told,
            [
                ("chat", Some(0), "c&d"),
                ("show_my_screen", Some(0), "s0"),
                ("show_my_screen", Some(2), "s2"),
                ("command_shell", None, "k"),
            ]
        );
        assert!(reader.next_element().unwrap().is_none());
    }
}

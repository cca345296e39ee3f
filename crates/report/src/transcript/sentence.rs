//! What happened, in one plain sentence per event.

use debrief_domain::{ActorKind, EventType};

use super::{Party, body, one_line, shown_name};
use crate::element::Element;

/// An event that is no chat message, and its parties.
pub(super) struct Happening<'a> {
    pub(super) event: &'a Element,
    pub(super) who: &'a Party,
    pub(super) to: Option<&'a Party>,
}

impl Happening<'_> {
    /// The sentence; none for an event that says nothing to a reader of the conversation. `name`
    /// is the event's type as the document has it, which may be none that we know.
    pub(super) fn sentence(&self, kind: Option<EventType>, name: &str) -> Option<String> {
        let Some(kind) = kind else {
            return Some(match shown_name(name) {
                name if name.is_empty() => "Something happened.".into(),
                name => format!("{name}."),
            });
        };
        let person = self.person();
        let by = self.by();
        let sentence = match kind {
            // A message is somebody's own words, and the window in front changes all the time.
            EventType::ChatMessage | EventType::SessionForegroundWindowChanged => return None,
            EventType::SessionStart => "The session started.".into(),
            EventType::SessionEnd => "The session ended.".into(),
            EventType::ConferenceMemberAdded => format!("{person} joined the session."),
            EventType::ConferenceMemberDeparted => format!("{person} left the session."),
            EventType::ConferenceMemberStateChanged => match self.value(&["state"]) {
                Some(state) if ["connected", "disconnected"].contains(&&*state) => {
                    format!("{person} is {state}.")
                }
                Some(state) => format!("The state of {person} changed: “{state}”."),
                None => format!("The state of {person} changed."),
            },
            EventType::ConferenceOwnerChanged => self.owner(),
            EventType::FileUpload => format!("{} uploaded{by}.", self.files()),
            // A download goes from the customer's device to the representative.
            EventType::FileDownload => match self.to {
                Some(to) if to.kind == ActorKind::Representative => {
                    format!("{} downloaded by {}.", self.files(), to.name)
                }
                Some(_) | None => format!("{} downloaded{by}.", self.files()),
            },
            EventType::FileMoved => self.moved(),
            EventType::FileDeleted => format!("{} deleted{by}.", self.files()),
            EventType::FilesShared => format!("{} shared by {}.", self.files(), self.who.name),
            EventType::FileUploadFailed => format!("{} not uploaded: it failed.", self.files()),
            EventType::FileDownloadFailed => {
                format!("{} not downloaded: it failed.", self.files())
            }
            EventType::DirectoryCreated => {
                let path = self.quoted(&["path", "directory", "filename"], " ", "");
                format!("A folder{} was created{by}.", path.unwrap_or_default())
            }
            EventType::SessionNoteAdded => self.note(),
            EventType::CommandShellSessionStarted => format!("A command shell was started{by}."),
            EventType::ScreenRecording => {
                let state = self.quoted(&["state"], ": ", "");
                format!("Screen recording{}.", state.unwrap_or_default())
            }
            EventType::ShowMyScreenRecording => format!("The own screen was shown{by}."),
            EventType::ScreenshotCaptured => format!("A picture of the screen was taken{by}."),
            EventType::SystemInformationRetrieved => {
                format!("System information was retrieved{by}.")
            }
            EventType::ServiceAccessAllowed => {
                format!("{} allowed access as a service.", self.who.name)
            }
            EventType::LegalAgreementResponse => {
                let response = self.quoted(&["response", "result", "accepted"], ": ", ".");
                let response = response.unwrap_or_else(|| ".".into());
                format!("{} answered the legal agreement{response}", self.who.name)
            }
            EventType::ExternalKey => {
                let key = self.quoted(&["external_key"], " to ", ".");
                let key = key.unwrap_or_else(|| ".".into());
                format!("The external key was set{key}")
            }
            EventType::SessionAssigned => {
                let to = self.quoted(&["assigned_to", "owner", "name"], " to ", ".");
                format!("The session was assigned{}", to.unwrap_or(".".into()))
            }
            EventType::SessionAssignmentResponse => {
                let response = self.quoted(&["response", "result"], ": ", ".");
                let response = response.unwrap_or_else(|| ".".into());
                format!("The assignment was answered{by}{response}")
            }
            EventType::SessionTransferredToQueue => {
                format!("The session was transferred to a queue{}", self.queue())
            }
            EventType::SessionTransferredAwayFromQueue => {
                "The session was transferred away from its queue.".into()
            }
            EventType::SessionPinnedToQueue => {
                format!("The session was pinned to a queue{}", self.queue())
            }
            EventType::SessionUnpinnedFromQueue => {
                "The session was unpinned from its queue.".into()
            }
            EventType::PinnedSessionMovedToQueue => {
                format!("The pinned session was moved to a queue{}", self.queue())
            }
            EventType::PinnedSessionMovedAwayFromQueue => {
                "The pinned session was moved away from its queue.".into()
            }
            EventType::PinnedSessionPasswordModified => {
                "The password of the pinned session was changed.".into()
            }
            EventType::CustomerExitSurvey => "The customer submitted the exit survey.".into(),
            EventType::RepresentativeExitSurvey => format!("An exit survey was submitted{by}."),
            EventType::RepresentativeMonitoringStarted => {
                format!("Monitoring of the representative started{by}.")
            }
            EventType::RepresentativeMonitoringStopped => {
                "Monitoring of the representative stopped.".into()
            }
            EventType::CallbackButtonDeployed => {
                let name = self.quoted(&["name"], " ", "").unwrap_or_default();
                format!("A callback button{name} was installed{by}.")
            }
            EventType::CallbackButtonRemoved => {
                let name = self.quoted(&["name"], " ", "").unwrap_or_default();
                format!("A callback button{name} was removed{by}.")
            }
            EventType::CredentialInjectionAttempt => {
                let name = self.quoted(&["credential_name"], " ", "");
                format!(
                    "A kept credential{} was used{by}.",
                    name.unwrap_or_default()
                )
            }
            EventType::CredentialInjectionAttemptFailed => {
                let name = self.quoted(&["credential_name"], " ", "");
                format!("A kept credential{} failed.", name.unwrap_or_default())
            }
            EventType::JumpItemAuthorizationRequest => "Access was asked for.".into(),
            EventType::JumpItemAuthorizationRequestUtilized => {
                "The access granted was used.".into()
            }
            EventType::RegistryExported => self.registry("part of it", "exported"),
            EventType::RegistryImported => self.registry("a file", "imported"),
            EventType::RegistryKeyAdded => self.registry("a key", "added"),
            EventType::RegistryKeyDeleted => self.registry("a key", "deleted"),
            EventType::RegistryKeyRenamed => self.registry("a key", "renamed"),
            EventType::RegistryValueAdded => self.registry("a value", "added"),
            EventType::RegistryValueDeleted => self.registry("a value", "deleted"),
            EventType::RegistryValueModified => self.registry("a value", "changed"),
            EventType::RegistryValueRenamed => self.registry("a value", "renamed"),
        };
        Some(sentence)
    }

    /// Whom the event is about: the performer or, if that is the system, whom it addresses or
    /// names among its values.
    fn person(&self) -> String {
        let is_person =
            |party: &&Party| matches!(party.kind, ActorKind::Customer | ActorKind::Representative);
        let acting = [Some(self.who), self.to].into_iter().flatten();
        if let Some(person) = acting.into_iter().find(is_person) {
            return person.name.clone();
        }
        let told = self.value(&["name", "private_name", "public_name", "username"]);
        told.unwrap_or_else(|| "Somebody".into())
    }

    /// `by` and the representative's name.
    fn by(&self) -> String {
        match self.who.kind {
            ActorKind::Representative => format!(" by {}", self.who.name),
            ActorKind::Customer | ActorKind::System | ActorKind::Everyone => String::new(),
        }
    }

    fn owner(&self) -> String {
        let representative = self.to.filter(|to| to.kind == ActorKind::Representative);
        if let Some(owner) = representative {
            return format!("{} now owns the session.", owner.name);
        }
        let owner = self.value(&["owner"]);
        match owner.or_else(|| self.to.map(|to| to.name.clone())) {
            Some(owner) => format!("The session now belongs to “{owner}”."),
            None => "The session now belongs to nobody.".into(),
        }
    }

    fn note(&self) -> String {
        let told = body(self.event).or_else(|| self.value(&["note", "text", "value"]));
        let note = told.filter(|note| !note.trim().is_empty());
        let note = note.map_or(".".into(), |note| format!(": {note}"));
        format!("{} added a note{note}", self.who.name)
    }

    fn moved(&self) -> String {
        let by = self.by();
        match self.value(&["new_path", "destination", "to"]) {
            Some(to) => format!("{} moved to “{to}”{by}.", self.files()),
            None => format!("{} moved{by}.", self.files()),
        }
    }

    fn registry(&self, what: &str, done: &str) -> String {
        let by = self.by();
        let path = self.value(&["key_path", "path"]);
        let at = path.map_or(String::new(), |path| format!(" at “{path}”"));
        format!("In the registry, {what} was {done}{at}{by}.")
    }

    fn queue(&self) -> String {
        let queue = self.quoted(&["queue", "owner", "to"], ": ", ".");
        queue.unwrap_or_else(|| ".".into())
    }

    /// Subject and verb: `The file “a” (2 kB) was`, `The files “a”, “b” (1 B) were`.
    fn files(&self) -> String {
        let listed = self.event.child("files");
        let mut shown: Vec<String> = listed
            .into_iter()
            .flat_map(|files| files.elements_named("file"))
            .filter_map(file)
            .collect();
        if shown.is_empty() {
            shown.extend(file(self.event).or_else(|| {
                let name = self.value(&["filename", "file", "path", "old_path"])?;
                Some(format!("“{name}”"))
            }));
        }
        match &shown[..] {
            [] => "A file was".into(),
            [one] => format!("The file {one} was"),
            all => format!("The files {} were", all.join(", ")),
        }
    }

    /// The first of these values that the event has.
    fn value(&self, names: &[&str]) -> Option<String> {
        let data = self.event.child("data")?;
        let known = |name: &&str| {
            let mut values = data.elements_named("value");
            let value = values.find(|value| value.attribute("name") == Some(name))?;
            let value = value.attribute("value")?;
            (!value.trim().is_empty()).then(|| one_line(value))
        };
        names.iter().find_map(known)
    }

    fn quoted(&self, names: &[&str], before: &str, after: &str) -> Option<String> {
        let value = self.value(names)?;
        Some(format!("{before}“{value}”{after}"))
    }
}

/// The name and the size that an event or a `file` tells; the name is an element or the text.
fn file(element: &Element) -> Option<String> {
    let named = element.child("filename").map(Element::text);
    let name = named.unwrap_or_else(|| match &*element.name {
        "file" => element.text(),
        _ => String::new(),
    });
    if name.trim().is_empty() {
        return None;
    }
    let name = one_line(&name);
    let bytes = element.child("filesize").map(Element::text);
    let bytes = bytes.and_then(|bytes| bytes.trim().parse().ok());
    Some(match bytes {
        Some(bytes) => format!("“{name}” ({})", size(bytes)),
        None => format!("“{name}”"),
    })
}

/// A size in decimal units, with one figure behind the point below ten.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut divisor: u64 = 1_000;
    for unit in UNITS {
        if bytes / divisor < 10 {
            let tenths = bytes / (divisor / 10);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        if bytes / divisor < 1_000 {
            return format!("{} {unit}", bytes / divisor);
        }
        divisor = divisor.saturating_mul(1_000);
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_two_or_three_figures_and_a_unit() {
        let shown = [0, 999, 1_000, 9_999, 10_500, 999_999, 1_000_000, u64::MAX].map(size);
        let expected = [
            "0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "18 EB",
        ];
        assert_eq!(shown, expected);
    }
}

//! The recordings of a session that was copied, through the code that `debrief report
//! --recordings` fetches files with.

use std::fs;
use std::io;

use anyhow::Context as _;
use debrief_domain::{Lsid, Recording, RecordingKind};
use debrief_report::{Element, LinkTarget, downloads};
use debrief_store::{KeepRecording, KeptRecording, Part, RecordingKey};
use indicatif::ProgressBar;

use super::ACCOUNT;
use super::pull::Pull;
use crate::download::slot::{Slot, What};
use crate::download::{Got, fetch, what};
use crate::http::hash;
use crate::recording::keep::{keep, object_name};
use crate::recording::media::Media;

impl Pull {
    /// Brings the recordings of a session that are not here. One that was promised is asked for
    /// even if the session has no link to it. Gives how many could not be had.
    pub(super) fn bring_recordings(
        &mut self,
        lsid: &Lsid,
        session: &Element,
        is_promised: bool,
    ) -> anyhow::Result<u32> {
        let kept = self.runtime.block_on(self.app.store().recordings(lsid))?;
        let Some(kept) = kept else { return Ok(0) };
        let mut wanted: Vec<(Recording, Option<String>)> = Vec::new();
        for link in downloads(session) {
            match what(&link) {
                Some(What::Recording(recording)) => {
                    wanted.push((recording, Some(link.address)));
                }
                Some(What::Chat | What::Timing(_)) => {}
                None if link.target == LinkTarget::Chat => {}
                None => self.refuse(format!("session `{lsid}`: a recording without a number")),
            }
        }
        wanted.extend(without_links(session, &wanted));
        if wanted.is_empty() && is_promised {
            let kind = RecordingKind::Session;
            wanted.push((Recording { kind, instance: 0 }, None));
        }
        let mut n_missing = 0;
        for (recording, address) in wanted {
            n_missing += self.bring(lsid, recording, address.as_deref(), &kept)?;
        }
        if n_missing == 0 {
            // Nothing of it is on its way any more.
            match fs::remove_dir_all(self.folder.files().join(lsid.as_str())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(n_missing)
    }

    /// Brings one recording, and the timing that belongs to it. Gives how many are missing.
    fn bring(
        &mut self,
        lsid: &Lsid,
        recording: Recording,
        address: Option<&str>,
        kept: &[KeptRecording],
    ) -> anyhow::Result<u32> {
        let row = |part| {
            let mut kept = kept.iter();
            kept.find(|kept| kept.key.recording == recording && kept.key.part == part)
        };
        let by_name = report_of(lsid, recording);
        let main = match row(Part::Main) {
            Some(kept) => Media::of(&kept.media),
            None => {
                let what = What::Recording(recording);
                let addresses = address.into_iter().chain([by_name.as_str()]);
                match self.fetch(lsid, what, addresses)? {
                    Ok(media) => media,
                    Err(why) => {
                        self.summary.n_missing += 1;
                        let (kind, instance) = (recording.kind.name(), recording.instance);
                        self.tell(format!("session `{lsid}`, {kind} {instance}: {why}"));
                        return Ok(1);
                    }
                }
            }
        };
        let has_timing = recording.kind == RecordingKind::CommandShell && main == Media::Typescript;
        if let Some(address) = address
            && has_timing
            && row(Part::Timing).is_none()
        {
            let join = if address.contains('?') { '&' } else { '?' };
            let timing = format!("{address}{join}form=timing");
            let what = What::Timing(recording.instance);
            // Nothing promised a timing: one that is not there is not missed.
            if let Err(why) = self.fetch(lsid, what, [timing.as_str()].into_iter())?
                && !why.contains("404")
            {
                self.summary.n_missing += 1;
                self.tell(format!("session `{lsid}`, timing of a typescript: {why}"));
                return Ok(1);
            }
        }
        Ok(0)
    }

    /// Fetches a file from the first address that has it, and keeps it. Gives its form, or why it
    /// is not to be had.
    fn fetch<'a>(
        &mut self,
        lsid: &Lsid,
        what: What,
        addresses: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<Result<Media, String>> {
        let bytes_max = self.app.config().recording_bytes_max;
        let mut first_why = None;
        for address in addresses {
            let Some(place) = self.client.place(address) else {
                first_why.get_or_insert("its link is no address".to_owned());
                continue;
            };
            let mut slot = Slot::open(&self.folder.files(), lsid, what);
            let bar = ProgressBar::hidden();
            let got = fetch::fetch(
                &mut self.client,
                &place.url,
                what,
                &mut slot,
                bytes_max,
                &bar,
            );
            match got? {
                Got::Fresh(_) | Got::Same => return self.keep(lsid, what, &slot),
                Got::Missing(why) => {
                    first_why.get_or_insert(why);
                }
            }
        }
        Ok(Err(first_why.unwrap_or_default()))
    }

    /// Makes a whole file a recording of the archive.
    fn keep(
        &mut self,
        lsid: &Lsid,
        what: What,
        slot: &Slot,
    ) -> anyhow::Result<Result<Media, String>> {
        let path = slot.path().context("a whole file has no name")?;
        let media = slot.media().unwrap_or(Media::Unknown);
        let mut file = fs::File::open(&path)?;
        let bytes = file.metadata()?.len();
        let (_, sha256) = hash(&mut file, 0, |_| {})?;
        let (recording, part, media_type) = match what {
            What::Recording(recording) => (recording, Part::Main, media.media_type()),
            What::Timing(instance) => {
                let kind = RecordingKind::CommandShell;
                (Recording { kind, instance }, Part::Timing, "text/plain")
            }
            What::Chat => return Ok(Ok(media)),
        };
        let key = RecordingKey {
            lsid: lsid.clone(),
            recording,
            part,
        };
        let kept = KeptRecording {
            key,
            object: object_name()?,
            media: media_type.into(),
            bytes,
            sha256,
            account: ACCOUNT,
            at: self.app.now(),
        };
        let (store, files) = (self.app.store(), self.app.files());
        let outcome = self
            .runtime
            .block_on(keep(store, &files.objects, &path, &kept))?;
        match outcome {
            KeepRecording::Kept => {
                self.summary.n_recordings += 1;
                self.app.changed();
                self.app
                    .sources()
                    .update(&self.source, |standing| standing.n_recordings += 1);
            }
            KeepRecording::Known(_) | KeepRecording::NoSession => {}
            KeepRecording::Taken(_) => {
                let kind = recording.kind.name();
                self.refuse(format!("session `{lsid}`: another {kind} is here already"));
            }
        }
        // The object is a file of its own, or elsewhere.
        slot.forget()?;
        Ok(Ok(media))
    }

    /// Tells of something that is not taken.
    fn refuse(&mut self, why: String) {
        let now = self.app.now();
        self.app.sources().refused(&self.source, now, why.clone());
        self.tell(why);
    }
}

/// Recordings that a session tells of without a link to their files.
fn without_links(
    session: &Element,
    linked: &[(Recording, Option<String>)],
) -> Vec<(Recording, Option<String>)> {
    let mut found = Vec::new();
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
        for told in lists.flat_map(|list| list.elements_named(entry)) {
            let instance = told.attribute("instance");
            let instance = instance.and_then(|instance| instance.trim().parse().ok());
            let recording = instance.map(|instance| Recording { kind, instance });
            let is_linked = |recording: &Recording| linked.iter().any(|(r, _)| r == recording);
            found.extend(recording.filter(|r| !is_linked(r)).map(|r| (r, None)));
        }
    }
    found
}

/// The report that a recording is, asked for by name.
fn report_of(lsid: &Lsid, recording: Recording) -> String {
    let instance = recording.instance;
    let (report, instance) = match recording.kind {
        RecordingKind::Session => ("SupportSessionRecording", String::new()),
        RecordingKind::ShowMyScreen => ("ShowMyScreenRecording", format!("&instance={instance}")),
        RecordingKind::CommandShell => ("CommandShellRecording", format!("&instance={instance}")),
    };
    format!("/api/reporting?generate_report={report}&lsid={lsid}{instance}")
}

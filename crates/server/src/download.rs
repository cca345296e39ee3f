//! One file behind a link of a report: fetched from a server into a place on disk, going on where
//! it stopped.

pub(crate) mod fetch;
pub(crate) mod slot;

use debrief_domain::Recording;
use debrief_domain::limits::RECORDING_INSTANCES_MAX;
use debrief_report::{Download, LinkTarget};

use self::slot::What;

/// What became of one file.
pub(crate) enum Got {
    /// It is whole now; so many bytes came.
    Fresh(u64),
    /// It was there already.
    Same,
    /// It is not to be had, and why.
    Missing(String),
}

/// Which file a link leads to; none for an instance that cannot be.
pub(crate) fn what(link: &Download) -> Option<What> {
    let instance = link.instance?;
    match link.target {
        LinkTarget::Chat => Some(What::Chat),
        LinkTarget::Recording(kind) => (instance < RECORDING_INSTANCES_MAX)
            .then_some(What::Recording(Recording { kind, instance })),
    }
}

//! The reports beside `SupportSession`: each makes something else of the same sessions, one after
//! the other, and inflates and reads no more of a session than it needs.

mod listing;
mod summary;
mod survey;

use crate::ask::ReportKind;
use crate::element::Element;
use crate::link::{RecordingsView, has_recording, literals, pack};
use crate::read::read_own;
use crate::sealed::{Inflater, Sealed, SealedError};
use crate::write::Parts;
use debrief_domain::Directory;

pub use summary::SUMMARY_ROWS_MAX;
use summary::Summary;
use survey::Submitter;

/// A report beside `SupportSession`, in the making. It writes XML.
pub struct Neighbour {
    making: Making,
    inflater: Inflater,
    namespace: String,
}

enum Making {
    Listing,
    Summary(Summary),
    Surveys(Submitter),
}

/// A session as an archive gives it.
#[derive(Clone, Copy)]
pub enum Seen<'a> {
    /// Its kept bytes.
    Sealed(&'a Sealed<'a>),
    /// Its parts, as they were just made.
    Parts(&'a Parts),
}

/// Why a report cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NeighbourError {
    /// A session's kept bytes are damaged.
    #[error(transparent)]
    Damaged(#[from] SealedError),
    /// A summary has more rows than may be held in memory.
    #[error("the summary has more than {SUMMARY_ROWS_MAX} rows: ask for a shorter time")]
    TooManyRows,
}

impl Neighbour {
    /// The report of this kind; none for whole sessions.
    pub fn new(kind: ReportKind, namespace: &str) -> Option<Neighbour> {
        let making = match kind {
            ReportKind::SupportSession => return None,
            ReportKind::SupportSessionListing => Making::Listing,
            ReportKind::SupportSessionSummary(group) => Making::Summary(Summary::new(group)),
            ReportKind::SupportCustExitSurvey => Making::Surveys(Submitter::Customer),
            ReportKind::SupportRepExitSurvey => Making::Surveys(Submitter::Rep),
        };
        Some(Neighbour {
            making,
            inflater: Inflater::new(),
            namespace: namespace.into(),
        })
    }

    /// Takes the next session in, and appends what it has to tell already: so many elements.
    pub fn session(
        &mut self,
        seen: Seen<'_>,
        recordings: RecordingsView,
        out: &mut Vec<u8>,
    ) -> Result<u64, NeighbourError> {
        let mut session = Session {
            seen,
            inflater: &mut self.inflater,
            namespace: &self.namespace,
        };
        match &mut self.making {
            Making::Listing => {
                listing::write(&mut session, recordings, out)?;
                Ok(1)
            }
            Making::Summary(summary) => {
                summary.take(&mut session)?;
                Ok(0)
            }
            Making::Surveys(by) => Ok(survey::write(&mut session, *by, out)?),
        }
    }

    /// Appends what can be told only at the end: so many elements. Names are the directory's.
    pub fn end(self, directory: &Directory, out: &mut Vec<u8>) -> u64 {
        match self.making {
            Making::Listing | Making::Surveys(_) => 0,
            Making::Summary(summary) => summary.write(directory, out),
        }
    }

    /// Whether nothing is told before the last session has been seen.
    pub fn tells_at_end(&self) -> bool {
        match self.making {
            Making::Listing | Making::Surveys(_) => false,
            Making::Summary(_) => true,
        }
    }
}

/// One session, of which as much is read as is asked for.
struct Session<'a> {
    seen: Seen<'a>,
    inflater: &'a mut Inflater,
    namespace: &'a str,
}

impl Session<'_> {
    fn lsid(&self) -> &str {
        match self.seen {
            Seen::Sealed(sealed) => sealed.lsid,
            Seen::Parts(parts) => &parts.lsid,
        }
    }

    /// Whether it has a link to any recording.
    fn has_recording(&self) -> Result<bool, SealedError> {
        let found = match self.seen {
            Seen::Sealed(sealed) => has_recording(sealed.links),
            Seen::Parts(parts) => has_recording(&pack(&parts.links)),
        };
        found.ok_or(SealedError::links())
    }

    /// The session up to its links, as an element.
    fn head(&mut self) -> Result<Element, SealedError> {
        let mut text = Vec::new();
        self.head_text(&mut text)?;
        text.extend_from_slice(b"</session>");
        read_own(&text, self.namespace).map_err(|_| SealedError::not_xml())
    }

    /// All text of the session, but no addresses.
    fn text(&mut self) -> Result<String, SealedError> {
        let mut text = Vec::new();
        self.head_text(&mut text)?;
        match self.seen {
            Seen::Sealed(sealed) => {
                literals(&sealed.pieces()?, &mut text);
                self.inflater.inflate(&sealed.tail, &mut text)?;
            }
            Seen::Parts(parts) => {
                literals(&parts.links, &mut text);
                text.extend_from_slice(&parts.tail);
            }
        }
        String::from_utf8(text).map_err(|_| SealedError::not_xml())
    }

    fn head_text(&mut self, text: &mut Vec<u8>) -> Result<(), SealedError> {
        match self.seen {
            Seen::Sealed(sealed) => self.inflater.inflate(&sealed.head, text),
            Seen::Parts(parts) => {
                text.extend_from_slice(&parts.head);
                Ok(())
            }
        }
    }

    /// The session's text as an element. Its events are left out: they are most of it.
    fn read(&self, text: &str) -> Result<Element, SealedError> {
        const DETAILS: (&str, &str) = ("<session_details>", "</session_details>");
        let events = text.find(DETAILS.0).zip(text.rfind(DETAILS.1));
        if let Some((begin, end)) = events.filter(|(begin, end)| begin < end) {
            let without = [&text[..begin], &text[end + DETAILS.1.len()..]].concat();
            // Unless an element of another namespace has that name too.
            if let Ok(session) = read_own(without.as_bytes(), self.namespace) {
                return Ok(session);
            }
        }
        read_own(text.as_bytes(), self.namespace).map_err(|_| SealedError::not_xml())
    }
}

#[cfg(test)]
mod tests;

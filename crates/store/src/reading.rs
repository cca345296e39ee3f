//! A report being read: where it is, and what it sees.

use std::collections::VecDeque;

use debrief_domain::{Change, Event, Lsid, Recording, RepId, Selection};

/// One session of a page.
pub enum Found<'a> {
    /// A session with sealed bytes.
    Sealed {
        /// The bytes.
        body: &'a [u8],
        /// The version of the directory they were sealed with.
        names: u64,
        /// Where the session is kept.
        place: i64,
        /// The commit that changed it last.
        change: u64,
    },
    /// A session that must be folded.
    Live {
        /// Its number.
        lseq: u64,
        /// Its events, in order of arrival.
        events: Vec<Event>,
        /// Its recordings in the object store.
        recordings: Vec<Recording>,
        /// Whether it fell silent long ago.
        silence: Silence,
    },
}

/// Whether a session without an end goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It was heard of.
    Heard,
    /// It counts as closed abnormally.
    Lapsed,
}

/// What a visitor wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Another session.
    More,
    /// To send what it has first.
    Full,
}

/// Members of the team that a selection names, at the moment of asking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(pub Vec<RepId>);

/// A report between two pages. It holds no transaction, only where it stands.
#[derive(Debug)]
pub struct Reading {
    pub(crate) selection: Selection,
    pub(crate) members: Members,
    /// The commit at which it began; none before its first page.
    pub(crate) bound: Option<Change>,
    /// Whether everything that was acknowledged when it was asked for has become part of its
    /// sessions: it begins then, not before.
    pub(crate) is_settled: bool,
    /// Whether the next session takes a while: a page that is read where it was asked for ended before.
    pub(crate) wants_reader: bool,
    pub(crate) stage: Stage,
    /// Sessions whose turn it is, in order.
    pub(crate) queue: VecDeque<Key>,
    /// The session that was given last.
    pub(crate) last: Option<Key>,
}

/// A place in a reading, for going on in another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The commit at which the reading began.
    pub bound: Change,
    /// The key of the last session that was given.
    pub after: (i64, i64, i64),
}

/// How a reading goes on.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Not begun.
    New,
    /// Merging ordered sources of the index.
    Sources(Vec<Source>),
    /// By change, after this commit and, within it, this place.
    Changes { after: (i64, i64) },
    /// By name; those not yet looked up, each with its number, the next one last.
    Names(Vec<(i64, Lsid)>),
    /// Nothing more to find.
    Done,
}

/// What orders sessions: time (or change, or number in a list), lseq, place.
pub(crate) type Key = (i64, i64, i64);

/// One ordered source: the index entries of one owner.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) kind: i64,
    pub(crate) owner: i64,
    /// Everything up to here has been taken.
    pub(crate) after: Option<Key>,
    pub(crate) buffer: VecDeque<Key>,
    pub(crate) is_dry: bool,
}

impl Reading {
    /// A reading that begins with its first page. `members` matters to
    /// [`debrief_domain::Filter::OwnedByMemberOf`] only.
    pub fn new(selection: Selection, members: Members) -> Reading {
        Reading {
            selection,
            members,
            bound: None,
            is_settled: false,
            wants_reader: false,
            stage: Stage::New,
            last: None,
            queue: VecDeque::new(),
        }
    }

    /// A reading whose moment is an earlier commit: it leaves out what came after.
    pub fn at(selection: Selection, members: Members, bound: Change) -> Reading {
        Reading {
            bound: Some(bound),
            ..Reading::new(selection, members)
        }
    }

    /// A reading that goes on after where another one stood.
    pub fn resume(selection: Selection, members: Members, cursor: Cursor) -> Reading {
        let last = Some(cursor.after);
        Reading {
            last,
            ..Reading::at(selection, members, cursor.bound)
        }
    }

    /// Where the reading stands; none before its first session.
    pub fn cursor(&self) -> Option<Cursor> {
        Some(Cursor {
            bound: self.bound?,
            after: self.last?,
        })
    }

    /// Whether every session has been given.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty() && matches!(self.stage, Stage::Done)
    }

    /// Whether it has begun here: until what it is to see is settled, it has not.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::New)
    }

    /// The commit at which the reading began: the cursor after which changes are news. None
    /// before its first page.
    pub fn bound(&self) -> Option<Change> {
        self.bound
    }
}

/// The next key of all sources together, each key once. None when a source must be filled first
/// or all are dry.
pub(crate) fn take_least(sources: &mut [Source]) -> Option<Key> {
    if sources
        .iter()
        .any(|source| source.buffer.is_empty() && !source.is_dry)
    {
        return None;
    }
    let least = sources
        .iter()
        .filter_map(|source| source.buffer.front())
        .min()
        .copied()?;
    for source in sources {
        if source.buffer.front() == Some(&least) {
            source.buffer.pop_front();
        }
    }
    Some(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(keys: &[i64], is_dry: bool) -> Source {
        let buffer = keys.iter().map(|&at| (at, 0, at)).collect();
        Source {
            kind: 0,
            owner: 0,
            after: None,
            buffer,
            is_dry,
        }
    }

    #[test]
    fn sources_are_merged_in_order_each_key_once() {
        let mut sources = [
            source(&[1, 4, 6], true),
            source(&[1, 2, 6], true),
            source(&[], true),
        ];
        let taken: Vec<i64> = std::iter::from_fn(|| take_least(&mut sources))
            .map(|key| key.0)
            .collect();
        assert_eq!(taken, [1, 2, 4, 6]);
    }

    #[test]
    fn nothing_is_taken_while_a_source_may_hold_an_earlier_key() {
        let mut sources = [source(&[5], true), source(&[], false)];
        assert_eq!(take_least(&mut sources), None);
    }
}

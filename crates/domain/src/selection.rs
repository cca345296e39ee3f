//! Which sessions a question is about, as plain data.

use crate::{At, Lsid, RepId, SiteId, TeamId};

/// The number of a commit. It only grows; a report is bounded by the one it began at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Change(pub u64);

/// A stretch of time: `from` belongs to it, `until` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment inside.
    pub from: At,
    /// The first moment after; none is up to now and beyond.
    pub until: Option<At>,
}

impl Window {
    /// Whether a time of this second lies inside.
    pub fn has(&self, secs: i64) -> bool {
        let after_from = self.from.millis() <= secs.saturating_mul(1000);
        let before_until = self
            .until
            .is_none_or(|until| secs.saturating_mul(1000) < until.millis());
        after_from && before_until
    }
}

/// How sessions are picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Those that started in the window, running or not, by start time.
    Started(Window),
    /// Those closed ones that ended in the window, by end time.
    Ended(Window),
    /// These, in this order, each once; unknown ones are left out.
    Named(Vec<Lsid>),
    /// Those created, completed or amended after this change, by change.
    ChangedSince(Change),
}

/// Which of the picked sessions are wanted: the parameter `limit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    All,
    /// Those this representative ever owned.
    OwnedBy(RepId),
    /// Those that belonged to any team.
    AnyTeam,
    /// Those that ever belonged to this team.
    Team(TeamId),
    /// Those owned by a representative who is now a member of this team.
    OwnedByMemberOf(TeamId),
    /// Those run through this public site.
    Site(SiteId),
}

/// A whole question about the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// How sessions are picked.
    pub which: Which,
    /// Which of them are wanted. Named sessions are never filtered.
    pub filter: Filter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_bound_is_inside_and_the_upper_is_not() {
        let window = Window {
            from: At::from_secs(100).unwrap(),
            until: Some(At::from_secs(200).unwrap()),
        };
        let inside: Vec<i64> = [99, 100, 199, 200]
            .into_iter()
            .filter(|s| window.has(*s))
            .collect();
        assert_eq!(inside, [100, 199]);
        let open = Window {
            from: At::from_secs(100).unwrap(),
            until: None,
        };
        assert!(open.has(i64::MAX));
    }
}

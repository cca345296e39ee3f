//! What SQLite's errors mean to a caller.

use std::io;

use rusqlite::ErrorCode;

use super::journal::Damaged;
use crate::StoreError;

/// Whether the commit itself had begun when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// It had not: the transaction is undone.
    Work,
    /// It had: only some errors leave it surely undone.
    Commit,
    /// It had ended: whatever failed then, something was done.
    After,
}

/// An error of a whole group of calls; each caller gets one of its own.
#[derive(Debug)]
pub(super) struct GroupError {
    cause: String,
    code: Option<ErrorCode>,
    /// What cannot be read, if it is that.
    damaged: Option<String>,
    doing: Doing,
}

impl GroupError {
    pub(super) fn new(error: rusqlite::Error, doing: Doing) -> GroupError {
        tracing::error!(error = %error, "a commit failed");
        GroupError {
            code: error.sqlite_error_code(),
            damaged: what_is_damaged(&error),
            cause: error.to_string(),
            doing,
        }
    }

    pub(super) fn for_each(&self) -> StoreError {
        let source = Some(self.cause.clone().into());
        if let Some(what) = self.damaged.clone() {
            return StoreError::Corrupt { what, source };
        }
        match (self.code, self.doing) {
            (_, Doing::After) => StoreError::Unknown { source },
            (Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::ReadOnly), _)
            | (_, Doing::Work) => StoreError::Refused {
                what: sentence(self.code),
                source,
            },
            (_, Doing::Commit) => StoreError::Unknown { source },
        }
    }
}

fn is_damage(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
}

/// Whether a value is not what was written.
pub(super) fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    )
}

/// Whether something was read that is not what was written. The transaction goes on.
pub(super) fn tells_damage(error: &rusqlite::Error) -> bool {
    what_is_damaged(error).is_some()
}

/// Names what is damaged, if it is that which this error tells.
fn what_is_damaged(error: &rusqlite::Error) -> Option<String> {
    match error {
        rusqlite::Error::FromSqlConversionFailure(_, _, cause) if cause.is::<Damaged>() => {
            Some(cause.to_string())
        }
        _ if is_unreadable(error) || error.sqlite_error_code().is_some_and(is_damage) => {
            Some("the database file".into())
        }
        _ => None,
    }
}

fn sentence(code: Option<ErrorCode>) -> String {
    let sentence = match code {
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process is writing to the archive"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "the data directory cannot be written to"
        }
        Some(ErrorCode::CannotOpen) => "the database file cannot be opened",
        Some(ErrorCode::SystemIoFailure) => "the disk reports an error",
        _ => "the database reports an error",
    };
    sentence.into()
}

/// A failure of a file as one of the database beside it: it ends the transaction in the same way.
pub(super) fn as_sqlite(file: &str, error: &io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => rusqlite::ffi::SQLITE_FULL,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            rusqlite::ffi::SQLITE_READONLY
        }
        _ => rusqlite::ffi::SQLITE_IOERR,
    };
    let what = format!("{file}: {error}");
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(what))
}

/// Another process has had a file for too long.
pub(super) fn busy(file: &str) -> rusqlite::Error {
    let what = format!("another process uses the file `{file}`");
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
        Some(what),
    )
}

/// For calls whose transaction is surely undone, or that only read.
pub(super) fn refused_or_corrupt(error: rusqlite::Error) -> StoreError {
    if let Some(what) = what_is_damaged(&error) {
        return StoreError::Corrupt {
            what,
            source: Some(Box::new(error)),
        };
    }
    StoreError::Refused {
        what: sentence(error.sqlite_error_code()),
        source: Some(Box::new(error)),
    }
}

/// For bytes that cannot be read.
pub(super) fn corrupt(error: crate::codec::CodecError) -> StoreError {
    StoreError::Corrupt {
        what: error.to_string(),
        source: None,
    }
}

/// A value in this column that was never written there.
pub(super) fn corrupt_text(column: &'static str) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    let cause = format!("`{column}` has a value that is none");
    rusqlite::Error::FromSqlConversionFailure(0, kind, cause.into())
}

/// A file beside the database that is damaged.
pub(super) fn damaged(cause: Damaged) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Blob;
    rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(cause))
}

/// Bytes that cannot be read, in the middle of a query.
pub(super) fn unreadable(error: crate::codec::CodecError) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Blob;
    rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_refusal_unless_something_was_done_already() {
        let full = || as_sqlite("a file", &io::Error::from(io::ErrorKind::StorageFull));
        for (doing, is_refused) in [
            (Doing::Work, true),
            (Doing::Commit, true),
            (Doing::After, false),
        ] {
            let told = GroupError::new(full(), doing).for_each();
            assert_eq!(
                matches!(told, StoreError::Refused { .. }),
                is_refused,
                "{told:?}"
            );
            assert_eq!(
                matches!(told, StoreError::Unknown { .. }),
                !is_refused,
                "{told:?}"
            );
        }
    }
}

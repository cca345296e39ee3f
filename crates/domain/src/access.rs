//! What an account may do.

/// The permissions of an API account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The vendor's *Allow Access to Support Session Reports and Recordings*, and whether
    /// recordings are part of it.
    pub reporting: Reporting,
    /// The command API.
    pub command: CommandAccess,
    /// Sending events.
    pub ingest: Permitted,
    /// Changing accounts, the directory and the server.
    pub admin: Permitted,
}

/// How much of the reports an account may see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reporting {
    /// None.
    #[default]
    Deny,
    /// Reports without links to recordings.
    Reports,
    /// Reports and recordings.
    ReportsAndRecordings,
}

/// How much of the command API an account may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CommandAccess {
    /// Nothing.
    #[default]
    Deny,
    /// Commands that change nothing.
    ReadOnly,
    /// Every command.
    FullAccess,
}

/// Whether something is permitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Permitted {
    /// It is not.
    #[default]
    No,
    /// It is.
    Yes,
}

/// A permission list is faulty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no permission; expected reporting, recordings, command=read_only, \
     command=full_access, ingest or admin"
)]
pub struct InvalidPermission {
    /// The faulty word.
    pub found: String,
}

impl Permissions {
    /// Reads a list such as `reporting,recordings,command=read_only`. `recordings` is part of
    /// `reporting` and brings it along.
    pub fn parse(list: &str) -> Result<Permissions, InvalidPermission> {
        let mut permissions = Permissions::default();
        for word in list
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            match word {
                "reporting" if permissions.reporting == Reporting::Deny => {
                    permissions.reporting = Reporting::Reports;
                }
                "reporting" => {}
                "recordings" => permissions.reporting = Reporting::ReportsAndRecordings,
                "command=deny" => permissions.command = CommandAccess::Deny,
                "command=read_only" => permissions.command = CommandAccess::ReadOnly,
                "command=full_access" => permissions.command = CommandAccess::FullAccess,
                "ingest" => permissions.ingest = Permitted::Yes,
                "admin" => permissions.admin = Permitted::Yes,
                other => {
                    return Err(InvalidPermission {
                        found: other.into(),
                    });
                }
            }
        }
        Ok(permissions)
    }

    /// The list that [`Permissions::parse`] reads.
    pub fn words(&self) -> Vec<&'static str> {
        let mut words = Vec::new();
        match self.reporting {
            Reporting::Deny => {}
            Reporting::Reports => words.push("reporting"),
            Reporting::ReportsAndRecordings => words.extend(["reporting", "recordings"]),
        }
        match self.command {
            CommandAccess::Deny => {}
            CommandAccess::ReadOnly => words.push("command=read_only"),
            CommandAccess::FullAccess => words.push("command=full_access"),
        }
        if self.ingest == Permitted::Yes {
            words.push("ingest");
        }
        if self.admin == Permitted::Yes {
            words.push("admin");
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_read_again_as_it_was_written() {
        for list in [
            "",
            "reporting",
            "reporting,recordings",
            "command=read_only,ingest",
            "reporting,recordings,command=full_access,ingest,admin",
        ] {
            assert_eq!(Permissions::parse(list).unwrap().words().join(","), list);
        }
        assert_eq!(
            Permissions::parse("recordings,reporting"),
            Permissions::parse("recordings")
        );
    }

    #[test]
    fn a_word_that_is_no_permission_is_named() {
        assert_eq!(
            Permissions::parse("reporting,root").unwrap_err().found,
            "root"
        );
        assert!(Permissions::parse("command=yes").is_err());
    }
}

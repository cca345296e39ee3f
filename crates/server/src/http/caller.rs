//! Who calls: the address, and the account behind a bearer token.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use debrief_domain::{CommandAccess, Permitted, Reporting};
use debrief_report::Access;
use debrief_store::{Account, Grant, TokenHash};
use ipnet::IpNet;

use super::error::{ApiError, TokenGiven, forbidden, too_many, unauthorized, wrong_network};
use crate::app::{App, Names};
use crate::config::network;
use crate::random;

/// The other end of the connection, put into each request by the server.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The address a request came from: the connection's, or what a configured proxy says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address(pub(crate) IpAddr);

impl FromRequestParts<App> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Address, Infallible> {
        let peer = parts.extensions.get::<Peer>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
        Ok(Address(client(
            peer,
            &parts.headers,
            &app.config().trusted_proxies,
        )))
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The right-most hop that is no trusted proxy; what stands left of it anyone can make up.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(&peer) {
        return peer;
    }
    let lines = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let hops: Vec<&str> = lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect();
    let mut last = peer;
    for hop in hops.iter().rev() {
        let without_port = hop.parse::<SocketAddr>().map(|address| address.ip());
        let Ok(hop) = hop.parse::<IpAddr>().or(without_port) else {
            return last;
        };
        last = hop.to_canonical();
        if !is_trusted(&last) {
            return last;
        }
    }
    last
}

/// An account with a valid token, from a network it may come from, within its limits.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) account: Arc<Account>,
    /// The token's hash, for looking again later.
    pub(crate) token: TokenHash,
    /// The directory as it is at this moment.
    pub(crate) names: Names,
}

impl Caller {
    /// Finds out who calls.
    pub(crate) async fn find(
        app: &App,
        address: Address,
        headers: &HeaderMap,
    ) -> Result<Caller, ApiError> {
        Caller::known_by(app, address, headers, random::sha256).await
    }

    /// Finds out who calls with a token that is kept under another hash than the usual one, and so
    /// opens nothing else.
    pub(crate) async fn known_by(
        app: &App,
        address: Address,
        headers: &HeaderMap,
        hash: impl FnOnce(&str) -> [u8; 32],
    ) -> Result<Caller, ApiError> {
        let Some(token) = bearer(headers) else {
            return Err(unauthorized(TokenGiven::No));
        };
        let hash = TokenHash(hash(token));
        let grant = app.store().grant(hash, app.now()).await?;
        let Some(Grant {
            account,
            version,
            directory,
        }) = grant
        else {
            return Err(unauthorized(TokenGiven::Yes));
        };
        if !is_home(&account, address.0) {
            return Err(wrong_network());
        }
        app.count_request(&account)
            .map_err(|limit| too_many(&limit))?;
        Ok(Caller {
            account,
            token: hash,
            names: Names { version, directory },
        })
    }

    /// Insists on the permission to send events.
    pub(crate) fn may_ingest(&self) -> Result<(), ApiError> {
        match self.account.permissions.ingest {
            Permitted::Yes => Ok(()),
            Permitted::No => Err(forbidden("ingest")),
        }
    }

    /// Insists on the permission to change the server.
    pub(crate) fn may_admin(&self) -> Result<(), ApiError> {
        match self.account.permissions.admin {
            Permitted::Yes => Ok(()),
            Permitted::No => Err(forbidden("admin")),
        }
    }

    /// Insists on the permission to see recordings.
    pub(crate) fn may_see_recordings(&self) -> Result<(), ApiError> {
        match self.account.permissions.reporting {
            Reporting::ReportsAndRecordings => Ok(()),
            Reporting::Reports | Reporting::Deny => Err(forbidden("recordings")),
        }
    }

    /// Insists on the permission to give a command.
    pub(crate) fn may_command(&self, access: Access) -> Result<(), ApiError> {
        match (self.account.permissions.command, access) {
            (CommandAccess::FullAccess, Access::Read | Access::Full)
            | (CommandAccess::ReadOnly, Access::Read) => Ok(()),
            (CommandAccess::ReadOnly, Access::Full) => Err(forbidden("command=full_access")),
            (CommandAccess::Deny, Access::Read | Access::Full) => Err(forbidden("command")),
        }
    }

    /// Insists on the permission to read reports.
    pub(crate) fn may_report(&self) -> Result<(), ApiError> {
        match self.account.permissions.reporting {
            Reporting::Reports | Reporting::ReportsAndRecordings => Ok(()),
            Reporting::Deny => Err(forbidden("reporting")),
        }
    }
}

/// The token of an `Authorization` header; its scheme is read without regard to case (RFC 9110).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether an account may be used from this address.
pub(crate) fn is_home(account: &Account, address: IpAddr) -> bool {
    let mut networks = account
        .networks
        .iter()
        .filter_map(|text| network(text).ok());
    account.networks.is_empty() || networks.any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|text| network(text).unwrap()).collect();
        let found = client(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(found, expected.parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_header_from_a_stranger_is_not_believed() {
        check("203.0.113.9", &["10.0.0.1"], &[], "203.0.113.9");
        check("203.0.113.9", &["10.0.0.1"], &["10.0.0.0/8"], "203.0.113.9");
    }

    #[test]
    fn of_a_trusted_proxy_the_right_most_untrusted_hop_counts() {
        let trusted = ["10.0.0.0/8"];
        check(
            "10.0.0.1",
            &["1.1.1.1, 203.0.113.9"],
            &trusted,
            "203.0.113.9",
        );
        check(
            "10.0.0.1",
            &["1.1.1.1, 203.0.113.9, 10.0.0.2"],
            &trusted,
            "203.0.113.9",
        );
        check(
            "10.0.0.1",
            &["1.1.1.1", "203.0.113.9:4711"],
            &trusted,
            "203.0.113.9",
        );
        check("10.0.0.1", &[], &trusted, "10.0.0.1");
        check("10.0.0.1", &["unknown, 10.0.0.3"], &trusted, "10.0.0.3");
        check(
            "::ffff:10.0.0.1",
            &["[2001:db8::1]:80"],
            &trusted,
            "2001:db8::1",
        );
    }
}

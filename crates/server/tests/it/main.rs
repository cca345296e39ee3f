//! The program as its clients meet it: the router without a socket and with a fixed clock, and
//! the real binary with a data directory of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should panic where it stands"
)]

mod access;
mod browser;
mod changes;
mod command;
mod download;
mod events;
mod faults;
mod kills;
mod links;
mod meshcentral;
mod neighbours;
mod objects;
mod process;
mod pull;
mod recordings;
mod reporting;
mod rustdesk;
mod seed_examples;
mod sender;
mod team;
mod world;

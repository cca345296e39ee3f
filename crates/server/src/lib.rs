//! The room that talks: command line, configuration, HTTP, and the work that goes on by itself.

pub mod app;
pub mod cli;
mod client;
pub mod clock;
pub mod config;
mod demo;
mod download;
pub mod http;
mod intake;
pub mod pages;
mod random;
pub mod recording;
mod render;
pub mod sources;
mod stop;
pub mod sweep;
mod wire;

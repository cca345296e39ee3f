//! JSON and TOML as they come and go. Converted by hand to and from what the program works with.

pub(crate) mod directory;
pub(crate) mod event;
pub(crate) mod shape;

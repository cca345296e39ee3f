//! Recordings: what form they have, and terminal recordings in a form that a browser plays.

pub mod cast;
pub(crate) mod keep;
pub mod media;
pub(crate) mod play;

//! Recordings: what form they have, and recordings of terminals and desktops in a form that a
//! browser plays.

pub mod cast;
pub(crate) mod keep;
pub(crate) mod mcrec;
pub mod media;
pub(crate) mod play;
pub mod screen;

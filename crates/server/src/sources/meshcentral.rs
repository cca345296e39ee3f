//! A MeshCentral server that is followed.

mod chat;
mod events;
mod grouping;

use serde::Deserialize;

/// What the configuration says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {}

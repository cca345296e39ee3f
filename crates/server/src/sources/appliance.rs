//! An appliance, or another Debrief, that is copied.

use serde::Deserialize;

/// What the configuration says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {}

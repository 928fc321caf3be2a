//! Who did something.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ActorKind;

/// A person, a key or the system, as named in `createdBy`, `decidedBy` and the activity log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// What it is.
    pub kind: ActorKind,
    /// `user_…` or `key_…`; null for the system.
    #[schema(required)]
    pub id: Option<String>,
    /// A name to show. Agents see a person's name as `human`.
    pub name: String,
}

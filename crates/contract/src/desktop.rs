//! Desktops: machines on which a runner executes tasks (contract section 5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{DesktopStatus, Timestamp};

/// A machine on which a runner executes tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Desktop {
    /// `desk_…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its runner has been heard from in the last 30 seconds.
    pub status: DesktopStatus,
    /// When its runner was last heard from.
    #[schema(required)]
    pub last_seen_at: Option<Timestamp>,
    /// The tasks it is executing.
    pub running_task_ids: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// `POST /api/desktops`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateDesktop {
    /// What to call it.
    pub name: String,
}

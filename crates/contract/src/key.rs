//! API keys (contract section 6).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Capability, KeyKind, Timestamp};

/// An API key, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// `key_…`.
    pub id: String,
    /// What to call it.
    pub name: String,
    /// Whom it speaks for.
    pub kind: KeyKind,
    /// What it may do.
    pub capabilities: Vec<Capability>,
    /// The desktop that an agent key is bound to; null for other kinds.
    #[schema(required)]
    pub desktop_id: Option<String>,
    /// The last four characters of its text, to recognise it by.
    pub last4: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used.
    #[schema(required)]
    pub last_used_at: Option<Timestamp>,
}

/// A new API key with its text, which is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedApiKey {
    /// The key.
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// Its text, `csk_KIND_…`: a secret.
    pub key: String,
}

/// Never prints the secret.
impl std::fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedApiKey")
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// `POST /api/auth/api-keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateApiKey {
    /// What to call it.
    pub name: String,
    /// Whom it shall speak for.
    pub kind: KeyKind,
    /// What it shall be able to do; absent: the default of its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<Capability>>,
    /// The desktop an agent key is bound to: mandatory for that kind, refused for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desktop_id: Option<String>,
}

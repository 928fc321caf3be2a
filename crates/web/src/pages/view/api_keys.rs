//! `/settings/api-keys`: list, create, revoke.

use askama::Template;

use super::board::Choice;
use super::{Frame, When};
use crate::show::Shown;

/// The list with the form that creates one.
#[derive(Template)]
#[template(path = "api_keys.html")]
pub struct ApiKeysPage {
    pub frame: Frame,
    pub keys: Vec<ApiKey>,
    pub form: KeyForm,
}

/// After it was created: the text, once.
#[derive(Template)]
#[template(path = "api_key_created.html")]
pub struct ApiKeyCreated {
    pub frame: Frame,
    pub name: Shown,
    pub kind: &'static str,
    pub key: String,
}

/// One key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub id: String,
    pub name: Shown,
    /// `human`, `service`, `agent`.
    pub kind: &'static str,
    pub last4: String,
    pub capabilities: Vec<&'static str>,
    /// Of an agent key.
    pub desktop: Option<Shown>,
    pub created: When,
    pub last_used: Option<When>,
}

/// The form with what was typed so far.
#[derive(Clone, Debug)]
pub struct KeyForm {
    pub idempotency_key: String,
    pub name: String,
    /// `human`, `service` or `agent`; the form starts with `service`, which cannot decide.
    pub kind: String,
    pub capabilities: Vec<CapabilityChoice>,
    /// For an agent key.
    pub desktops: Vec<Choice>,
    pub error: Option<String>,
}

/// One capability to tick.
#[derive(Clone, Debug)]
pub struct CapabilityChoice {
    /// `approvals:decide`.
    pub code: &'static str,
    /// `Approve and reject`.
    pub label: &'static str,
    pub checked: bool,
}

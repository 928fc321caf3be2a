//! Who acts, and what they may do (contract section 6).

use crate::codes::codes;
use crate::id::{DesktopId, KeyId, UserId};
use crate::refusal::Refusal;

codes! {
    /// What kind of actor stands behind a credential.
    ActorKind {
        /// A person: the only kind that decides.
        Human = "human",
        /// A program of the account.
        Service = "service",
        /// A runner or an agent, bound to one desktop.
        Agent = "agent",
        /// The server itself: leases, time-outs, dependencies.
        System = "system",
    }
}

impl ActorKind {
    /// The most a credential of this kind may ever have, whatever it was given (contract
    /// section 6). The server has all but still decides nothing: see [`Reviewer`].
    pub fn ceiling(self) -> Capabilities {
        use Capability::{TasksRead, TasksRun, TasksWrite};
        match self {
            Self::Human | Self::System => Capabilities::ALL,
            Self::Service => [TasksRead, TasksWrite, TasksRun].into_iter().collect(),
            Self::Agent => [TasksRead, TasksWrite].into_iter().collect(),
        }
    }
}

codes! {
    /// One thing a credential may do.
    Capability {
        /// Read tasks, approvals, activity, settings, dashboard, desktops.
        TasksRead = "tasks:read",
        /// Create, retry, cancel.
        TasksWrite = "tasks:write",
        /// Run, and start automatically.
        TasksRun = "tasks:run",
        /// Review and resolve.
        ApprovalsDecide = "approvals:decide",
        /// Change Task Approval Mode and the other settings.
        SettingsWrite = "settings:write",
        /// Add and remove desktops.
        DesktopsWrite = "desktops:write",
        /// Everything about API keys.
        KeysWrite = "keys:write",
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u8);

impl Capabilities {
    /// No capability.
    pub const NONE: Self = Self(0);
    /// All seven.
    pub const ALL: Self = Self(0b0111_1111);

    /// Whether `capability` is in the set.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// Whether every member is also in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The members that are also in `other`.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members, in the order of the contract.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL
            .iter()
            .copied()
            .filter(move |c| self.has(*c))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(members: I) -> Self {
        Self(members.into_iter().fold(0, |set, c| set | 1 << c as u8))
    }
}

impl std::fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.iter().map(Capability::as_str))
            .finish()
    }
}

/// Which row of the account acts: a person, a key, or the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PrincipalId {
    /// A person signed in by a session.
    User(UserId),
    /// An API key of any kind.
    Key(KeyId),
    /// The server itself.
    System,
}

impl std::fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Key(id) => id.fmt(f),
            Self::System => f.write_str("system"),
        }
    }
}

impl std::str::FromStr for PrincipalId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "system" {
            return Ok(Self::System);
        }
        let user = text.parse().map(Self::User);
        user.or_else(|_| text.parse().map(Self::Key))
            .map_err(|_| format!("'{text}' is not the id of a user or a key"))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for PrincipalId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for PrincipalId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Who did something, as it is recorded: `createdBy`, `decidedBy`, the actor of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Identity {
    /// What kind of actor.
    pub kind: ActorKind,
    /// Which one.
    pub id: PrincipalId,
    /// The name the principal had then.
    pub name: String,
}

impl Identity {
    /// The server itself.
    pub fn system() -> Self {
        Self {
            kind: ActorKind::System,
            id: PrincipalId::System,
            name: "system".to_owned(),
        }
    }
}

/// An authenticated credential: identity and authority, never taken from a request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who it is.
    pub identity: Identity,
    /// What it may do.
    pub capabilities: Capabilities,
    /// The one desktop an agent is bound to.
    pub desktop: Option<DesktopId>,
}

impl Principal {
    /// A signed-in person with every capability.
    pub fn person(id: UserId, name: impl Into<String>) -> Self {
        Self {
            identity: Identity {
                kind: ActorKind::Human,
                id: PrincipalId::User(id),
                name: name.into(),
            },
            capabilities: Capabilities::ALL,
            desktop: None,
        }
    }

    /// The server itself, for leases, time-outs, dependencies and administration.
    pub fn system() -> Self {
        Self {
            identity: Identity::system(),
            capabilities: Capabilities::ALL,
            desktop: None,
        }
    }

    /// Refuses unless the credential has `capability` and is of a kind that may have it.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] naming the capability, and for every use of an agent credential
    /// without a desktop: it would not be confined.
    pub fn require(&self, capability: Capability) -> Result<(), Refusal> {
        let kind = self.identity.kind;
        let reason = if !kind.ceiling().has(capability) {
            format!("a credential of kind {kind} never has the capability {capability}")
        } else if !self.capabilities.has(capability) {
            format!("this credential lacks the capability {capability}")
        } else if kind == ActorKind::Agent && self.desktop.is_none() {
            "an agent credential must be bound to a desktop".to_owned()
        } else {
            return Ok(());
        };
        Err(Refusal::Forbidden(reason))
    }

    /// The desktop that is this credential's whole world, for an agent.
    pub fn confined_to(&self) -> Option<DesktopId> {
        if self.identity.kind == ActorKind::Agent {
            self.desktop
        } else {
            None
        }
    }
}

/// Proof that a credential may decide: a person's, with `approvals:decide`.
///
/// Nothing else makes one, so no code path can decide for an agent, a service or the server.
#[derive(Debug, Clone)]
pub struct Reviewer(Identity);

impl Reviewer {
    /// # Errors
    /// [`Refusal::Forbidden`] for every kind but a person, and without the capability.
    pub fn of(principal: &Principal) -> Result<Self, Refusal> {
        principal.require(Capability::ApprovalsDecide)?;
        match principal.identity.kind {
            ActorKind::Human => Ok(Self(principal.identity.clone())),
            kind @ (ActorKind::Service | ActorKind::Agent | ActorKind::System) => {
                Err(Refusal::Forbidden(format!(
                    "only a person decides, this credential is of kind {kind}"
                )))
            }
        }
    }

    /// Who decides.
    pub fn identity(&self) -> &Identity {
        &self.0
    }
}

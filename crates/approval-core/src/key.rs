//! What a new API key may be given (contract section 6): never more than its kind allows and
//! never more than its minter has.

use crate::codes::codes;
use crate::id::DesktopId;
use crate::limits::check_name;
use crate::principal::{ActorKind, Capabilities, Capability, Principal};
use crate::refusal::{Invalid, Refusal};

codes! {
    /// The kinds of API key.
    KeyKind {
        /// For a person: may decide when given that capability.
        Human = "human",
        /// For a program: never decides.
        Service = "service",
        /// For the runner and the agents of one desktop: never decides.
        Agent = "agent",
    }
}

impl KeyKind {
    /// The most a key of this kind may ever have.
    pub fn ceiling(self) -> Capabilities {
        self.actor().ceiling()
    }

    /// What a key of this kind has when the request names nothing.
    fn default_capabilities(self) -> Capabilities {
        match self {
            Self::Human | Self::Service => self.ceiling(),
            Self::Agent => Capabilities::NONE,
        }
    }

    /// The kind of actor such a key is.
    pub const fn actor(self) -> ActorKind {
        match self {
            Self::Human => ActorKind::Human,
            Self::Service => ActorKind::Service,
            Self::Agent => ActorKind::Agent,
        }
    }
}

/// A wish for a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// What its owner calls it.
    pub name: String,
    /// Which kind.
    pub kind: KeyKind,
    /// What it shall be able to do; `None` is the default of the kind.
    pub capabilities: Option<Vec<Capability>>,
    /// The desktop an agent key is bound to.
    pub desktop: Option<DesktopId>,
}

/// What the new key gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyGrant {
    /// Its kind, which never changes.
    pub kind: KeyKind,
    /// What it may do, which never grows.
    pub capabilities: Capabilities,
    /// The desktop of an agent key.
    pub desktop: Option<DesktopId>,
}

impl KeyRequest {
    /// Decides what `minter` may hand out.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] when the minter has less than it wants to give,
    /// [`Refusal::Invalid`] when the kind cannot have what was asked.
    pub fn grant(&self, minter: &Principal) -> Result<KeyGrant, Refusal> {
        minter.require(Capability::KeysWrite)?;
        if self.kind == KeyKind::Agent {
            minter.require(Capability::DesktopsWrite)?;
        }
        let wanted = self
            .capabilities
            .as_ref()
            .map(|c| c.iter().copied().collect());
        if let Some(wanted) = wanted {
            self.refuse_beyond_minter(wanted, minter)?;
        }
        check_name(Invalid::Key, &self.name)?;
        self.check_desktop()?;
        if let Some(wanted) = wanted {
            self.refuse_beyond_kind(wanted)?;
        }
        let capabilities = wanted.unwrap_or_else(|| self.kind.default_capabilities());
        Ok(KeyGrant {
            kind: self.kind,
            capabilities: capabilities.intersection(minter.capabilities),
            desktop: self.desktop,
        })
    }

    fn refuse_beyond_minter(
        &self,
        wanted: Capabilities,
        minter: &Principal,
    ) -> Result<(), Refusal> {
        wanted
            .intersection(self.kind.ceiling())
            .iter()
            .try_for_each(|c| minter.require(c))
    }

    fn refuse_beyond_kind(&self, wanted: Capabilities) -> Result<(), Refusal> {
        match wanted.iter().find(|c| !self.kind.ceiling().has(*c)) {
            None => Ok(()),
            Some(c) => Err(Refusal::Invalid {
                what: Invalid::Key,
                field: "capabilities",
                reason: format!("a key of kind {} never has {c}", self.kind),
            }),
        }
    }

    fn check_desktop(&self) -> Result<(), Refusal> {
        let reason = match (self.kind, self.desktop) {
            (KeyKind::Agent, None) => "an agent key names the desktop it is bound to",
            (KeyKind::Human | KeyKind::Service, Some(_)) => {
                "only an agent key is bound to a desktop"
            }
            _ => return Ok(()),
        };
        Err(Refusal::Invalid {
            what: Invalid::Key,
            field: "desktopId",
            reason: reason.to_owned(),
        })
    }
}

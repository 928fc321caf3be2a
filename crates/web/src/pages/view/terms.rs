//! The words that several pages share: status, kind, gate, people, links to tasks. Each brings its
//! word and its icon, so that nothing is told by colour alone.

use crate::show::Shown;

/// The status of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    Running,
    Review,
    Done,
    Failed,
    Cancelled,
}

impl Status {
    /// As the contract writes it; also its class.
    pub fn code(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Review => "review",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Review => "Review",
            Self::Done => "Done",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Its icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Pending => "circle-dashed",
            Self::Running => "loader",
            Self::Review => "eye",
            Self::Done => "circle-check",
            Self::Failed => "circle-x",
            Self::Cancelled => "ban",
        }
    }
}

/// What a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Prompt,
    Command,
}

impl Kind {
    /// The value of the form and of the contract.
    pub fn code(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Command => "command",
        }
    }

    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Prompt => "Prompt",
            Self::Command => "Command",
        }
    }

    /// Its icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Prompt => "message-square-text",
            Self::Command => "terminal",
        }
    }
}

/// Why a task is held for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It is not.
    None,
    /// The switch of the task.
    Task,
    /// Task Approval was on for the account.
    Global,
}

impl Gate {
    /// Whether there is one.
    pub fn is_shut(self) -> bool {
        self != Self::None
    }

    /// The reason as a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Self::None => "Not gated",
            Self::Task => "Requires Approval is set on this task",
            Self::Global => "Task Approval is on for the account",
        }
    }
}

/// Who did something; taken from the credential, never from a body.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The e-mail address of a person, the name of a key, or `system`.
    pub name: Shown,
    pub kind: ActorKind,
    /// The reader.
    pub is_you: bool,
}

/// What kind of actor it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    Human,
    Service,
    Agent,
    System,
}

impl ActorKind {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Human => "person",
            Self::Service => "service key",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }

    /// Its icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Human => "user",
            Self::Service => "key-round",
            Self::Agent => "bot",
            Self::System => "server",
        }
    }
}

/// Another task, by its title.
#[derive(Clone, Debug)]
pub struct TaskLink {
    /// `/tasks/ID`.
    pub href: String,
    pub title: Shown,
    pub status: Status,
}

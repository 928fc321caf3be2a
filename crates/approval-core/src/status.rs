//! The states of a task and the only steps between them (contract section 1).

use crate::codes::codes;

codes! {
    /// Where a task stands.
    Status {
        /// Created; nobody asked to run it yet, or a dependency is not done.
        Pending = "pending",
        /// Queued for its desktop or being executed there.
        Running = "running",
        /// Finished by the agent; waits for a person.
        Review = "review",
        /// Finished, and approved where that was needed.
        Done = "done",
        /// The agent failed, or a person rejected the work.
        Failed = "failed",
        /// Withdrawn before it was done.
        Cancelled = "cancelled",
    }
}

impl Status {
    /// Whether nothing can happen to the task any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Whether a task in this state can never become done: its dependents wait for a retry.
    pub const fn is_dead(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }

    /// Whether `self -> next` is a step of contract section 1. Staying is no step.
    pub const fn can_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Running | Self::Cancelled),
            Self::Running => matches!(
                next,
                Self::Review | Self::Done | Self::Failed | Self::Cancelled
            ),
            Self::Review => matches!(next, Self::Done | Self::Failed | Self::Cancelled),
            Self::Done | Self::Failed | Self::Cancelled => false,
        }
    }
}

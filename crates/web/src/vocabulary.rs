//! The words of the wire and those of the core, value by value. A new value in either does not
//! compile until it has its counterpart.

use approval_core as core;
use contract as wire;

/// A value of the core that has a word on the wire.
pub(crate) trait ToWire {
    type Wire;
    fn to_wire(self) -> Self::Wire;
}

/// A word of the wire that has a value in the core.
pub(crate) trait ToCore {
    type Core;
    fn to_core(self) -> Self::Core;
}

macro_rules! mirrors {
    ($($core:ident = $wire:ident { $($variant:ident)+ })+) => {$(
        impl ToWire for core::$core {
            type Wire = wire::$wire;
            fn to_wire(self) -> wire::$wire {
                match self { $(Self::$variant => wire::$wire::$variant,)+ }
            }
        }

        impl ToCore for wire::$wire {
            type Core = core::$core;
            fn to_core(self) -> core::$core {
                match self { $(Self::$variant => core::$core::$variant,)+ }
            }
        }
    )+};
}

mirrors! {
    Status = TaskStatus { Pending Running Review Done Failed Cancelled }
    TaskType = TaskType { Prompt Command }
    OnDependencyFailure = OnDependencyFailure { Block Cancel }
    Decision = Decision { Approve Reject }
    ApprovalStatus = ApprovalStatus { Pending Approved Rejected Cancelled }
    GateReason = ApprovalReason { Task Global }
    ActorKind = ActorKind { Human Service Agent System }
    KeyKind = KeyKind { Human Service Agent }
    Capability = Capability {
        TasksRead TasksWrite TasksRun ApprovalsDecide SettingsWrite DesktopsWrite KeysWrite
    }
    LogStream = LogStream { Stdout Stderr Agent }
    ChangeKind = FileChange { Added Modified Deleted Renamed }
    Outcome = Outcome { Succeeded Failed }
}

impl ToWire for core::Timestamp {
    type Wire = wire::Timestamp;
    fn to_wire(self) -> wire::Timestamp {
        time::OffsetDateTime::from(self).into()
    }
}

impl ToCore for wire::Timestamp {
    type Core = core::Timestamp;
    fn to_core(self) -> core::Timestamp {
        self.get().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counterparts_have_the_same_word() {
        macro_rules! same_words {
            ($($core:ident)+) => {$(
                for value in core::$core::ALL {
                    assert_eq!(value.as_str(), value.to_wire().as_str());
                    assert_eq!(value.to_wire().to_core(), *value);
                }
            )+};
        }
        same_words! {
            Status TaskType OnDependencyFailure Decision ApprovalStatus GateReason ActorKind
            KeyKind Capability LogStream ChangeKind Outcome
        }
    }

    #[test]
    fn a_time_keeps_its_microseconds() {
        let at = core::Timestamp::from_micros(1_773_569_100_123_456);
        assert_eq!(at.to_wire().to_string(), at.to_string());
        assert_eq!(at.to_wire().to_core(), at);
    }
}

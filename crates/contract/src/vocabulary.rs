//! The closed vocabularies: enums whose words are part of the contract.

/// A word that is not in the vocabulary; the message names the words there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord {
    /// What was found.
    pub found: String,
    /// What would have been accepted.
    pub expected: &'static [&'static str],
}

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "unknown value '{}', expected one of: {}",
            self.found,
            self.expected.join(", ")
        )
    }
}

impl std::error::Error for UnknownWord {}

/// Declares an enum with the word of each variant: serde, schema, `ALL`, `as_str`, `FromStr`, `Display`.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, utoipa::ToSchema,
        )]
        pub enum $name {
            $(
                $(#[$variant_doc])*
                #[serde(rename = $word)]
                #[schema(rename = $word)]
                $variant,
            )+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        /// Only the word itself: serde's own reading also takes `{"word": null}`.
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    other => Err(UnknownWord { found: other.to_owned(), expected: Self::WORDS }),
                }
            }
        }
    };
}

vocabulary! {
    /// What a task asks the desktop to do.
    TaskType {
        /// `content` is a prompt for an agent.
        Prompt = "prompt",
        /// `content` is a command for a shell.
        Command = "command",
    }
}

vocabulary! {
    /// Where a task stands (contract section 1).
    TaskStatus {
        /// Created, not started.
        Pending = "pending",
        /// Queued for its desktop or being executed there.
        Running = "running",
        /// Finished successfully, waiting for a decision.
        Review = "review",
        /// Finished, and approved where an approval was required.
        Done = "done",
        /// Failed on its own, or rejected.
        Failed = "failed",
        /// Called off.
        Cancelled = "cancelled",
    }
}

vocabulary! {
    /// What a reviewer says.
    Decision {
        /// The work counts; dependents may start.
        Approve = "approve",
        /// The work does not count; the task fails and the feedback is kept.
        Reject = "reject",
    }
}

vocabulary! {
    /// What an approval is about. There is one kind so far.
    ApprovalKind {
        /// The result of a task.
        Task = "task",
    }
}

vocabulary! {
    /// Where an approval stands.
    ApprovalStatus {
        /// Waiting for a decision.
        Pending = "pending",
        /// Approved.
        Approved = "approved",
        /// Rejected.
        Rejected = "rejected",
        /// Its task was cancelled while in review.
        Cancelled = "cancelled",
    }
}

vocabulary! {
    /// Why an approval was required.
    ApprovalReason {
        /// The task asked for it (`requiresApproval`).
        Task = "task",
        /// The account's Task Approval Mode was on.
        Global = "global",
    }
}

vocabulary! {
    /// What happens to a task when one that it depends on ends without being done.
    OnDependencyFailure {
        /// It stays pending and names the dependency in `blockedBy`.
        Block = "block",
        /// It is cancelled, and so are those that depend on it in the same way.
        Cancel = "cancel",
    }
}

vocabulary! {
    /// Whom an API key speaks for.
    KeyKind {
        /// A person.
        Human = "human",
        /// A program that plans work.
        Service = "service",
        /// A runner, bound to one desktop.
        Agent = "agent",
    }
}

vocabulary! {
    /// Who did something.
    ActorKind {
        /// A person, in a session or by a human key.
        Human = "human",
        /// A service key.
        Service = "service",
        /// An agent key.
        Agent = "agent",
        /// Countersign itself.
        System = "system",
    }
}

vocabulary! {
    /// What a credential may do (contract section 6).
    Capability {
        /// Read tasks with their output, approvals, activity, settings, dashboard and desktops.
        TasksRead = "tasks:read",
        /// Create, retry and cancel tasks.
        TasksWrite = "tasks:write",
        /// Run tasks, and let them start by themselves.
        TasksRun = "tasks:run",
        /// Approve and reject.
        ApprovalsDecide = "approvals:decide",
        /// Change settings.
        SettingsWrite = "settings:write",
        /// Create and delete desktops.
        DesktopsWrite = "desktops:write",
        /// List, create and revoke API keys.
        KeysWrite = "keys:write",
    }
}

vocabulary! {
    /// Whether a desktop has been heard from.
    DesktopStatus {
        /// Heard from in the last 30 seconds.
        Running = "running",
        /// Not heard from.
        Stopped = "stopped",
    }
}

vocabulary! {
    /// Where a piece of log came from.
    LogStream {
        /// Standard output.
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
        /// What the agent reports about its own steps.
        Agent = "agent",
    }
}

vocabulary! {
    /// What happened to a file.
    FileChange {
        /// It is new.
        Added = "added",
        /// Its content or mode changed.
        Modified = "modified",
        /// It is gone.
        Deleted = "deleted",
        /// It has another path; `oldPath` is where it was.
        Renamed = "renamed",
    }
}

vocabulary! {
    /// How an attempt ended, as the runner reports it.
    Outcome {
        /// The agent finished successfully.
        Succeeded = "succeeded",
        /// It did not.
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// serde, `as_str` and `FromStr` must agree on every word.
    fn round_trips<T>(all: &[T], word: fn(T) -> &'static str)
    where
        T: Copy
            + std::fmt::Debug
            + PartialEq
            + serde::Serialize
            + serde::de::DeserializeOwned
            + std::str::FromStr<Err = UnknownWord>,
    {
        for &value in all {
            let json = serde_json::Value::from(word(value));
            assert_eq!(serde_json::to_value(value).unwrap(), json);
            assert_eq!(serde_json::from_value::<T>(json).unwrap(), value);
            assert_eq!(word(value).parse::<T>().unwrap(), value);
        }
    }

    #[test]
    fn every_word_round_trips() {
        round_trips(TaskType::ALL, TaskType::as_str);
        round_trips(TaskStatus::ALL, TaskStatus::as_str);
        round_trips(Decision::ALL, Decision::as_str);
        round_trips(ApprovalKind::ALL, ApprovalKind::as_str);
        round_trips(ApprovalStatus::ALL, ApprovalStatus::as_str);
        round_trips(ApprovalReason::ALL, ApprovalReason::as_str);
        round_trips(OnDependencyFailure::ALL, OnDependencyFailure::as_str);
        round_trips(KeyKind::ALL, KeyKind::as_str);
        round_trips(ActorKind::ALL, ActorKind::as_str);
        round_trips(Capability::ALL, Capability::as_str);
        round_trips(DesktopStatus::ALL, DesktopStatus::as_str);
        round_trips(LogStream::ALL, LogStream::as_str);
        round_trips(FileChange::ALL, FileChange::as_str);
        round_trips(Outcome::ALL, Outcome::as_str);
    }

    #[test]
    fn only_text_is_a_word() {
        for json in [r#"{"approve":null}"#, "1", "null", r#"["approve"]"#] {
            assert!(serde_json::from_str::<Decision>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let error = "Approve".parse::<Decision>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown value 'Approve', expected one of: approve, reject"
        );
    }
}

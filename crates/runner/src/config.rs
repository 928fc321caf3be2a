//! What a runner needs to know, and why it may refuse to work.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use client::{ClientError, Secret};

use crate::acp::Permissions;
use crate::confine::Confinement;

/// The beginning of the only keys a runner works with.
const AGENT_KEY: &str = "csk_agent_";
/// The variable that holds the key, which no task may have.
pub(crate) const KEY_VARIABLE: &str = "DESKTOP_API_KEY";

/// What a runner needs to know.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// Address of the server, `http://…` or `https://…`.
    pub server: String,
    /// The desktop whose tasks it executes, `desk_…`.
    pub desktop_id: String,
    /// An agent key bound to that desktop.
    pub key: Secret,
    /// The folder in which tasks are executed. It must exist.
    pub workdir: PathBuf,
    /// How many tasks are executed at once.
    pub slots: NonZeroUsize,
    /// Whether each task gets a git worktree of its own.
    pub isolate: bool,
    /// What executes prompt tasks; without it they fail.
    pub agent: Option<Agent>,
    /// Variables that tasks inherit beside the usual ones.
    pub pass_env: Vec<String>,
    /// The program that is started as `PROGRAM supervise` and `PROGRAM confine`: its `main` must
    /// begin with [`crate::helper`], and it must have no other child processes than the runner's.
    /// Without it tasks are neither followed beyond their process group nor confined.
    pub helper: Option<PathBuf>,
    /// What tasks may reach beside their folders; `None`: they are not confined.
    pub confinement: Option<Confinement>,
}

/// What executes prompt tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// A shell command that reads the prompt from its standard input.
    Command(String),
    /// A shell command that speaks the Agent Client Protocol, and what its permission requests get.
    Acp(String, Permissions),
}

impl RunnerConfig {
    /// A runner with everything else as it is by default: one task at a time, in the work folder
    /// itself, unconfined, no prompts.
    pub fn new(server: String, desktop_id: String, key: Secret, workdir: PathBuf) -> Self {
        Self {
            server,
            desktop_id,
            key,
            workdir,
            slots: NonZeroUsize::MIN,
            isolate: false,
            agent: None,
            pass_env: Vec::new(),
            helper: None,
            confinement: None,
        }
    }

    /// Whether a runner may start with this at all, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), RunnerError> {
        if !self.key.expose().starts_with(AGENT_KEY) {
            return Err(RunnerError::KeyKind);
        }
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if self.desktop_id.is_empty() || !self.desktop_id.bytes().all(is_id) {
            return Err(RunnerError::Desktop(self.desktop_id.clone()));
        }
        if !self.workdir.is_dir() {
            return Err(RunnerError::Workdir(self.workdir.clone()));
        }
        if self.pass_env.iter().any(|name| name == KEY_VARIABLE) {
            return Err(RunnerError::PassesKey);
        }
        Ok(())
    }
}

/// Why a runner stopped working.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The key is not an agent key. Tasks run as the runner's own user and may find its key: with a
    /// person's key they could approve themselves.
    #[error(
        "the key does not begin with {AGENT_KEY}: a runner works with an agent key of its desktop \
         only, because a task that got hold of a person's key could approve itself"
    )]
    KeyKind,
    /// The desktop's id is none: it names folders, too.
    #[error("{0:?} is not the id of a desktop: expected desk_…")]
    Desktop(String),
    /// The work folder does not exist, or is none.
    #[error("the work folder {} is not a folder", .0.display())]
    Workdir(PathBuf),
    /// Tasks would get the runner's key.
    #[error("{KEY_VARIABLE} is the runner's own key: no task may have it")]
    PassesKey,
    /// Each task shall have a git worktree, but the work folder is in no git repository with a
    /// commit, or git is missing.
    #[error(
        "every task shall have a git worktree of its own, but that cannot be made of {}: {reason}",
        .folder.display()
    )]
    Isolate {
        /// The work folder.
        folder: PathBuf,
        /// What git said.
        reason: String,
    },
    /// The operating system refuses what a runner needs.
    #[error("cannot start: {0}")]
    System(#[source] std::io::Error),
    /// The address or the key is malformed.
    #[error(transparent)]
    Client(ClientError),
    /// The server does not let this runner work: the key is unknown or revoked, belongs to another
    /// desktop, or the desktop is gone.
    #[error("the server refuses this runner: {0}")]
    Refused(#[source] ClientError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(key: &str, workdir: &str) -> RunnerConfig {
        let server = "http://127.0.0.1:1".to_owned();
        RunnerConfig::new(server, "desk_a".to_owned(), key.into(), workdir.into())
    }

    #[test]
    fn only_agent_keys_are_accepted() {
        for key in ["csk_human_x", "csk_service_x", "", "agent"] {
            let error = config(key, "/").check().expect_err("refused");
            assert!(matches!(error, RunnerError::KeyKind), "{error}");
        }
        config("csk_agent_x", "/").check().expect("accepted");
    }

    #[test]
    fn the_work_folder_must_exist() {
        let error = config("csk_agent_x", "/no/such/folder")
            .check()
            .expect_err("refused");
        assert_eq!(
            error.to_string(),
            "the work folder /no/such/folder is not a folder"
        );
    }

    #[test]
    fn an_id_that_is_a_path_is_refused() {
        let mut config = config("csk_agent_x", "/");
        for id in ["", "..", "desk_a/..", "desk a"] {
            config.desktop_id = id.to_owned();
            assert!(
                matches!(config.check(), Err(RunnerError::Desktop(_))),
                "{id}"
            );
        }
    }

    #[test]
    fn no_task_gets_the_key() {
        let mut config = config("csk_agent_x", "/");
        config.pass_env = vec!["OTHER".to_owned(), KEY_VARIABLE.to_owned()];
        assert!(matches!(config.check(), Err(RunnerError::PassesKey)));
    }

    #[test]
    fn debug_does_not_print_the_key() {
        assert!(!format!("{:?}", config("csk_agent_x", "/")).contains("csk_agent_x"));
    }
}

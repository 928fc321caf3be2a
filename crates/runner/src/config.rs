//! What a runner needs to know, and why it may refuse to work.

use std::path::PathBuf;

use client::{ClientError, Secret};

/// The beginning of the only keys a runner works with.
const AGENT_KEY: &str = "csk_agent_";

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
}

impl RunnerConfig {
    /// Whether a runner may start with this at all, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), RunnerError> {
        if !self.key.expose().starts_with(AGENT_KEY) {
            return Err(RunnerError::KeyKind);
        }
        if !self.workdir.is_dir() {
            return Err(RunnerError::Workdir(self.workdir.clone()));
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
    /// The work folder does not exist, or is none.
    #[error("the work folder {} is not a folder", .0.display())]
    Workdir(PathBuf),
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
        RunnerConfig {
            server: "http://127.0.0.1:1".to_owned(),
            desktop_id: "desk_a".to_owned(),
            key: key.into(),
            workdir: workdir.into(),
        }
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
    fn debug_does_not_print_the_key() {
        assert!(!format!("{:?}", config("csk_agent_x", "/")).contains("csk_agent_x"));
    }
}

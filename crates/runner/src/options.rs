//! The flags of a runner, for the programs that have one. Each can be given as an environment
//! variable of the same name.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use crate::acp::Permissions;
use crate::config::{Agent, RunnerConfig};
use crate::confine::Confinement;

/// How tasks are executed.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Execute prompt tasks by this shell command, which reads the prompt from its standard input
    #[arg(
        long,
        env = "PROMPT_COMMAND",
        value_name = "CMD",
        conflicts_with = "acp"
    )]
    prompt_command: Option<String>,

    /// Execute prompt tasks by this shell command, which speaks the Agent Client Protocol
    #[arg(long, env = "ACP", value_name = "CMD")]
    acp: Option<String>,

    /// What an agent of --acp gets when it asks for permission
    #[arg(
        long,
        env = "PERMISSIONS",
        value_name = "POLICY",
        default_value = "allow-once"
    )]
    permissions: Policy,

    /// How many tasks to execute at once, 1 to 64
    #[arg(long, env = "SLOTS", value_name = "N", default_value = "1", value_parser = slots)]
    slots: NonZeroUsize,

    /// Give each task a git worktree of its own; the work folder must be in a git repository
    #[arg(long, env = "ISOLATE", value_parser = BoolishValueParser::new())]
    isolate: bool,

    /// Let tasks inherit this environment variable; several are separated by commas
    #[arg(long, env = "PASS_ENV", value_name = "NAME", value_delimiter = ',')]
    pass_env: Vec<String>,

    /// Let confined tasks read this path, too; several are separated by commas
    #[arg(long, env = "ALLOW_READ", value_name = "PATH", value_delimiter = ',')]
    allow_read: Vec<PathBuf>,

    /// Let confined tasks write below this path, too; several are separated by commas
    #[arg(long, env = "ALLOW_WRITE", value_name = "PATH", value_delimiter = ',')]
    allow_write: Vec<PathBuf>,

    /// Let confined tasks use local sockets; before Linux 7.1 they then reach those of every program of
    /// the runner's user
    #[arg(long, env = "ALLOW_LOCAL_SOCKETS", value_parser = BoolishValueParser::new())]
    allow_local_sockets: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    /// Allow once what concerns only the work folder, reject the rest
    AllowOnce,
    /// Reject everything
    Reject,
}

impl Options {
    /// Puts these options into a configuration.
    pub fn apply(&self, config: &mut RunnerConfig) {
        let permissions = match self.permissions {
            Policy::AllowOnce => Permissions::AllowOnce,
            Policy::Reject => Permissions::Reject,
        };
        let command = self.prompt_command.clone().map(Agent::Command);
        let acp = self.acp.clone().map(|acp| Agent::Acp(acp, permissions));
        config.agent = command.or(acp);
        config.slots = self.slots;
        config.isolate = self.isolate;
        config.pass_env.clone_from(&self.pass_env);
    }

    /// What confined tasks may reach beside their own folder, without any of `protect`. The paths are
    /// looked up now: a task cannot lead them elsewhere later.
    ///
    /// # Errors
    /// When a path does not exist; the text names the variable.
    pub fn confinement(&self, protect: Vec<PathBuf>) -> Result<Confinement, String> {
        Ok(Confinement {
            write: found("ALLOW_WRITE", &self.allow_write)?,
            read: found("ALLOW_READ", &self.allow_read)?,
            protect,
            local_sockets: self.allow_local_sockets,
        })
    }
}

fn found(variable: &str, paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let found = paths.iter().map(|path| {
        let missing = |error| format!("{variable}: {}: {error}", path.display());
        path.canonicalize().map_err(missing)
    });
    found.collect()
}

fn slots(text: &str) -> Result<NonZeroUsize, String> {
    let slots = text.parse().ok().filter(|slots| *slots <= 64);
    slots
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| "expected a whole number from 1 to 64".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn config(arguments: &[&str]) -> Result<RunnerConfig, String> {
        let arguments = [&["program"], arguments].concat();
        let program = Program::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let mut config = RunnerConfig::new(String::new(), String::new(), "".into(), "/".into());
        program.options.apply(&mut config);
        Ok(config)
    }

    #[test]
    fn an_agent_is_a_command_or_speaks_the_protocol() {
        assert_eq!(config(&[]).unwrap().agent, None);
        let command = config(&["--prompt-command", "agent -p"]).unwrap();
        assert_eq!(command.agent, Some(Agent::Command("agent -p".to_owned())));
        let acp = |permissions| Some(Agent::Acp("agent".to_owned(), permissions));
        let default = config(&["--acp", "agent"]).unwrap();
        assert_eq!(default.agent, acp(Permissions::AllowOnce));
        let strict = config(&["--acp", "agent", "--permissions", "reject"]).unwrap();
        assert_eq!(strict.agent, acp(Permissions::Reject));
        assert!(config(&["--acp", "a", "--prompt-command", "b"]).is_err());
    }

    #[test]
    fn slots_have_a_range() {
        assert_eq!(config(&["--slots", "64"]).unwrap().slots.get(), 64);
        for wrong in ["0", "65", "-1", "x"] {
            let refused = config(&[&format!("--slots={wrong}")]).unwrap_err();
            assert!(refused.contains("from 1 to 64"), "{refused}");
        }
    }

    #[test]
    fn names_are_separated_by_commas() {
        let config = config(&["--pass-env", "A,B", "--pass-env", "C"]).unwrap();
        assert_eq!(config.pass_env, ["A", "B", "C"]);
    }
}

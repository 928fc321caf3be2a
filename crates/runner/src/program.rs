//! What executes a task: a shell for commands, the desktop's agent for prompts.

use std::ffi::OsString;

use contract::{Task, TaskType};

use crate::acp::Permissions;
use crate::config::Agent;
use crate::process::Input;
use crate::prompt::prompt;

/// The shell. POSIX demands one at this path, so scripts mean the same on every desktop.
const SHELL: &str = "/bin/sh";

const NO_AGENT: &str = "this desktop runs command tasks only: its runner was started without an \
                        agent for prompts (--prompt-command or --acp)";

/// What executes a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// What it finds on its standard input.
    pub(crate) input: Input,
    /// What the agent is asked over the Agent Client Protocol, if it speaks that.
    pub(crate) conversation: Option<(String, Permissions)>,
}

impl Program {
    /// What executes `task`, or why nothing on this desktop does.
    pub(crate) fn of(task: &Task, agent: Option<&Agent>) -> Result<Self, &'static str> {
        let (script, input, conversation) = match (task.task_type, agent) {
            (TaskType::Command, _) => (&task.content, Input::Nothing, None),
            (TaskType::Prompt, None) => return Err(NO_AGENT),
            (TaskType::Prompt, Some(Agent::Command(command))) => {
                (command, Input::Text(prompt(task)), None)
            }
            (TaskType::Prompt, Some(Agent::Acp(command, permissions))) => {
                let conversation = Some((prompt(task), *permissions));
                (command, Input::Conversation, conversation)
            }
        };
        Ok(Self {
            command: shell(script),
            input,
            conversation,
        })
    }
}

/// The command line that lets the shell execute a script.
pub(crate) fn shell(script: &str) -> Vec<OsString> {
    [SHELL, "-c", script].map(OsString::from).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::fake::task;

    #[test]
    fn commands_go_to_the_shell_and_prompts_to_the_agent() {
        let agent = Agent::Command("agent --print".to_owned());
        let command = Program::of(&task("make"), Some(&agent)).unwrap();
        assert_eq!(command.command, ["/bin/sh", "-c", "make"]);
        assert_eq!(command.input, Input::Nothing);

        let mut write = task("write a page");
        write.task_type = TaskType::Prompt;
        let prompt = Program::of(&write, Some(&agent)).unwrap();
        assert_eq!(prompt.command, ["/bin/sh", "-c", "agent --print"]);
        assert_eq!(prompt.input, Input::Text("write a page".to_owned()));

        let agent = Agent::Acp("agent".to_owned(), Permissions::Reject);
        let talk = Program::of(&write, Some(&agent)).unwrap();
        let said = ("write a page".to_owned(), Permissions::Reject);
        assert_eq!(
            (talk.input, talk.conversation),
            (Input::Conversation, Some(said))
        );
        assert!(Program::of(&write, None).unwrap_err().contains("--acp"));
    }
}

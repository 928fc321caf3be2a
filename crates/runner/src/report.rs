//! What a task is completed with.

use std::io;

use client::ClientError;
use contract::{Code, Complete, Outcome};

use crate::acp::{AcpError, Answer};
use crate::life::Abandoned;
use crate::process::Exit;

/// How the program of a task ended.
pub(crate) struct Ended {
    pub(crate) exit: io::Result<Exit>,
    /// Why the runner stopped it, if it did.
    pub(crate) stopped: Option<String>,
    /// What came of the conversation with an agent, if there was one.
    pub(crate) answer: Option<Result<Answer, AcpError>>,
}

impl Ended {
    pub(crate) fn unstarted(error: &io::Error) -> Self {
        Self {
            exit: Err(io::Error::other(format!("cannot start the shell: {error}"))),
            stopped: None,
            answer: None,
        }
    }
}

/// What to complete a task with, given how its program ended, what is wrong with the changed files
/// (if anything is), and how many log entries the server took.
pub(crate) fn report(
    ended: Ended,
    changes: Result<Option<String>, ClientError>,
    sent: Result<i64, ClientError>,
) -> Result<Complete, Abandoned> {
    let (log_entries, refused) = match sent {
        Ok(sent) => (Some(sent), None),
        Err(error) if is_over(&error) => return Err(Abandoned::Over(error.into())),
        Err(error) => (None, Some(format!("the server refused the log: {error}"))),
    };
    let unseen = changes.map_err(|error| Abandoned::Over(error.into()))?;
    let (exit_code, mut failure) = match ended.exit {
        Ok(exit) => (Some(exit.code), exit.error),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut output = None;
    match ended.answer {
        // An agent that has answered was asked to leave, however it then did.
        Some(Ok(answer)) => {
            failure = answer.error();
            output = Some(answer.output);
        }
        Some(Err(error)) => failure = Some(error.to_string()),
        None => {}
    }
    let error = ended.stopped.or(refused).or(failure).or(unseen);
    Ok(Complete {
        outcome: if error.is_none() {
            Outcome::Succeeded
        } else {
            Outcome::Failed
        },
        exit_code,
        error,
        output,
        log_entries,
    })
}

/// The completion of a task that was not executed.
pub(crate) fn failed(error: &str) -> Complete {
    Complete {
        outcome: Outcome::Failed,
        exit_code: None,
        error: Some(error.to_owned()),
        output: None,
        log_entries: Some(0),
    }
}

pub(crate) fn fail(report: &mut Complete, error: String) {
    report.outcome = Outcome::Failed;
    report.error.get_or_insert(error);
}

/// Whether a refusal concerns the attempt as a whole, and not what was sent.
pub(crate) fn is_over(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(Code::LeaseLost | Code::Unauthenticated | Code::Forbidden | Code::NotFound)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::fake::refused;

    #[test]
    fn success_needs_all_parts() {
        let outcome = |code: i64, stopped: Option<&str>, unseen: Option<&str>, sent| {
            let error = (code != 0).then(|| format!("exit code {code}"));
            let ended = Ended {
                exit: Ok(Exit { code, error }),
                stopped: stopped.map(str::to_owned),
                answer: None,
            };
            let report = report(ended, Ok(unseen.map(str::to_owned)), sent).unwrap();
            (report.outcome, report.error)
        };
        let failed = |error: &str| (Outcome::Failed, Some(error.to_owned()));
        assert_eq!(outcome(0, None, None, Ok(0)), (Outcome::Succeeded, None));
        assert_eq!(outcome(0, Some("stopped"), None, Ok(0)), failed("stopped"));
        assert_eq!(
            outcome(1, None, Some("unseen"), Ok(0)),
            failed("exit code 1")
        );
        assert_eq!(outcome(0, None, Some("unseen"), Ok(0)), failed("unseen"));
        let refused = outcome(0, None, None, Err(refused(Code::TooLarge)));
        assert_eq!(refused.0, Outcome::Failed);
        let unknown = Ended::unstarted(&io::ErrorKind::NotFound.into());
        assert_eq!(
            report(unknown, Ok(None), Ok(0)).unwrap().outcome,
            Outcome::Failed
        );
    }

    #[test]
    fn a_refusal_of_the_lease_abandons() {
        let ended = || Ended::unstarted(&io::ErrorKind::NotFound.into());
        let lost = || refused(Code::LeaseLost);
        assert!(report(ended(), Err(lost()), Ok(0)).is_err());
        assert!(report(ended(), Ok(None), Err(lost())).is_err());
    }
}

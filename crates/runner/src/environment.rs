//! The environment of a task (contract section 8): a few variables of the runner's own, and what
//! the task needs to know. The runner's key is in neither.

use std::ffi::OsString;
use std::path::Path;

use contract::{Claim, TaskType};

use crate::prompt::prompt;

/// What a task inherits from the runner, besides `LC_…`.
const INHERITED: &[&str] = &[
    "PATH", "HOME", "LANG", "TERM", "TZ", "USER", "SHELL", "TMPDIR",
];

/// What a variable can hold on Linux, less its name. A longer prompt is on standard input only.
const LONGEST_VARIABLE: usize = (128 << 10) - 16;

/// Names and values of environment variables.
pub(crate) type Environment = Vec<(OsString, OsString)>;

/// What every task inherits, taken from `all` (the environment of the runner): the usual variables,
/// and those named in `passed`.
pub(crate) fn inherited(
    all: impl Iterator<Item = (OsString, OsString)>,
    passed: &[String],
) -> Environment {
    all.filter(|(name, _)| {
        name.to_str().is_some_and(|name| {
            INHERITED.contains(&name)
                || name.starts_with("LC_")
                || passed.iter().any(|passed| passed == name)
        })
    })
    .collect()
}

/// The environment of the claimed task, with a folder of its own for temporary files, if it has one.
///
/// # Errors
/// When the inputs cannot be written as JSON.
pub(crate) fn of_task(
    inherited: &Environment,
    claim: &Claim,
    temporary: Option<&Path>,
) -> serde_json::Result<Environment> {
    let task = &claim.task;
    let feedback = task.prior_feedback.last();
    let feedback = feedback.map(|said| said.feedback.clone());
    let mut environment = inherited.clone();
    let mut set = |name: &str, value: OsString| {
        environment.retain(|(known, _)| known != name);
        environment.push((name.into(), value));
    };
    set("TASK_ID", task.id.clone().into());
    set("TASK_ATTEMPT", claim.lease.attempt.to_string().into());
    set("TASK_FEEDBACK", feedback.unwrap_or_default().into());
    set("TASK_INPUTS", serde_json::to_string(&claim.inputs)?.into());
    if task.task_type == TaskType::Prompt {
        let prompt = prompt(task);
        if prompt.len() <= LONGEST_VARIABLE {
            set("TASK_PROMPT", prompt.into());
        }
    }
    if let Some(folder) = temporary {
        set("TMPDIR", folder.into());
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::fake::task;
    use serde_json::json;

    fn pairs(environment: Environment) -> Vec<(String, String)> {
        let text = |text: OsString| text.into_string().unwrap();
        environment
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn only_the_listed_variables_are_inherited() {
        let all = [
            "PATH",
            "LC_ALL",
            "DESKTOP_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "HOME",
        ]
        .map(|name| (name.into(), "v".into()));
        let names = |passed: &[&str]| -> Vec<String> {
            let passed: Vec<String> = passed.iter().map(|name| (*name).to_owned()).collect();
            let pairs = pairs(inherited(all.clone().into_iter(), &passed));
            pairs.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&[]), ["PATH", "LC_ALL", "HOME"]);
        let passed = names(&["AWS_SECRET_ACCESS_KEY", "UNSET"]);
        assert_eq!(passed, ["PATH", "LC_ALL", "AWS_SECRET_ACCESS_KEY", "HOME"]);
    }

    #[test]
    fn a_task_knows_itself_its_feedback_and_its_inputs() {
        let at = "2026-03-15T10:05:00.000000Z";
        let by = json!({"kind": "human", "id": null, "name": "human"});
        let mut task = task("true");
        task.prior_feedback = serde_json::from_value(json!([
            {"taskId": "task_b", "feedback": "first", "decidedBy": by, "decidedAt": at},
            {"taskId": "task_c", "feedback": "newest", "decidedBy": by, "decidedAt": at},
        ]))
        .unwrap();
        let mut claim: Claim = serde_json::from_value(json!({
            "task": task, "inputs": [{"taskId": "task_d", "attempt": 2, "evidenceSha256": "00"}],
            "lease": {"token": "secret", "expiresAt": at, "attempt": 3},
        }))
        .unwrap();
        let inputs = r#"[{"taskId":"task_d","attempt":2,"evidenceSha256":"00"}]"#;
        let expected = [
            ("TASK_ID", "task_a"),
            ("TASK_ATTEMPT", "3"),
            ("TASK_FEEDBACK", "newest"),
            ("TASK_INPUTS", inputs),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(of_task(&Vec::new(), &claim, None).unwrap()), expected);

        claim.task.prior_feedback.clear();
        let feedback = &pairs(of_task(&Vec::new(), &claim, None).unwrap())[2];
        assert_eq!(feedback.1, "", "set, and empty, without feedback");
    }

    #[test]
    fn a_prompt_is_a_variable_as_long_as_it_fits() {
        let mut claim: Claim = serde_json::from_value(json!({
            "task": task("Write it."), "inputs": [],
            "lease": {"token": "secret", "expiresAt": "2026-03-15T10:05:00Z", "attempt": 1},
        }))
        .unwrap();
        claim.task.task_type = TaskType::Prompt;
        let prompt = |claim: &Claim| {
            let pairs = pairs(of_task(&Vec::new(), claim, None).unwrap());
            pairs.into_iter().find(|(name, _)| name == "TASK_PROMPT")
        };
        assert_eq!(prompt(&claim).unwrap().1, "Write it.");
        claim.task.content = "x".repeat(128 << 10);
        assert_eq!(prompt(&claim), None);
    }

    #[test]
    fn a_folder_for_temporary_files_takes_the_place_of_the_inherited_one() {
        let claim: Claim = serde_json::from_value(json!({
            "task": task("true"), "inputs": [],
            "lease": {"token": "secret", "expiresAt": "2026-03-15T10:05:00Z", "attempt": 1},
        }))
        .unwrap();
        let inherited = vec![("TMPDIR".into(), "/tmp".into())];
        let folder = Path::new("/tmp/own");
        let pairs = pairs(of_task(&inherited, &claim, Some(folder)).unwrap());
        let folders: Vec<_> = pairs.iter().filter(|(name, _)| name == "TMPDIR").collect();
        assert_eq!(folders, [&("TMPDIR".to_owned(), "/tmp/own".to_owned())]);
    }
}

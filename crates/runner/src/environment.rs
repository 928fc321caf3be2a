//! The environment of a task (contract section 8): a few variables of the runner's own, and what
//! the task needs to know. The runner's key is in neither.

use std::ffi::OsString;

use contract::Claim;

/// What a task inherits from the runner, besides `LC_…`.
const INHERITED: &[&str] = &[
    "PATH", "HOME", "LANG", "TERM", "TZ", "USER", "SHELL", "TMPDIR",
];

/// Names and values of environment variables.
pub(crate) type Environment = Vec<(OsString, OsString)>;

/// What every task inherits, taken from `all` (the environment of the runner).
pub(crate) fn inherited(all: impl Iterator<Item = (OsString, OsString)>) -> Environment {
    all.filter(|(name, _)| {
        name.to_str()
            .is_some_and(|name| INHERITED.contains(&name) || name.starts_with("LC_"))
    })
    .collect()
}

/// The environment of the claimed task.
///
/// # Errors
/// When the inputs cannot be written as JSON.
pub(crate) fn of_task(inherited: &Environment, claim: &Claim) -> serde_json::Result<Environment> {
    let feedback = claim
        .task
        .prior_feedback
        .last()
        .map(|said| said.feedback.clone());
    let mut environment = inherited.clone();
    for (name, value) in [
        ("TASK_ID", claim.task.id.clone()),
        ("TASK_ATTEMPT", claim.lease.attempt.to_string()),
        ("TASK_FEEDBACK", feedback.unwrap_or_default()),
        ("TASK_INPUTS", serde_json::to_string(&claim.inputs)?),
    ] {
        environment.push((name.into(), value.into()));
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
        let names: Vec<String> = pairs(inherited(all.into_iter()))
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["PATH", "LC_ALL", "HOME"]);
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
        assert_eq!(pairs(of_task(&Vec::new(), &claim).unwrap()), expected);

        claim.task.prior_feedback.clear();
        let feedback = &pairs(of_task(&Vec::new(), &claim).unwrap())[2];
        assert_eq!(feedback.1, "", "set, and empty, without feedback");
    }
}

//! What an agent is told: the task's content, and what reviewers said about earlier tries.

use std::fmt::Write as _;

use contract::Task;

/// The prompt of a task. The content comes first and is never altered; the feedback of rejected
/// tries follows, oldest first.
pub(crate) fn prompt(task: &Task) -> String {
    let mut prompt = task.content.clone();
    let said: Vec<&str> = task
        .prior_feedback
        .iter()
        .map(|prior| prior.feedback.trim())
        .filter(|feedback| !feedback.is_empty())
        .collect();
    if said.is_empty() {
        return prompt;
    }
    prompt.push_str(
        "\n\nThis was tried before, and a reviewer rejected the result. \
         What the reviewer said, oldest first:\n",
    );
    for (n, feedback) in said.iter().enumerate() {
        // writing to a string cannot fail
        let _ = write!(prompt, "\n{}. {feedback}\n", n + 1);
    }
    prompt
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lease::fake::task;

    fn with_feedback(said: &[&str]) -> Task {
        let mut task = task("Write the page.");
        let prior = |feedback: &&str| {
            json!({
                "taskId": "task_b", "feedback": feedback, "decidedAt": "2026-03-15T10:05:00Z",
                "decidedBy": {"kind": "human", "id": null, "name": "human"},
            })
        };
        let prior: Vec<_> = said.iter().map(prior).collect();
        task.prior_feedback = serde_json::from_value(prior.into()).unwrap();
        task
    }

    #[test]
    fn without_feedback_it_is_the_content() {
        assert_eq!(prompt(&with_feedback(&[])), "Write the page.");
        assert_eq!(prompt(&with_feedback(&["", " "])), "Write the page.");
    }

    #[test]
    fn feedback_follows_the_content_oldest_first() {
        let prompt = prompt(&with_feedback(&["Too long.", "No title.\n"]));
        assert!(prompt.starts_with("Write the page.\n\n"), "{prompt}");
        assert!(
            prompt.ends_with("\n1. Too long.\n\n2. No title.\n"),
            "{prompt}"
        );
    }
}

//! Every length and range at 0, 1, its maximum and one more, counted in Unicode scalar values
//! (contract sections 0, 2, 3 and 5).

use approval_core::*;

use crate::fixtures::{
    ELSEWHERE, MODE_OFF, agent, at, claimed, code, create, desktop_id, evidence, human,
    human_without, in_review, invalid_field, pending, report, service, token, wish,
};

/// Each one scalar value, of one to four bytes; a family emoji would be seven.
const CHARACTERS: [&str; 4] = ["a", "é", "語", "😀"];

fn content(text: impl Into<String>) -> Result<Task, Refusal> {
    let new = NewTask::new(TaskType::Command, text, desktop_id(1));
    create(&new, &human())
}

#[test]
fn content_has_1_to_100_000_characters() {
    assert_eq!(invalid_field(Invalid::Task, content("")), Some("content"));
    for character in CHARACTERS {
        assert!(content(character).is_ok());
        assert!(content(character.repeat(100_000)).is_ok(), "{character}");
        let long = content(character.repeat(100_001));
        assert_eq!(
            invalid_field(Invalid::Task, long),
            Some("content"),
            "{character}"
        );
    }
}

#[test]
fn a_title_has_up_to_200_characters() {
    let titled = |title: &str| {
        let title = Some(title.to_owned());
        create(&NewTask { title, ..wish() }, &human())
    };
    for character in CHARACTERS {
        for length in [1, 200] {
            let title = character.repeat(length);
            assert_eq!(titled(&title).map(|t| t.title.clone()), Ok(title));
        }
        let long = titled(&character.repeat(201));
        assert_eq!(invalid_field(Invalid::Task, long), Some("title"));
    }
    assert_eq!(
        titled(" kept as it is ").map(|t| t.title.clone()),
        Ok(" kept as it is ".to_owned())
    );
}

#[test]
fn an_untitled_task_is_named_by_its_first_line() {
    let long = "語".repeat(81);
    let table = [
        ("one", "one"),
        ("\n \t\r\n  two  \nthree", "two"),
        ("four\r\nfive", "four"),
        (long.as_str(), &long[..80 * 3]),
        (" \n\t", "command"),
    ];
    for (text, title) in table {
        for blank in [None, Some(""), Some(" \n")] {
            let new = NewTask {
                title: blank.map(ToOwned::to_owned),
                ..NewTask::new(TaskType::Command, text, desktop_id(1))
            };
            assert_eq!(pending(&new).title, title, "{text:?} {blank:?}");
        }
    }
}

#[test]
fn limits_have_a_range_and_a_default() {
    let limits = |task_type, timeout_seconds, max_attempts| {
        let new = NewTask {
            timeout_seconds,
            max_attempts,
            ..NewTask::new(task_type, "x", desktop_id(1))
        };
        create(&new, &human()).map(|t| (t.timeout_seconds, t.max_attempts))
    };
    // a deployment must not run twice by itself
    assert_eq!(limits(TaskType::Prompt, None, None), Ok((3_600, 3)));
    assert_eq!(limits(TaskType::Command, None, None), Ok((3_600, 1)));
    for (timeout, attempts) in [(1, 1), (604_800, 10)] {
        let expected = (u32::try_from(timeout), u32::try_from(attempts));
        let got = limits(TaskType::Prompt, Some(timeout), Some(attempts)).expect("in range");
        assert_eq!((Ok(got.0), Ok(got.1)), expected);
    }
    // 2^32 + 1 would be 1 if it were cut
    for wrong in [i64::MIN, -1, 0, 604_801, 4_294_967_297, i64::MAX] {
        let answer = limits(TaskType::Prompt, Some(wrong), None);
        assert_eq!(
            invalid_field(Invalid::Task, answer),
            Some("timeoutSeconds"),
            "{wrong}"
        );
    }
    for wrong in [i64::MIN, -1, 0, 11, 4_294_967_297, i64::MAX] {
        let answer = limits(TaskType::Prompt, None, Some(wrong));
        assert_eq!(
            invalid_field(Invalid::Task, answer),
            Some("maxAttempts"),
            "{wrong}"
        );
    }
}

#[test]
fn a_new_task_is_pending_and_knows_nothing_else() {
    let task = pending(&wish());
    let expected = TaskState {
        id: crate::fixtures::task_id(100),
        task_type: TaskType::Prompt,
        title: "Write the release notes".to_owned(),
        status: Status::Pending,
        desktop: desktop_id(1),
        requires_approval: false,
        gated: false,
        auto_run: false,
        on_dependency_failure: OnDependencyFailure::Block,
        timeout_seconds: 3_600,
        attempt: 0,
        max_attempts: 3,
        lease: None,
        retry_of: None,
        retried_by: None,
        lineage: crate::fixtures::task_id(100),
        depends_on: vec![],
        created_by: human().identity,
        created_at: at(0),
        started_at: None,
        completed_at: None,
        exit_code: None,
        error: None,
        evidence_sha256: None,
        completed_with: None,
    };
    assert_eq!(*task, expected);
    assert_eq!(Task::restore(task.clone().into_state()), task);
}

#[test]
fn a_desktop_that_does_not_exist_has_no_tasks() {
    let id = crate::fixtures::task_id(100);
    let answer = Task::create(id, &wish(), &human(), false, &[], at(0));
    assert_eq!(invalid_field(Invalid::Task, answer), Some("desktopId"));
}

/// Feedback: blank says nothing, up to 10,000 characters are kept as written.
#[test]
fn feedback_has_up_to_10_000_characters() {
    for blank in ["", " ", "\n\t\u{a0}"] {
        assert_eq!(Feedback::new(blank), Ok(None), "{blank:?}");
    }
    for character in CHARACTERS {
        for length in [1, MAX_FEEDBACK] {
            let text = character.repeat(length);
            let feedback = Feedback::new(&text)
                .expect("short enough")
                .expect("not blank");
            assert_eq!(feedback.as_str(), text);
        }
        let long = Feedback::new(&character.repeat(MAX_FEEDBACK + 1));
        assert_eq!(invalid_field(Invalid::Decision, long), Some("feedback"));
    }
    assert_eq!(MAX_FEEDBACK, 10_000);
    assert_eq!(MAX_OUTPUT_BYTES, 1_048_576);
    let long_blank = Feedback::new(&" ".repeat(10_001));
    assert_eq!(
        invalid_field(Invalid::Decision, long_blank),
        Some("feedback")
    );
    let kept = Feedback::new("  as\nwritten ")
        .expect("short")
        .expect("not blank");
    assert_eq!(kept.as_str(), "  as\nwritten ");
}

/// Both decisions may carry words, and the order of the answers is the contract's: the state, the
/// evidence missing (428), the evidence different (409), the words (422).
#[test]
fn a_decision_is_checked_in_the_order_of_the_contract() {
    let reviewer = Reviewer::of(&human()).expect("a person");
    let strict = Settings {
        require_evidence: true,
        ..MODE_OFF
    };
    let sealed = evidence().to_string();
    let other = Digest::of(b"other").to_string();
    let long = "x".repeat(10_001);
    let table: [(Settings, Option<&str>, Option<&str>, &str); 12] = [
        (MODE_OFF, None, None, "ok"),
        (MODE_OFF, None, Some("fine"), "ok"),
        (MODE_OFF, Some(&sealed), None, "ok"),
        (MODE_OFF, Some(&other), None, "evidence-mismatch"),
        (MODE_OFF, Some(""), None, "evidence-mismatch"),
        (MODE_OFF, Some(&sealed[1..]), None, "evidence-mismatch"),
        (MODE_OFF, None, Some(&long), "invalid"),
        (MODE_OFF, Some(&other), Some(&long), "evidence-mismatch"),
        (strict, None, None, "evidence-required"),
        (strict, None, Some(&long), "evidence-required"),
        (strict, Some(&sealed), None, "ok"),
        (strict, Some(&other), None, "evidence-mismatch"),
    ];
    for (settings, named, feedback, expected) in table {
        for decision in Decision::ALL {
            let (mut task, mut approval) = in_review(&wish());
            let before = (task.clone(), approval.clone());
            let request = DecisionRequest {
                decision: *decision,
                feedback: feedback.map(ToOwned::to_owned),
                evidence_sha256: named.map(ToOwned::to_owned),
            };
            let answer = task.decide(Some(&mut approval), &reviewer, &request, settings, at(2));
            let got = answer.as_ref().map_or_else(code, |()| "ok");
            assert_eq!(got, expected, "{request:?}");
            if got == "ok" {
                let decided = approval.decided.as_ref().expect("decided");
                assert_eq!(decided.feedback.as_ref().map(Feedback::as_str), feedback);
                assert_eq!(
                    (decided.at, approval.status.decision()),
                    (at(2), Some(*decision))
                );
                let again = task.decide(Some(&mut approval), &reviewer, &request, strict, at(3));
                assert_eq!(again.map_err(|r| code(&r)), Err("already-decided"));
            } else {
                assert_eq!((task, approval), before, "{request:?}");
            }
        }
    }
}

#[test]
fn an_approval_names_the_sealed_evidence_and_its_reason() {
    let flagged = NewTask {
        requires_approval: true,
        ..wish()
    };
    for (new, reason) in [(wish(), GateReason::Global), (flagged, GateReason::Task)] {
        let (task, approval) = in_review(&new);
        assert_eq!(
            approval.reason, reason,
            "the task's own flag is named first"
        );
        assert_eq!((approval.task, approval.attempt), (task.id, 1));
        assert_eq!(approval.evidence_sha256, evidence());
        assert_eq!(
            (approval.status, approval.decided),
            (ApprovalStatus::Pending, None)
        );
        assert_eq!(task.evidence_sha256, Some(evidence()));
    }
}

/// An exit code enters the evidence as a JSON number, which is a double everywhere else.
#[test]
fn an_exit_code_is_an_integer_that_a_double_holds() {
    const EXACT: i64 = 9_007_199_254_740_992;
    for exit_code in [0, 1, -1, 255, 4_294_967_295, EXACT, -EXACT] {
        let mut task = claimed(&wish(), MODE_OFF);
        let report = Report {
            exit_code: Some(exit_code),
            ..report(Outcome::Succeeded)
        };
        assert!(
            task.complete(token(1), &report, evidence(), MODE_OFF, at(1))
                .is_ok()
        );
        assert_eq!(task.exit_code, Some(exit_code));
    }
    for exit_code in [EXACT + 1, -EXACT - 1, i64::MAX, i64::MIN] {
        let mut task = claimed(&wish(), MODE_OFF);
        let before = task.clone();
        let report = Report {
            exit_code: Some(exit_code),
            ..report(Outcome::Succeeded)
        };
        let answer = task.complete(token(1), &report, evidence(), MODE_OFF, at(1));
        assert_eq!(
            invalid_field(Invalid::Completion, answer),
            Some("exitCode"),
            "{exit_code}"
        );
        assert_eq!(task, before);
    }
}

/// Names of desktops and keys: 1 to 100 characters, not blank, no control characters.
#[test]
fn names_are_short_and_printable() {
    let key = |name: &str| {
        let request = KeyRequest {
            name: name.to_owned(),
            kind: KeyKind::Service,
            capabilities: None,
            desktop: None,
        };
        invalid_field(Invalid::Key, request.grant(&human()))
    };
    let desktop = |name: &str| invalid_field(Invalid::Desktop, DesktopName::new(name));
    for character in CHARACTERS {
        for length in [1, 100] {
            let name = character.repeat(length);
            assert_eq!((key(&name), desktop(&name)), (None, None));
            let desktop = DesktopName::new(&name).expect("a good name");
            assert_eq!(desktop.as_str(), name);
        }
        let long = character.repeat(101);
        assert_eq!((key(&long), desktop(&long)), (Some("name"), Some("name")));
    }
    for wrong in [
        "",
        " ",
        "\u{a0}\u{2003}",
        "a\nb",
        "a\0",
        "\u{1b}[31m",
        "a\u{85}",
        "\u{7f}",
    ] {
        assert_eq!(
            (key(wrong), desktop(wrong)),
            (Some("name"), Some("name")),
            "{wrong:?}"
        );
    }
}

/// Who may create what (contract section 6).
#[test]
fn creating_and_starting_take_their_capabilities() {
    let auto = NewTask {
        auto_run: true,
        ..wish()
    };
    let answer =
        |new: &NewTask, by: &Principal| create(new, by).map(|_| "ok").map_err(|r| code(&r));
    for by in [human(), service(), Principal::system()] {
        assert_eq!(
            (answer(&wish(), &by), answer(&auto, &by)),
            (Ok("ok"), Ok("ok")),
            "{by:?}"
        );
    }
    let reader = human_without(Capability::TasksWrite);
    assert_eq!(answer(&wish(), &reader), Err("forbidden"));
    let writer = human_without(Capability::TasksRun);
    assert_eq!(
        (answer(&wish(), &writer), answer(&auto, &writer)),
        (Ok("ok"), Err("forbidden"))
    );
    assert_eq!(answer(&auto, &agent()), Err("forbidden"));
    let greedy = Principal {
        capabilities: Capabilities::ALL,
        ..agent()
    };
    assert_eq!(
        answer(&auto, &greedy),
        Err("forbidden"),
        "an agent never runs"
    );
    let bare = Principal {
        capabilities: Capabilities::NONE,
        ..agent()
    };
    assert_eq!(answer(&wish(), &bare), Err("forbidden"));
    let unbound = Principal {
        desktop: None,
        ..agent()
    };
    assert_eq!(
        answer(&wish(), &unbound),
        Err("forbidden"),
        "nothing would confine it"
    );
}

/// What an agent creates is gated whatever it says, and lives on its own desktop.
#[test]
fn an_agents_task_is_its_desktops_and_gated() {
    for requires_approval in [false, true] {
        let new = NewTask {
            requires_approval,
            ..wish()
        };
        let task = create(&new, &agent()).expect("its own desktop");
        assert!(task.requires_approval && task.gated);
        assert_eq!(task.created_by, agent().identity);
        for by in [human(), service()] {
            let task = create(&new, &by).expect("sound");
            assert_eq!(
                (task.requires_approval, task.gated),
                (requires_approval, requires_approval)
            );
        }
    }
    let elsewhere = NewTask {
        desktop: desktop_id(ELSEWHERE),
        ..wish()
    };
    assert!(create(&elsewhere, &human()).is_ok());
    let outside = create(&elsewhere, &agent());
    assert_eq!(invalid_field(Invalid::Task, outside), Some("desktopId"));
}

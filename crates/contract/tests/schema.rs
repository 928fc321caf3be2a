//! The schemas generated for `/openapi.json` say what the JSON does.

use contract::{
    ActorKind, ApprovalKind, ApprovalReason, ApprovalStatus, Capability, Code, CreateTask,
    CreatedApiKey, Decision, DesktopStatus, FileChange, KeyKind, LogStream, MissionApproval,
    OnDependencyFailure, Outcome, Problem, Task, TaskStatus, TaskType, Timestamp,
};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).expect("a schema is JSON")
}

#[test]
fn every_member_of_an_answer_is_required() {
    for schema in [schema::<Task>(), schema::<MissionApproval>()] {
        let members = schema["properties"].as_object().expect("an object");
        let required = schema["required"].as_array().expect("required members");
        for name in members.keys() {
            assert!(required.contains(&json!(name)), "{name} is always present");
        }
    }
    assert_eq!(
        schema::<Task>()["properties"]["exitCode"]["type"],
        json!(["integer", "null"])
    );
}

#[test]
fn requests_require_what_has_no_default_and_refuse_the_rest() {
    let schema = schema::<CreateTask>();
    assert_eq!(schema["required"], json!(["type", "content", "desktopId"]));
    assert_eq!(schema["additionalProperties"], json!(false));
}

#[test]
fn names_and_texts() {
    assert_eq!(MissionApproval::name(), "MissionApproval");
    let time = schema::<Timestamp>();
    assert_eq!(
        (&time["type"], &time["format"]),
        (&json!("string"), &json!("date-time"))
    );
    let codes = schema::<Code>();
    let words: Vec<Value> = Code::ALL.iter().map(|code| json!(code.as_str())).collect();
    assert_eq!(codes["enum"], Value::from(words));
    assert!(schema::<Problem>()["properties"]["type"].is_object());
    assert!(schema::<CreatedApiKey>().to_string().contains("ApiKey"));
}

#[test]
fn the_words_of_a_vocabulary_are_those_on_the_wire() {
    macro_rules! check {
        ($($vocabulary:ident)+) => {$(
            let words: Vec<Value> = $vocabulary::ALL.iter().map(|value| json!(value)).collect();
            assert_eq!(schema::<$vocabulary>()["enum"], Value::from(words));
        )+};
    }
    check! {
        ActorKind ApprovalKind ApprovalReason ApprovalStatus Capability Decision DesktopStatus FileChange
        KeyKind LogStream OnDependencyFailure Outcome TaskStatus TaskType
    }
}

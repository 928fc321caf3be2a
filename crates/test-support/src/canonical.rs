//! RFC 8785, once more, by other code than the product's.

use std::collections::BTreeMap;

use serde_json::Value;

/// RFC 8785 of what is hashed here: members in order, no white space, shortest escapes, small
/// integers, ASCII names.
pub fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

/// Another crate of the build may let maps of `serde_json` keep the order of insertion.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.iter().collect();
            let members = members.into_iter();
            members
                .map(|(name, value)| (name.clone(), sorted(value)))
                .collect()
        }
        Value::Array(elements) => elements.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

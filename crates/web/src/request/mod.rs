//! What a request brings: ids in its path, its query, its body, its idempotency key.

mod body;
mod id;
mod query;
mod strict;

#[cfg(any(test, fuzzing))]
pub(crate) use body::parse_json;
pub(crate) use body::{
    AnyType, Body, Bulk, MayBeAbsent, Unkeyed, off_thread, place, too_large, whole,
};
pub(crate) use id::{Id, Number, id_in_body, id_of_segment};
pub(crate) use query::{Query, in_range, last_event_id, malformed};

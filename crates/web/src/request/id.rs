//! Ids in paths and bodies.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use approval_core::{Invalid, Refusal};
use type_safe_id::{StaticType, TypeSafeId};
use uuid::Uuid;

use crate::problem::Failure;

/// The id in the path segment `{id}`.
///
/// Text that is no id becomes the id of nothing: it is refused where, when and with the words with
/// which an unknown id is refused, after the body (contract section 0).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id<I>(pub(crate) I);

impl<T: StaticType> FromRequest for Id<TypeSafeId<T>> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(id_of_segment(request.match_info().query("id")))))
    }
}

/// The id in a segment of the path, as [`Id`] has it.
pub(crate) fn id_of_segment<T: StaticType>(text: &str) -> TypeSafeId<T> {
    canonical(text).unwrap_or_else(|| TypeSafeId::from_uuid(Uuid::nil()))
}

/// The number in the path segment `{n}`; text that is no number becomes a number that nothing has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) i64);

impl FromRequest for Number {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.match_info().query("n");
        let number = text.parse().ok().filter(|n: &i64| n.to_string() == text);
        ready(Ok(Self(number.unwrap_or(-1))))
    }
}

/// An id from its one text; other spellings of it are no ids.
fn canonical<T: StaticType>(text: &str) -> Option<TypeSafeId<T>> {
    text.parse()
        .ok()
        .filter(|id: &TypeSafeId<T>| id.to_string() == text)
}

/// An id named in a body: one of wrong form breaks the same rule as an unknown one.
pub(crate) fn id_in_body<T: StaticType>(
    what: Invalid,
    field: &'static str,
    text: &str,
) -> Result<TypeSafeId<T>, Refusal> {
    canonical(text).ok_or_else(|| Refusal::Invalid {
        what,
        field,
        reason: format!("expected an id that begins with {}_", T::TYPE),
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use approval_core::TaskId;

    use super::*;

    async fn id(text: &str) -> TaskId {
        let request = TestRequest::default()
            .param("id", text.to_owned())
            .to_http_request();
        let Id(id) = Id::<TaskId>::extract(&request).await.expect("never fails");
        id
    }

    #[actix_web::test]
    async fn only_the_canonical_text_is_an_id() {
        let task = TaskId::new();
        assert_eq!(id(&task.to_string()).await, task);
        let other = task.to_string().to_uppercase();
        for text in ["", "task_", "desk_00000000000000000000000000", &other] {
            assert_eq!(id(text).await.uuid(), Uuid::nil(), "{text}");
        }
    }
}

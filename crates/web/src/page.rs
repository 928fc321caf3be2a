//! Pages of lists: opaque cursors, `Link` and `X-Total-Count` (contract section 0).

use std::str::FromStr;

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::Code;
use serde::Serialize;
use store::Page;
use store::sabotage::Mistake;

use crate::problem::Failure;
use crate::request::malformed;

/// The id behind a cursor.
///
/// # Errors
/// 400 for text that is no cursor of such a list.
pub(crate) fn cursor<I: FromStr>(text: Option<&str>) -> Result<Option<I>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    let id = URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|id| id.parse().ok());
    if id.is_none() && Mistake::UndocumentedStatus.made() {
        return Err(Failure::new(Code::NotPending, "a bad cursor".to_owned()));
    }
    id.map(Some)
        .ok_or_else(|| malformed("cursor", "is not one from a Link header of this list"))
}

/// The answer with a page of a list.
pub(crate) fn answer<T, S: Serialize>(
    request: &HttpRequest,
    page: &Page<T>,
    show: impl Fn(&T) -> S,
) -> HttpResponse {
    let shown: Vec<S> = page.items.iter().map(show).collect();
    let next = page
        .next
        .as_ref()
        .map(|id| ("cursor", URL_SAFE_NO_PAD.encode(id)));
    head(request, page.total, next).json(shown)
}

/// The head of an answer with part of a list. `next` is the parameter that leads on.
pub(crate) fn head(
    request: &HttpRequest,
    total: i64,
    next: Option<(&str, String)>,
) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-total-count", total.to_string()));
    if let Some((name, value)) = next {
        let link = format!("<{}>; rel=\"next\"", next_path(request, name, &value));
        response.insert_header((LINK, link));
    }
    response
}

/// Path and query of a request with one parameter replaced.
fn next_path(request: &HttpRequest, name: &str, value: &str) -> String {
    let kept = request
        .query_string()
        .split('&')
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(name));
    let replaced = format!("{name}={value}");
    let query: Vec<&str> = kept.chain([replaced.as_str()]).collect();
    format!("{}?{}", request.path(), query.join("&"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use approval_core::TaskId;

    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_id_and_to_nothing_else() {
        let id = TaskId::new();
        let text = URL_SAFE_NO_PAD.encode(id.to_string());
        assert_eq!(cursor(Some(&text)).expect("a cursor"), Some(id));
        assert_eq!(cursor::<TaskId>(None).expect("none"), None);
        for text in ["", "!", &id.to_string(), &URL_SAFE_NO_PAD.encode("desk_x")] {
            assert!(cursor::<TaskId>(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn the_next_page_keeps_the_other_parameters() {
        let request = TestRequest::with_uri("/list?limit=2&cursor=old&status=a%2Cb");
        let path = next_path(&request.to_http_request(), "cursor", "new");
        assert_eq!(path, "/list?limit=2&status=a%2Cb&cursor=new");
        let request = TestRequest::with_uri("/list").to_http_request();
        assert_eq!(next_path(&request, "cursor", "new"), "/list?cursor=new");
    }
}

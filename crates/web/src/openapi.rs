//! The OpenAPI document: what the handlers say of themselves, and from the table of calls what all
//! calls have in common (contract section 7).

use std::collections::BTreeMap;

use contract::{ActivityEvent, Code, Problem};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{OpenApi as _, PartialSchema as _, ToSchema as _};

use crate::routes::{Access, Operations, ROUTES, Route, Verb};

/// The description of every call.
pub fn openapi() -> OpenApi {
    let mut document = Operations::openapi();
    "Countersign".clone_into(&mut document.info.title);
    document.info.description = Some(
        "Approval of agent work. `review` and `resolve` are two doors to one decision.".to_owned(),
    );
    document.info.license = None;
    describe_second_paths(&mut document);
    for route in ROUTES {
        if let Some(operation) = operation(&mut document, route.path, route.verb) {
            complete(operation, route);
        }
    }
    let components = document.components.get_or_insert_with(Components::new);
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    components
        .schemas
        .insert(ActivityEvent::name().into_owned(), ActivityEvent::schema());
    components
        .schemas
        .insert(Code::name().into_owned(), Code::schema());
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("apiKey", key);
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    document
}

/// The runner calls of a task have a second path, with the desktop in front.
fn describe_second_paths(document: &mut OpenApi) {
    for route in ROUTES {
        let Some((_, call)) = route.path.split_once("/{desktop}/tasks/") else {
            continue;
        };
        let first = format!("/api/mission-control/tasks/{call}");
        let Some(mut operation) = operation(document, &first, route.verb).cloned() else {
            continue;
        };
        operation.operation_id = operation.operation_id.map(|id| format!("{id}AtDesktop"));
        let desktop = ParameterBuilder::new()
            .name("desktop")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(Object::with_type(Type::String)))
            .build();
        operation
            .parameters
            .get_or_insert_default()
            .insert(0, RefOr::T(desktop));
        let item = document.paths.paths.entry(route.path.to_owned());
        *slot(item.or_default(), route.verb) = Some(operation);
    }
}

fn operation<'a>(document: &'a mut OpenApi, path: &str, verb: Verb) -> Option<&'a mut Operation> {
    slot(document.paths.paths.get_mut(path)?, verb).as_mut()
}

fn slot(item: &mut PathItem, verb: Verb) -> &mut Option<Operation> {
    match verb {
        Verb::Get => &mut item.get,
        Verb::Post => &mut item.post,
        Verb::Patch => &mut item.patch,
        Verb::Delete => &mut item.delete,
    }
}

/// Adds who may call and how the call may be refused.
fn complete(operation: &mut Operation, route: &Route) {
    if route.access != Access::Public {
        let none: [&str; 0] = [];
        operation.security = Some(vec![
            SecurityRequirement::new("apiKey", none),
            SecurityRequirement::new("bearer", none),
        ]);
    }
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in refusals(operation, route) {
        by_status.entry(code.status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        let response = RefOr::T(problem_response(&codes));
        operation
            .responses
            .responses
            .insert(status.to_string(), response);
    }
}

/// The codes of a call: its own, and those that come with a credential, an id, a query, a body and
/// an idempotency key.
fn refusals(operation: &Operation, route: &Route) -> Vec<Code> {
    let mut codes = route.refusals.to_vec();
    let parameters: Vec<_> = operation
        .parameters
        .iter()
        .flatten()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) => Some(parameter),
            RefOr::Ref(_) => None,
        })
        .collect();
    let takes = |place: &ParameterIn| parameters.iter().any(|p| p.parameter_in == *place);
    let is_repeatable = parameters.iter().any(|p| p.name == "Idempotency-Key");
    if route.access != Access::Public {
        codes.extend([Code::Unauthenticated, Code::Forbidden, Code::RateLimited]);
    }
    if takes(&ParameterIn::Path) {
        codes.push(Code::NotFound);
    }
    if takes(&ParameterIn::Query) {
        codes.push(Code::InvalidQuery);
    }
    if operation.request_body.is_some() {
        codes.extend([
            Code::InvalidBody,
            Code::TooLarge,
            Code::UnsupportedMediaType,
        ]);
    }
    if is_repeatable {
        codes.extend([
            Code::InvalidIdempotencyKey,
            Code::InProgress,
            Code::IdempotencyMismatch,
        ]);
    }
    codes.extend([Code::Internal, Code::Unavailable]);
    codes.sort_by_key(|code| code.as_str());
    codes
}

fn problem_response(codes: &[Code]) -> Response {
    let words: Vec<_> = codes
        .iter()
        .map(|code| format!("`{code}`: {}", code.title()))
        .collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    ResponseBuilder::new()
        .description(words.join("; "))
        .content(Problem::MEDIA_TYPE, content)
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::to_value(openapi()).expect("JSON")
    }

    #[test]
    fn the_operations_are_the_calls() {
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let described: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let verbs = item.as_object().expect("a path item").keys();
                verbs.map(|verb| (verb.to_uppercase(), path.clone()))
            })
            .collect();
        let calls: BTreeSet<_> = ROUTES
            .iter()
            .map(|route| (route.verb.as_str().to_owned(), route.path.to_owned()))
            .collect();
        assert_eq!(described, calls);
    }

    #[test]
    fn names_of_operations_are_unique() {
        let document = document();
        let mut names = BTreeSet::new();
        for operation in document["paths"]
            .as_object()
            .expect("paths")
            .values()
            .flat_map(|item| item.as_object().expect("an item").values())
        {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name} twice");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let names = text.split("\"#/components/schemas/").skip(1);
        for name in names.map(|rest| rest.split('"').next().unwrap_or_default()) {
            assert!(
                document["components"]["schemas"][name].is_object(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_decision_says_how_it_may_be_refused() {
        let document = document();
        let decide = &document["paths"]["/api/mission-control/tasks/{id}/review"]["post"];
        let statuses: Vec<&str> = decide["responses"]
            .as_object()
            .expect("responses")
            .keys()
            .map(String::as_str)
            .collect();
        let expected = [
            "200", "400", "401", "403", "404", "409", "413", "415", "422", "428", "429", "500",
            "503",
        ];
        assert_eq!(statuses, expected);
        let healthz = &document["paths"]["/healthz"]["get"];
        assert_eq!(healthz["security"], Value::Null);
    }
}

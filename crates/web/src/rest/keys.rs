//! API keys (contract section 6).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use approval_core::{Invalid, KeyId, KeyRequest, Refusal};
use contract::{ApiKey, Code, CreateApiKey, CreatedApiKey};
use store::{Answer, Command, KeyText};

use super::{ListQuery, PAGE_LENGTH, PAGE_LENGTHS, Repeatable};
use crate::call::{Call, unexpected_answer};
use crate::page;
use crate::problem::{Failure, Reply};
use crate::render;
use crate::request::{Body, Id, Query, id_in_body, in_range};
use crate::vocabulary::ToCore;

/// API keys, oldest first, without their texts.
#[utoipa::path(get, path = "/api/auth/api-keys", tag = "keys", operation_id = "listApiKeys",
    params(ListQuery), responses((status = 200, description = "A page of keys", body = [ApiKey])))]
pub(crate) async fn list(call: Call, query: Query<ListQuery>) -> Reply {
    let limit = in_range("limit", query.0.limit, PAGE_LENGTHS, PAGE_LENGTH)?;
    let after = page::cursor(query.0.cursor.as_deref())?;
    let account = call.account();
    let page = call
        .read(move |reads| reads.keys(account, limit, after))
        .await?;
    Ok(page::answer(&call.request, &page, render::key))
}

/// Makes an API key, never with more authority than its maker has. Its text is shown this once.
#[utoipa::path(post, path = "/api/auth/api-keys", tag = "keys", operation_id = "createApiKey",
    params(Repeatable), request_body = CreateApiKey,
    responses((status = 201, description = "The key with its text", body = CreatedApiKey)))]
pub(crate) async fn create(call: Call, body: Body<CreateApiKey>) -> Reply {
    let text = KeyText::generate(body.value.kind.to_core()).map_err(|error| {
        tracing::error!(%error, "the system has no random numbers");
        Failure::internal()
    })?;
    let command = Command::CreateKey {
        request: key_request(body.value)?,
        digest: text.digest(),
    };
    let answered = call.submit(command, body.idempotency).await?;
    let Answer::Key(view) = &answered.answer else {
        return Err(unexpected_answer());
    };
    if answered.replayed {
        let detail = "the key exists, its text was shown once";
        return Err(Failure::new(Code::SecretNotRepeatable, detail).with("id", view.id.to_string()));
    }
    let location = format!("/api/auth/api-keys/{}", view.id);
    let created = CreatedApiKey {
        api_key: render::key(view),
        key: text.reveal().to_owned(),
    };
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .json(created))
}

/// Revokes an API key: none of its commands takes effect any more.
#[utoipa::path(delete, path = "/api/auth/api-keys/{id}", tag = "keys", operation_id = "revokeApiKey",
    params(("id" = String, Path)), responses((status = 204, description = "It is revoked")))]
pub(crate) async fn revoke(call: Call, id: Id<KeyId>) -> Reply {
    let answered = call.submit(Command::RevokeKey(id.0), None).await?;
    call.answer(StatusCode::NO_CONTENT, &answered)
}

fn key_request(body: CreateApiKey) -> Result<KeyRequest, Refusal> {
    let desktop = body
        .desktop_id
        .map(|id| id_in_body(Invalid::Key, "desktopId", &id))
        .transpose()?;
    let capabilities = body
        .capabilities
        .map(|all| all.into_iter().map(ToCore::to_core).collect());
    Ok(KeyRequest {
        name: body.name,
        kind: body.kind.to_core(),
        capabilities,
        desktop,
    })
}

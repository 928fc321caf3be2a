//! `/settings/api-keys`: list, create, revoke.

use actix_web::http::StatusCode;
use approval_core::{Capability, DesktopId, Invalid, KeyId, KeyKind, KeyRequest, Refusal};
use contract::Code;
use store::{Command, KeyText, KeyView};

use super::board::choice;
use super::fields::{Fields, Form, new_key};
use super::frame::{Live, frame};
use super::html::{self, capitalised};
use super::steps::question;
use super::translate::when;
use super::view::Nav;
use super::view::api_keys::{ApiKey, ApiKeyCreated, ApiKeysPage, CapabilityChoice, KeyForm};
use super::view::confirm::Confirm;
use crate::call::Call;
use crate::clock;
use crate::problem::{Failure, Reply};
use crate::request::{Id, id_in_body};
use crate::show;

const ADDRESS: &str = "/settings/api-keys";
/// Most keys, and most desktops to choose from.
const MOST: i64 = 200;

/// The list with the form.
pub(crate) async fn page(call: Call) -> Reply {
    show_page(&call, StatusCode::OK, &Fields::default(), None).await
}

/// Makes a key and shows its text this once.
pub(crate) async fn create(call: Call, form: Form) -> Reply {
    let again = async |failure: Failure| {
        let error = format!("{}.", capitalised(failure.detail()));
        show_page(&call, failure.status(), &form.fields, Some(error)).await
    };
    let request = match wish(&form.fields) {
        Ok(request) => request,
        Err(refusal) => return again(refusal.into()).await,
    };
    let text = KeyText::generate(request.kind).map_err(|error| {
        tracing::error!(%error, "the system has no random numbers");
        Failure::internal()
    })?;
    let (name, kind) = (show::line(&request.name), request.kind.as_str());
    let command = Command::CreateKey {
        request,
        digest: text.digest(),
    };
    match call.submit(command, form.idempotency).await {
        // the text was shown to the first of two presses
        Ok(answered) if answered.replayed => Ok(html::redirect(&call.request, ADDRESS)),
        Ok(_) => {
            let page = ApiKeyCreated {
                frame: frame(&call, "API key created", Nav::ApiKeys, Live::Account).await?,
                name,
                kind,
                key: text.reveal().to_owned(),
            };
            html::with_status(&call.request, StatusCode::CREATED, &page)
        }
        Err(failure) => match failure.code() {
            Some(Code::InvalidKey | Code::Forbidden) => again(failure).await,
            _ => Err(failure),
        },
    }
}

fn wish(fields: &Fields) -> Result<KeyRequest, Refusal> {
    let kind: KeyKind = fields.word(Invalid::Key, "kind")?;
    // a word that is none must not be as if nothing was ticked, which is everything
    let capabilities: Result<Vec<Capability>, String> =
        fields.all("capability").map(str::parse).collect();
    let capabilities = capabilities.map_err(|reason| Refusal::Invalid {
        what: Invalid::Key,
        field: "capabilities",
        reason,
    })?;
    let desktop = match kind {
        KeyKind::Agent => Some(id_in_body(
            Invalid::Key,
            "desktopId",
            &fields.owned("desktopId"),
        )?),
        KeyKind::Human | KeyKind::Service => None,
    };
    Ok(KeyRequest {
        name: fields.owned("name").trim().to_owned(),
        kind,
        // none ticked: all that the kind may have
        capabilities: (!capabilities.is_empty()).then_some(capabilities),
        desktop,
    })
}

/// Asks before a key is revoked.
pub(crate) async fn confirm_revocation(call: Call, id: Id<KeyId>) -> Reply {
    let account = call.account();
    let keys = call
        .read(move |reads| reads.keys(account, MOST, None))
        .await?;
    let key = keys.items.iter().find(|key| key.id == id.0);
    let key = key.ok_or_else(|| Failure::not_found("API key"))?;
    question(&call, StatusCode::OK, revocation(key)).await
}

/// Revokes a key.
pub(crate) async fn revoke(call: Call, id: Id<KeyId>, form: Form) -> Reply {
    call.submit(Command::RevokeKey(id.0), form.idempotency)
        .await?;
    Ok(html::redirect(
        &call.request,
        &format!("{ADDRESS}?done=revoked"),
    ))
}

fn revocation(key: &KeyView) -> Confirm {
    Confirm {
        question: "Revoke this API key?",
        subject: show::line(&key.name),
        consequences: vec![
            format!(
                "Whatever uses the key ending in {} stops working at once.",
                key.last4
            ),
            "It cannot be undone. A new key can be created.".to_owned(),
        ],
        button: "Revoke key",
        idempotency_key: new_key(),
        action: format!("{ADDRESS}/{}/revoke", key.id),
        back: ADDRESS.to_owned(),
        error: None,
    }
}

async fn show_page(
    call: &Call,
    status: StatusCode,
    fields: &Fields,
    error: Option<String>,
) -> Reply {
    let account = call.account();
    let (keys, desktops) = call
        .read(move |reads| {
            Ok((
                reads.keys(account, MOST, None)?,
                reads.desktops(account, MOST, None)?,
            ))
        })
        .await?;
    let desktops: Vec<(DesktopId, String)> = desktops
        .items
        .into_iter()
        .map(|view| (view.id, view.name))
        .collect();
    let page = ApiKeysPage {
        frame: frame(call, "API keys", Nav::ApiKeys, Live::Account).await?,
        keys: keys.items.iter().map(|key| shown(key, &desktops)).collect(),
        form: form_of(call, fields, &desktops, error),
    };
    html::with_status(&call.request, status, &page)
}

fn shown(key: &KeyView, desktops: &[(DesktopId, String)]) -> ApiKey {
    let now = clock::now();
    let desktop = key.desktop.map(|id| {
        let name = desktops.iter().find(|(known, _)| *known == id);
        show::line(name.map_or("a removed desktop", |(_, name)| name))
    });
    ApiKey {
        id: key.id.to_string(),
        name: show::line(&key.name),
        kind: key.kind.as_str(),
        last4: key.last4.clone(),
        capabilities: key.capabilities.iter().map(|c| c.as_str()).collect(),
        desktop,
        created: when(key.created_at, now),
        last_used: key.last_used_at.map(|at| when(at, now)),
    }
}

fn form_of(
    call: &Call,
    fields: &Fields,
    desktops: &[(DesktopId, String)],
    error: Option<String>,
) -> KeyForm {
    let chosen: Option<DesktopId> = fields.parsed("desktopId");
    let has = |capability: &Capability| call.principal().require(*capability).is_ok();
    let offered = Capability::ALL.iter().filter(|c| has(c));
    let capabilities = offered.map(|capability| CapabilityChoice {
        code: capability.as_str(),
        label: label(*capability),
        checked: fields
            .all("capability")
            .any(|word| word == capability.as_str()),
    });
    KeyForm {
        idempotency_key: new_key(),
        name: fields.owned("name"),
        kind: fields
            .parsed("kind")
            .unwrap_or(KeyKind::Service)
            .as_str()
            .to_owned(),
        capabilities: capabilities.collect(),
        desktops: desktops
            .iter()
            .map(|desktop| choice(desktop, chosen))
            .collect(),
        error,
    }
}

const fn label(capability: Capability) -> &'static str {
    match capability {
        Capability::TasksRead => "Read tasks, approvals, activity",
        Capability::TasksWrite => "Create, retry and cancel tasks",
        Capability::TasksRun => "Run tasks",
        Capability::ApprovalsDecide => "Approve and reject",
        Capability::SettingsWrite => "Change Task Approval",
        Capability::DesktopsWrite => "Add and remove desktops",
        Capability::KeysWrite => "Create and revoke API keys",
    }
}

//! Credentials: API keys and people.

use approval_core::{Capability, Event, Invalid, KeyId, KeyRequest, PrincipalId, Refusal};

use super::super::world::{KeyEntry, NewUser, Origin, World};
use super::ids::new_id;
use crate::command::{Change, Request};
use crate::key_text::KeyDigest;
use crate::views::{Answer, CredentialId, KeyView};

pub(super) fn create(
    world: &mut World,
    request: &Request,
    wish: &KeyRequest,
    digest: &KeyDigest,
) -> Result<Answer, Refusal> {
    let grant = wish.grant(&request.principal)?;
    if let Some(desktop) = grant
        .desktop
        .filter(|d| world.desktop(request.account, *d).is_none())
    {
        return Err(Refusal::Invalid {
            what: Invalid::Key,
            field: "desktopId",
            reason: format!("there is no desktop {desktop}"),
        });
    }
    let view = KeyView {
        id: new_id(world.now),
        name: wish.name.clone(),
        kind: grant.kind,
        capabilities: grant.capabilities.iter().collect(),
        desktop: grant.desktop,
        last4: digest.last4.clone(),
        created_at: world.now,
        last_used_at: None,
    };
    let event = Event::key_created(view.id, &grant);
    world.log(request.account, &request.principal.identity, event);
    let entry = KeyEntry {
        account: request.account,
        view: view.clone(),
        sha256: digest.sha256,
        revoked_at: None,
        origin: Origin::New(None),
    };
    world.keys.insert(view.id, entry);
    Ok(Answer::Key(view))
}

pub(super) fn revoke(world: &mut World, request: &Request, id: KeyId) -> Result<Answer, Refusal> {
    request.principal.require(Capability::KeysWrite)?;
    let key = world
        .keys
        .get(&id)
        .filter(|k| k.account == request.account)
        .cloned();
    let key = key
        .filter(|k| k.revoked_at.is_none())
        .ok_or(Refusal::NotFound("API key"))?;
    revoke_entry(world, request, key);
    Ok(Answer::Accepted)
}

/// Revokes a key that is not revoked yet.
pub(super) fn revoke_entry(world: &mut World, request: &Request, mut key: KeyEntry) {
    if key.revoked_at.is_some() || key.account != request.account {
        return;
    }
    key.revoked_at = Some(world.now);
    let id = key.view.id;
    world.log(
        request.account,
        &request.principal.identity,
        Event::key_revoked(id),
    );
    let credential = CredentialId::Key(id);
    world.changes.push(Change::Revoked { credential });
    world.put_key(key);
}

/// Notes when keys were used last.
pub(super) fn touch(world: &mut World, request: &Request, ids: &[KeyId]) -> Answer {
    for id in ids {
        let key = world
            .keys
            .get(id)
            .filter(|k| k.account == request.account)
            .cloned();
        if let Some(mut key) = key {
            key.view.last_used_at = Some(world.now);
            world.put_key(key);
        }
    }
    Answer::Accepted
}

/// Adds a person. Only administration on the database does that: there is no web bootstrap.
pub(super) fn create_user(
    world: &mut World,
    request: &Request,
    email: &str,
    password_hash: Option<&str>,
) -> Result<Answer, Refusal> {
    if request.principal.identity.id != PrincipalId::System {
        return Err(Refusal::Forbidden(
            "people are added by administration only".to_owned(),
        ));
    }
    let wrong = |reason: &str| Refusal::Forbidden(format!("{email} {reason}"));
    let parts = email.split_once('@');
    if email.len() > 254
        || email.chars().any(char::is_whitespace)
        || !parts.is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
    {
        return Err(wrong("is not an e-mail address"));
    }
    // upper and lower case are one login name
    let email = email.to_lowercase();
    if !world.emails.insert(email.clone()) {
        return Err(wrong("belongs to somebody already"));
    }
    let id = new_id(world.now);
    world.new_users.push(NewUser {
        account: request.account,
        id,
        email,
        password_hash: password_hash.map(ToOwned::to_owned),
    });
    Ok(Answer::User(id))
}

//! Sessions of people: opened by a password or a one-time link, kept by use, ended by the person.

use approval_core::{Digest, PrincipalId, Refusal, SessionId, Timestamp, UserId};

use super::super::world::{LinkEntry, Origin, SessionEntry, World};
use super::ids::new_id;
use crate::command::{ActingSession, Change, EndSessions, Login, Request, SubmitError};
use crate::views::{Answer, CredentialId, SessionView, is_of_origin};

/// How long an unused session is kept: 30 days (contract section 6).
const KEPT_SECONDS: i64 = 30 * 24 * 60 * 60;
/// How long a one-time link can be used: 15 minutes.
const LINK_SECONDS: i64 = 15 * 60;

/// What a browser keeps of a session, and what it says it is.
pub(super) struct Browser<'a> {
    /// SHA-256 of the text in the cookie.
    pub(super) cookie: Digest,
    /// SHA-256 of the secret of the origin.
    pub(super) origin: Option<Digest>,
    pub(super) agent: &'a str,
}

/// An ended session commits nothing, nor does one of somebody else, nor one that is bound to an
/// origin whose secret did not come along.
pub(super) fn check(
    world: &World,
    request: &Request,
    acting: ActingSession,
) -> Result<(), SubmitError> {
    let is_theirs = |session: &&SessionEntry| {
        session.account == request.account
            && PrincipalId::User(session.user) == request.principal.identity.id
    };
    let session = world.sessions.get(&acting.id).filter(is_theirs);
    match session {
        Some(session) if !is_open(session, world.now) => Err(SubmitError::Revoked),
        Some(session) if is_of_origin(session.bound_to, acting.origin) => Ok(()),
        Some(_) => Err(SubmitError::OtherOrigin),
        None => Err(SubmitError::Revoked),
    }
}

fn is_open(session: &SessionEntry, now: Timestamp) -> bool {
    session.ended_at.is_none() && session.expires_at > now
}

/// Opens a session for a person who has shown who they are. What they have shown is checked again:
/// a link is used once, and a password that was changed meanwhile opens nothing.
pub(super) fn open(
    world: &mut World,
    request: &Request,
    user: UserId,
    by: &Login,
    browser: &Browser<'_>,
) -> Result<Answer, SubmitError> {
    for_system(request)?;
    let person = world.users.get(&user);
    let person = person.filter(|person| person.account == request.account);
    let person = person.ok_or(SubmitError::Revoked)?;
    match by {
        Login::Password { hash } if person.password_hash.as_ref() == Some(hash) => {}
        Login::Password { .. } => return Err(SubmitError::Revoked),
        Login::Link(link) => use_link(world, request, user, *link)?,
    }
    let id = new_id(world.now);
    let view = SessionView {
        id,
        agent: browser.agent.to_owned(),
        is_bound: browser.origin.is_some(),
        created_at: world.now,
        last_seen_at: world.now,
    };
    let entry = SessionEntry {
        account: request.account,
        user,
        view,
        sha256: browser.cookie,
        bound_to: browser.origin,
        expires_at: world.now.plus_seconds(KEPT_SECONDS),
        ended_at: None,
        origin: Origin::New(None),
    };
    world.sessions.insert(id, entry);
    Ok(Answer::Session(id))
}

fn use_link(
    world: &mut World,
    request: &Request,
    user: UserId,
    digest: Digest,
) -> Result<(), SubmitError> {
    let now = world.now;
    let link = world.links.get_mut(&digest).filter(|link| {
        let is_theirs = link.account == request.account && link.user == user;
        is_theirs && link.used_at.is_none() && link.expires_at > now
    });
    let link = link.ok_or(SubmitError::Revoked)?;
    link.used_at = Some(now);
    link.origin.touch();
    Ok(())
}

/// Makes a one-time link. Only administration does: there is no way in from the web.
pub(super) fn create_link(
    world: &mut World,
    request: &Request,
    user: UserId,
    digest: Digest,
) -> Result<Answer, Refusal> {
    for_system(request)?;
    let person = world.users.get(&user);
    person
        .filter(|person| person.account == request.account)
        .ok_or(Refusal::NotFound("person"))?;
    let link = LinkEntry {
        account: request.account,
        user,
        expires_at: world.now.plus_seconds(LINK_SECONDS),
        used_at: None,
        origin: Origin::New(None),
    };
    world.links.insert(digest, link);
    Ok(Answer::Accepted)
}

/// Ends sessions of the acting person. One that is not open, or somebody else's, does not exist.
pub(super) fn end(
    world: &mut World,
    request: &Request,
    which: EndSessions,
) -> Result<Answer, Refusal> {
    let user = person(request)?;
    let ended = end_where(world, request, user, |id| match which {
        EndSessions::One(one) => id == one,
        EndSessions::All => true,
    });
    match which {
        EndSessions::One(_) if ended == 0 => Err(Refusal::NotFound("session")),
        EndSessions::One(_) | EndSessions::All => Ok(Answer::Accepted),
    }
}

/// Sets the password of the acting person. Whoever else is signed in as them is so by the old one.
pub(super) fn set_password(
    world: &mut World,
    request: &Request,
    hash: &str,
) -> Result<Answer, Refusal> {
    let user = person(request)?;
    let entry = world.users.get_mut(&user);
    let entry = entry.filter(|entry| entry.account == request.account);
    let entry = entry.ok_or(Refusal::NotFound("person"))?;
    entry.password_hash = Some(hash.to_owned());
    entry.origin.touch();
    let acting = request.session.map(|session| session.id);
    end_where(world, request, user, |id| Some(id) != acting);
    Ok(Answer::Accepted)
}

/// Notes when sessions were last used; each is kept for another 30 days.
pub(super) fn touch(world: &mut World, request: &Request, ids: &[SessionId]) -> Answer {
    let now = world.now;
    for id in ids {
        let session = world.sessions.get_mut(id);
        let session =
            session.filter(|session| session.account == request.account && is_open(session, now));
        if let Some(session) = session {
            session.view.last_seen_at = now;
            session.expires_at = now.plus_seconds(KEPT_SECONDS);
            session.origin.touch();
        }
    }
    Answer::Accepted
}

/// Ends the open sessions of a person that are meant; how many there were.
fn end_where(
    world: &mut World,
    request: &Request,
    user: UserId,
    ends: impl Fn(SessionId) -> bool,
) -> usize {
    let (now, mut ended) = (world.now, 0);
    let theirs = world.sessions.values_mut().filter(|session| {
        session.account == request.account && session.user == user && is_open(session, now)
    });
    for session in theirs.filter(|session| ends(session.view.id)) {
        ended += 1;
        session.ended_at = Some(now);
        session.expires_at = now;
        session.origin.touch();
        let credential = CredentialId::Session(session.view.id);
        world.changes.push(Change::Revoked { credential });
    }
    ended
}

fn person(request: &Request) -> Result<UserId, Refusal> {
    match request.principal.identity.id {
        PrincipalId::User(user) => Ok(user),
        PrincipalId::Key(_) | PrincipalId::System => Err(Refusal::Forbidden(
            "this is for people who are signed in".to_owned(),
        )),
    }
}

fn for_system(request: &Request) -> Result<(), Refusal> {
    match request.principal.identity.id {
        PrincipalId::System => Ok(()),
        PrincipalId::User(_) | PrincipalId::Key(_) => Err(Refusal::Forbidden(
            "only the server itself lets people in".to_owned(),
        )),
    }
}

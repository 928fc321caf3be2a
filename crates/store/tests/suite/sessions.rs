//! Sessions of people and one-time links: who opens one, what ends it, and that it then commits
//! nothing.

use approval_core::{Digest, Principal, PrincipalId, Refusal, SessionId, UserId};
use store::{
    ActingSession, Answer, Change, Command, CredentialId, EndSessions, Idempotency, Login, Request,
    SubmitError, Sweep,
};
use test_support::Site;

use super::{hears, log_end};

const DAY: i64 = 24 * 60 * 60;

fn user_of(person: &Principal) -> UserId {
    match person.identity.id {
        PrincipalId::User(id) => id,
        other => panic!("{other} is not a person"),
    }
}

fn opening(site: &Site, by: Login, cookie: &str) -> Command {
    Command::OpenSession {
        user: user_of(&site.person),
        by,
        digest: Digest::of(cookie.as_bytes()),
        origin: None,
        agent: format!("browser of {cookie}"),
    }
}

fn by_password(hash: &str) -> Login {
    Login::Password {
        hash: hash.to_owned(),
    }
}

fn by_link(token: &str) -> Login {
    Login::Link(Digest::of(token.as_bytes()))
}

async fn set_password(site: &Site, hash: &str) {
    let hash = hash.to_owned();
    let set = Command::SetPassword { hash };
    site.done(&site.person, set).await;
}

async fn make_link(site: &Site, token: &str) {
    let make = Command::CreateSignInLink {
        user: user_of(&site.person),
        digest: Digest::of(token.as_bytes()),
    };
    assert_eq!(
        site.done(&Principal::system(), make).await,
        Answer::Accepted
    );
}

async fn open(site: &Site, by: Login, cookie: &str) -> SessionId {
    let command = opening(site, by, cookie);
    match site.done(&Principal::system(), command).await {
        Answer::Session(id) => id,
        other => panic!("not a session: {other:?}"),
    }
}

/// A session opened by a link made for it.
async fn signed_in(site: &Site, cookie: &str) -> SessionId {
    make_link(site, cookie).await;
    open(site, by_link(cookie), cookie).await
}

async fn opens_nothing(site: &Site, command: Command) {
    let outcome = site.submit(&Principal::system(), command).await;
    assert!(matches!(outcome, Err(SubmitError::Revoked)), "{outcome:?}");
}

/// A request by the person through a session.
fn through(site: &Site, session: SessionId, command: Command) -> Request {
    with_origin(site, session, None, command)
}

/// The same, together with the digest of an origin's secret.
fn with_origin(
    site: &Site,
    session: SessionId,
    origin: Option<Digest>,
    command: Command,
) -> Request {
    Request {
        session: Some(ActingSession {
            id: session,
            origin,
        }),
        ..site.request(&site.person, command)
    }
}

async fn is_refused(site: &Site, session: SessionId) {
    let end = log_end(site).await;
    let create = Command::CreateTask(site.wish("too late"));
    let outcome = site.store.submit(through(site, session, create)).await;
    assert!(matches!(outcome, Err(SubmitError::Revoked)), "{outcome:?}");
    assert_eq!(log_end(site).await, end);
}

async fn works(site: &Site, session: SessionId) {
    let create = Command::CreateTask(site.wish("in time"));
    site.store
        .submit(through(site, session, create))
        .await
        .unwrap();
}

async fn shown(site: &Site) -> Vec<SessionId> {
    let (account, user) = (site.account, user_of(&site.person));
    let open = site.read(move |reads| reads.sessions(account, user)).await;
    open.into_iter().map(|view| view.id).collect()
}

/// Moves the last use and the end of every session back.
fn age(site: &Site, seconds: i64) {
    let micros = seconds * 1_000_000;
    let sql = format!(
        "UPDATE sessions SET last_seen_at = last_seen_at - {micros}, expires_at = expires_at - {micros}"
    );
    site.db.execute(&sql).unwrap();
}

fn count(site: &Site, table: &str) -> String {
    let sql = format!("SELECT count(*) FROM {table}");
    site.db.query_scalar(&sql).unwrap().unwrap()
}

pub async fn a_password_opens_a_session_while_it_is_theirs(site: &mut Site) {
    opens_nothing(site, opening(site, by_password("old"), "none is set")).await;
    set_password(site, "old").await;
    open(site, by_password("old"), "first").await;
    set_password(site, "new").await;
    opens_nothing(site, opening(site, by_password("old"), "changed meanwhile")).await;
    opens_nothing(site, opening(site, by_password("wrong"), "wrong")).await;
    let id = open(site, by_password("new"), "second").await;
    works(site, id).await;
    assert_eq!(shown(site).await, [id]);

    let (foreign, eve) = site.add_account("eve@example.org");
    let mut command = opening(site, by_password("new"), "of another account");
    if let Command::OpenSession { user, .. } = &mut command {
        *user = user_of(&eve);
    }
    opens_nothing(site, command).await;
    let request = Request {
        account: foreign,
        ..site.request(
            &Principal::system(),
            opening(site, by_password("new"), "elsewhere"),
        )
    };
    let outcome = site.store.submit(request).await;
    assert!(matches!(outcome, Err(SubmitError::Revoked)), "{outcome:?}");
}

pub async fn a_link_opens_one_session(site: &mut Site) {
    make_link(site, "token").await;
    let of_link = Digest::of(b"token");
    let theirs = Some((site.account, user_of(&site.person)));
    assert_eq!(site.read(move |r| r.sign_in_link(&of_link)).await, theirs);
    open(site, by_link("token"), "once").await;
    assert_eq!(site.read(move |r| r.sign_in_link(&of_link)).await, None);
    opens_nothing(site, opening(site, by_link("token"), "twice")).await;
    opens_nothing(site, opening(site, by_link("unknown"), "unknown")).await;

    make_link(site, "late").await;
    let late = Digest::of(b"late");
    let back = |seconds: i64| {
        let micros = seconds * 1_000_000;
        let sql = format!(
            "UPDATE sign_in_links SET expires_at = expires_at - {micros} WHERE used_at IS NULL"
        );
        site.db.execute(&sql).unwrap();
    };
    back(14 * 60);
    assert_eq!(site.read(move |r| r.sign_in_link(&late)).await, theirs);
    back(61);
    assert_eq!(site.read(move |r| r.sign_in_link(&late)).await, None);
    opens_nothing(site, opening(site, by_link("late"), "late")).await;
}

pub async fn a_link_is_for_one_person(site: &mut Site) {
    make_link(site, "for ada").await;
    // somebody else of the same account, and somebody of another
    let other = Command::CreateUser {
        email: "bob@example.org".to_owned(),
        password_hash: None,
    };
    let Answer::User(bob) = site.done(&Principal::system(), other).await else {
        panic!("not a person")
    };
    let (foreign, eve) = site.add_account("eve@example.org");
    for (account, user) in [
        (site.account, bob),
        (foreign, user_of(&eve)),
        (foreign, user_of(&site.person)),
        (site.account, user_of(&eve)),
    ] {
        let command = Command::OpenSession {
            user,
            by: by_link("for ada"),
            digest: Digest::of(b"cookie"),
            origin: None,
            agent: String::new(),
        };
        let request = Request {
            account,
            ..site.request(&Principal::system(), command)
        };
        let outcome = site.store.submit(request).await;
        assert!(matches!(outcome, Err(SubmitError::Revoked)), "{outcome:?}");
    }
    let make = Command::CreateSignInLink {
        user: user_of(&eve),
        digest: Digest::of(b"x"),
    };
    let refusal = site.refused(&Principal::system(), make).await;
    assert_eq!(refusal, Refusal::NotFound("person"));
    open(site, by_link("for ada"), "still unused").await;
}

pub async fn only_the_server_lets_people_in(site: &mut Site) {
    set_password(site, "hash").await;
    let (_, key) = site
        .add_key(approval_core::KeyKind::Human, None, None)
        .await;
    for by in [&site.person, &key, &site.desktop.agent] {
        let link = Command::CreateSignInLink {
            user: user_of(&site.person),
            digest: Digest::of(b"link"),
        };
        for command in [link, opening(site, by_password("hash"), "cookie")] {
            let refusal = site.refused(by, command).await;
            assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
        }
    }
    for by in [&key, &site.desktop.agent, &Principal::system()] {
        let set = Command::SetPassword {
            hash: "theirs".to_owned(),
        };
        for command in [set, Command::EndSessions(EndSessions::All)] {
            let refusal = site.refused(by, command).await;
            assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
        }
    }
    assert_eq!(count(site, "sessions"), "0");
    assert_eq!(count(site, "sign_in_links"), "0");
}

pub async fn an_ended_session_commits_nothing(site: &mut Site) {
    let one = signed_in(site, "one").await;
    let two = signed_in(site, "two").await;
    let three = signed_in(site, "three").await;
    let cookie = Digest::of(b"one");
    let credential = site.read(move |r| r.session(&cookie)).await.unwrap();
    assert_eq!(credential.account, site.account);
    assert_eq!(credential.id, CredentialId::Session(one));
    assert_eq!(credential.principal, site.person);
    let mut hints = vec![site.store.changes()];
    if site.db.engine() == test_support::Engine::Postgres {
        hints.push(site.add_replica().changes());
        // LISTEN takes a moment
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }

    let end_one = Command::EndSessions(EndSessions::One(one));
    site.store
        .submit(through(site, two, end_one))
        .await
        .unwrap();
    is_refused(site, one).await;
    assert_eq!(site.read(move |r| r.session(&cookie)).await, None);
    let ids = [one, two, three].map(CredentialId::Session);
    let ended = site.read(move |r| r.ended(&ids)).await;
    assert_eq!(ended, [CredentialId::Session(one)]);
    for hints in &mut hints {
        let credential = CredentialId::Session(one);
        hears(hints, Change::Revoked { credential }).await;
    }
    works(site, two).await;

    let end_all = Command::EndSessions(EndSessions::All);
    site.store
        .submit(through(site, two, end_all))
        .await
        .unwrap();
    for session in [two, three] {
        is_refused(site, session).await;
    }
    assert_eq!(shown(site).await, []);
    let unknown = uuid::Uuid::now_v7().into();
    is_refused(site, unknown).await;
    let ids = [CredentialId::Session(unknown)];
    assert_eq!(site.read(move |r| r.ended(&ids)).await, ids);
}

pub async fn a_session_is_of_one_person(site: &mut Site) {
    let ada = signed_in(site, "ada").await;
    let (foreign, eve) = site.add_account("eve@example.org");
    let (own, person) = (site.account, site.person.clone());
    (site.account, site.person) = (foreign, eve.clone());
    let theirs = signed_in(site, "eve").await;
    // nobody acts through the session of somebody else, nor ends it
    is_refused(site, ada).await;
    let end = |which| Command::EndSessions(which);
    for none in [ada, uuid::Uuid::now_v7().into()] {
        let refusal = site.refused(&eve, end(EndSessions::One(none))).await;
        assert_eq!(refusal, Refusal::NotFound("session"));
    }
    site.done(&eve, end(EndSessions::All)).await;
    let refusal = site.refused(&eve, end(EndSessions::One(theirs))).await;
    assert_eq!(refusal, Refusal::NotFound("session"), "it has ended");
    is_refused(site, theirs).await;
    (site.account, site.person) = (own, person);
    works(site, ada).await;
    assert_eq!(shown(site).await, [ada]);
}

pub async fn a_bound_session_commits_nothing_without_its_origin(site: &mut Site) {
    let (ours, other) = (Digest::of(b"secret"), Digest::of(b"other secret"));
    make_link(site, "bound").await;
    let mut opening = opening(site, by_link("bound"), "bound");
    if let Command::OpenSession { origin, .. } = &mut opening {
        *origin = Some(ours);
    }
    let Answer::Session(bound) = site.done(&Principal::system(), opening).await else {
        panic!("not a session")
    };
    let unbound = signed_in(site, "unbound").await;
    let credential = async |cookie: &str| {
        let cookie = Digest::of(cookie.as_bytes());
        site.read(move |r| r.session(&cookie)).await.unwrap()
    };
    assert_eq!(credential("bound").await.origin, Some(ours));
    assert_eq!(credential("unbound").await.origin, None);
    let (account, user) = (site.account, user_of(&site.person));
    let shown = site.read(move |reads| reads.sessions(account, user)).await;
    let bound_ones: Vec<_> = shown.iter().filter(|view| view.is_bound).collect();
    assert_eq!(
        bound_ones.iter().map(|view| view.id).collect::<Vec<_>>(),
        [bound]
    );

    // every kind of command, a repeated one among them, and nothing is written or ended
    let create = Command::CreateTask(site.wish("a change"));
    let keyed = |request| Request {
        idempotency: Some(Idempotency::new("one", "POST", "/", b"body")),
        ..request
    };
    let with_secret = keyed(with_origin(site, bound, Some(ours), create.clone()));
    site.store.submit(with_secret).await.unwrap();
    let end = log_end(site).await;
    for shown in [None, Some(other)] {
        for command in [
            create.clone(),
            Command::ChangeSettings {
                task_approval_mode: Some(true),
                require_evidence: None,
            },
            Command::SetPassword {
                hash: "theirs".to_owned(),
            },
            Command::EndSessions(EndSessions::One(unbound)),
            Command::EndSessions(EndSessions::One(bound)),
            Command::EndSessions(EndSessions::All),
        ] {
            let request = with_origin(site, bound, shown, command);
            let outcome = site.store.submit(request).await;
            assert!(
                matches!(outcome, Err(SubmitError::OtherOrigin)),
                "{outcome:?}"
            );
        }
        let repeated = keyed(with_origin(site, bound, shown, create.clone()));
        let outcome = site.store.submit(repeated).await;
        assert!(
            matches!(outcome, Err(SubmitError::OtherOrigin)),
            "{outcome:?}"
        );
    }
    assert_eq!(log_end(site).await, end);
    works(site, unbound).await;
    // a secret that nobody asked for does no harm
    let beside = with_origin(site, unbound, Some(other), create.clone());
    site.store.submit(beside).await.unwrap();
    // what has ended is told as such, with the secret and without it
    let end_it = Command::EndSessions(EndSessions::One(bound));
    let ending = with_origin(site, bound, Some(ours), end_it);
    site.store.submit(ending).await.unwrap();
    for shown in [None, Some(ours)] {
        let request = with_origin(site, bound, shown, create.clone());
        let outcome = site.store.submit(request).await;
        assert!(matches!(outcome, Err(SubmitError::Revoked)), "{outcome:?}");
    }
}

pub async fn a_new_password_ends_the_other_sessions(site: &mut Site) {
    let here = signed_in(site, "here").await;
    let there = signed_in(site, "there").await;
    let set = Command::SetPassword {
        hash: "new".to_owned(),
    };
    site.store.submit(through(site, here, set)).await.unwrap();
    works(site, here).await;
    is_refused(site, there).await;
    let login = site.read(|reads| reads.login("ADA@example.org")).await;
    let login = login.expect("upper and lower case are one");
    assert_eq!(login.password_hash.as_deref(), Some("new"));
    assert_eq!(
        (login.account, login.user),
        (site.account, user_of(&site.person))
    );
    let (account, user) = (login.account, login.user);
    let same = site.read(move |reads| reads.user(account, user)).await;
    assert!(same == Some(login));
    let (foreign, _) = site.add_account("eve@example.org");
    assert!(
        site.read(move |reads| reads.user(foreign, user))
            .await
            .is_none()
    );
    assert!(site.read(|reads| reads.login("nobody")).await.is_none());
}

pub async fn use_keeps_a_session(site: &mut Site) {
    let (kept, unused) = (
        signed_in(site, "used").await,
        signed_in(site, "unused").await,
    );
    age(site, 29 * DAY);
    works(site, unused).await;
    site.done(&Principal::system(), Command::TouchSessions(vec![kept]))
        .await;
    let (account, user) = (site.account, user_of(&site.person));
    let open = site.read(move |reads| reads.sessions(account, user)).await;
    assert_eq!(
        open.iter().map(|view| view.id).collect::<Vec<_>>(),
        [kept, unused]
    );
    assert!(open[0].last_seen_at >= open[0].created_at);
    assert_eq!(open[0].agent, "browser of used");
    age(site, DAY + 60);
    works(site, kept).await;
    is_refused(site, unused).await;
    assert_eq!(shown(site).await, [kept]);
    let cookie = Digest::of(b"unused");
    assert_eq!(site.read(move |r| r.session(&cookie)).await, None);
    let ids = [kept, unused].map(CredentialId::Session);
    let ended = site.read(move |r| r.ended(&ids)).await;
    assert_eq!(ended, [CredentialId::Session(unused)]);
    // one that ran out is not brought back by a late note of its use
    site.done(&Principal::system(), Command::TouchSessions(vec![unused]))
        .await;
    is_refused(site, unused).await;
}

pub async fn old_sessions_and_links_are_forgotten(site: &mut Site) {
    let ended = signed_in(site, "ended").await;
    let open = signed_in(site, "open").await;
    site.done(&site.person, Command::EndSessions(EndSessions::One(ended)))
        .await;
    let forget = Command::Sweep(Sweep::ForgetSessions);
    site.done(&Principal::system(), forget.clone()).await;
    assert_eq!(count(site, "sessions"), "2");
    assert_eq!(count(site, "sign_in_links"), "2");
    age(site, DAY + 60);
    site.done(&Principal::system(), forget).await;
    assert_eq!(count(site, "sessions"), "1");
    works(site, open).await;
    assert_eq!(shown(site).await, [open]);

    make_link(site, "old").await;
    site.db
        .execute(&format!(
            "UPDATE sign_in_links SET expires_at = expires_at - {} WHERE used_at IS NULL",
            (DAY + 15 * 60 + 60) * 1_000_000
        ))
        .unwrap();
    super::eventually("the sweeper finds the old link", async || {
        count(site, "sign_in_links") == "2"
    })
    .await;
}

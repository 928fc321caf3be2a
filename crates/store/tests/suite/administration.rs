//! Opening and closing a store, and administration beside it.

use approval_core::Refusal;
use store::{AdminError, Command, OpenError, Store, StoreConfig, SubmitError};
use test_support::{Engine, Site, TestDb};

/// Blocking work, as administration is, beside a running test.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

pub async fn a_store_opens_on_a_migrated_database_of_its_own(site: &mut Site) {
    let engine = site.db.engine();
    let config = StoreConfig::new(site.db.url().parse().unwrap());
    let second = blocking(move || Store::open(&config)).await;
    match (engine, second) {
        (Engine::Sqlite, Err(OpenError::Lock(_))) => {}
        (Engine::Postgres, Ok(replica)) => blocking(move || replica.close()).await,
        (_, Err(error)) => panic!("{error}"),
        (Engine::Sqlite, Ok(_)) => panic!("two servers on one SQLite database"),
    }
    let empty = blocking(move || {
        let db = TestDb::empty(engine).unwrap();
        Store::open(&StoreConfig::new(db.url().parse().unwrap())).map(|store| store.close())
    });
    assert!(matches!(empty.await, Err(OpenError::Pending { .. })));

    let store = site.store.clone();
    blocking(move || store.close()).await;
    let late = Command::CreateTask(site.wish("late"));
    let late = site.submit(&site.person, late).await;
    assert!(matches!(late, Err(SubmitError::Unavailable)), "{late:?}");
}

pub async fn accounts_and_people_are_added_beside_a_running_store(site: &mut Site) {
    let admin = site.admin();
    let account = site.account;
    let user = |email: &str| Command::CreateUser {
        email: email.to_owned(),
        password_hash: None,
    };
    let wishes = [
        "grace@example.org",
        "grace@example.org",
        "nonsense",
        "a b@c",
    ]
    .map(user);
    let outcomes = blocking(move || {
        assert_eq!(admin.account(None).unwrap(), account);
        assert_eq!(admin.account(Some("Test")).unwrap(), account);
        assert_eq!(admin.account(Some(&account.to_string())).unwrap(), account);
        assert!(matches!(
            admin.account(Some("nobody")),
            Err(AdminError::NoAccount(_))
        ));
        for name in ["", " ", "a\nb", &"x".repeat(101)] {
            assert!(matches!(admin.create_account(name), Err(AdminError::Name)));
        }
        let other = admin.create_account(&"é".repeat(100)).unwrap();
        assert_eq!(admin.account(None).unwrap(), account, "the first");
        assert_ne!(other, account);
        wishes.map(|wish| admin.run(account, wish).map(drop))
    })
    .await;
    assert!(outcomes[0].is_ok(), "{:?}", outcomes[0]);
    assert!(outcomes[1..].iter().all(Result::is_err), "{outcomes:?}");
    let refusal = site.refused(&site.person, user("eve@example.org")).await;
    assert!(matches!(refusal, Refusal::Forbidden(_)), "{refusal:?}");
}

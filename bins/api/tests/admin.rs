//! Administration, migrations and who may use a database (contract section 8).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};

use serde_json::json;
use test_support::server::{Process, Server, beside, program};
use test_support::{Engine, TestDb};

use crate::rest::{Caller, elements, text};
use crate::site::{API, Site, TASKS, administer, on_every_engine, owner_key, printed};

/// `api user create` with this on its standard input.
fn create_user(database_url: &str, email: &str, password: &str) -> Output {
    let mut child = program(API)
        .args(["user", "create", "--email", email, "--password-stdin"])
        .env("DATABASE_URL", database_url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(password.as_bytes()).expect("it reads");
    drop(input);
    child.wait_with_output().expect("it ends")
}

/// What a command says that fails.
fn refusal(output: &Output) -> String {
    assert_eq!(output.stdout, b"", "{output:?}");
    assert!(output.status.code().is_some_and(|code| code != 0));
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn migrate(database_url: &str, action: &str) -> Output {
    program(beside(API, "migrate"))
        .arg(action)
        .env("DATABASE_URL", database_url)
        .output()
        .expect("it starts")
}

/// What `api serve` says that refuses to start.
fn refused_server(database_url: &str) -> String {
    let mut process = Process::start(
        program(API)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", database_url),
    );
    assert_eq!(process.wait().code(), Some(1));
    process.stderr()
}

#[test]
fn accounts_people_and_keys_are_made_before_and_beside_a_running_server() {
    on_every_engine(async |db| {
        let first = printed(&administer(
            db.url(),
            &["account", "create", "--name", "first"],
        ));
        assert!(first.starts_with("acct_"), "{first}");
        let key = ["key", "create", "--name", "k", "--kind", "human"];
        let before = printed(&administer(db.url(), &key));

        let server = Server::serve(API, db.url());
        let owner = Caller::new(server.url(), &before);
        let desktop = json!({"name": "machine"});
        let desktop = text(&owner.post("/api/desktops", &desktop).await.is(201)["id"]);

        let second = printed(&administer(
            db.url(),
            &["account", "create", "--name", "second"],
        ));
        let user = printed(&create_user(
            db.url(),
            "a@example.org",
            "correct horse battery\n",
        ));
        assert!(user.starts_with("user_"), "{user}");
        let beside = printed(&administer(db.url(), &key));
        let reader = [&key[..], &["--can", "tasks:read,tasks:write"]].concat();
        let reader = printed(&administer(db.url(), &reader));
        let agent = [
            "key",
            "create",
            "--name",
            "a",
            "--kind",
            "agent",
            "--desktop",
            &desktop,
        ];
        let agent = printed(&administer(db.url(), &agent));
        let foreign = [&key[..], &["--account", "second"]].concat();
        let foreign = printed(&administer(db.url(), &foreign));
        let by_id = [&key[..], &["--account", &second]].concat();
        let by_id = printed(&administer(db.url(), &by_id));

        // each works at once, and only as far as it was made to
        let task = json!({"type": "command", "content": "true", "desktopId": desktop});
        let id = text(&owner.with_key(&beside).post(TASKS, &task).await.is(201)["id"]);
        let path = format!("{TASKS}/{id}");
        let reader = owner.with_key(&reader);
        assert_eq!(reader.get(&path).await.is(200)["id"], id.as_str());
        let run = reader.post(&format!("{path}/run"), &json!({})).await;
        run.refuses(403, "forbidden");
        for key in [&foreign, &by_id] {
            assert!(key.starts_with("csk_human_"), "{key}");
            owner
                .with_key(key)
                .get(&path)
                .await
                .refuses(404, "not-found");
        }
        let claim = format!("/api/desktops/{desktop}/claim");
        assert_eq!(
            owner.with_key(&agent).post(&claim, &json!({})).await.status,
            204
        );

        let keys = elements(owner.get("/api/auth/api-keys").await.is(200));
        assert_eq!(keys.len(), 4);
        assert!(!keys.iter().any(|key| key.to_string().contains("csk_")));
        let rows = crate::evidence::checked_activity(&owner).await;
        assert_eq!(crate::evidence::payloads(&rows, "key.created").len(), 4);
    });
}

#[test]
fn administration_says_what_is_wrong() {
    let db = TestDb::migrated_sqlite();
    let key = ["key", "create", "--name", "k", "--kind", "human"];
    let said = refusal(&administer(db.url(), &key));
    assert!(said.contains("account"), "there is none yet: {said}");
    printed(&administer(
        db.url(),
        &["account", "create", "--name", "first"],
    ));
    for (more, why) in [
        (&["--account", "nobody"][..], "nobody"),
        (&["--kind", "agent"], "desktop"),
        (
            &["--kind", "service", "--can", "approvals:decide"],
            "approvals:decide",
        ),
        (&["--can", "everything"], "everything"),
        (&["--kind", "robot"], "robot"),
    ] {
        let arguments: Vec<&str> = if more[0] == "--kind" {
            [&key[..4], more].concat()
        } else {
            [&key[..], more].concat()
        };
        let said = refusal(&administer(db.url(), &arguments));
        assert!(said.contains(why), "{said}");
    }
    let said = refusal(&create_user(db.url(), "a@example.org", "short\n"));
    assert!(
        said.contains("password") && !said.contains("short\n"),
        "{said}"
    );
    printed(&create_user(
        db.url(),
        "a@example.org",
        "correct horse battery\n",
    ));
    let said = refusal(&create_user(
        db.url(),
        "a@example.org",
        "correct horse battery\n",
    ));
    assert!(
        said.contains("a@example.org") || said.contains("mail"),
        "{said}"
    );
    let stored = db.query("SELECT password_hash FROM users").expect("users");
    assert!(
        stored.len() == 1
            && stored[0][0]
                .as_ref()
                .is_some_and(|hash| hash.starts_with("$argon2id$"))
    );

    let said = refusal(&administer("sqlite:///nonexistent/x.db", &key));
    assert!(said.contains("/nonexistent/x.db"), "{said}");
}

#[test]
fn a_server_waits_for_its_migrations_and_keeps_its_schema_while_it_runs() {
    for engine in Engine::ALL {
        let Some(db) = TestDb::empty(engine) else {
            continue;
        };
        let url = db.url();
        // an empty SQLite database is none until the migration tool has made it
        assert_eq!(migrate(url, "check").status.code(), Some(1));
        let status = String::from_utf8(migrate(url, "status").stdout).expect("text");
        assert!(
            status.lines().all(|line| line.ends_with("  pending")),
            "{status}"
        );
        let said = refused_server(url);
        assert!(said.contains("migrate run"), "{said}");
        let said = refusal(&administer(url, &["account", "create", "--name", "n"]));
        assert!(
            said.contains("migrat") || said.contains("no database"),
            "{said}"
        );

        assert!(migrate(url, "run").status.success());
        assert_eq!(migrate(url, "check").status.code(), Some(0));
        owner_key(url);
        let mut server = Server::serve(API, url);
        for action in ["run", "revert"] {
            let said = String::from_utf8(migrate(url, action).stderr).expect("text");
            assert!(said.contains("Countersign server"), "{said}");
        }
        assert!(migrate(url, "status").status.success());
        assert_eq!(server.process().terminate().code(), Some(0));

        while migrate(url, "check").status.success() {
            let reverted = migrate(url, "revert");
            assert!(reverted.status.success(), "{reverted:?}");
        }
        let said = refused_server(url);
        assert!(said.contains("migrate run"), "{said}");
        assert!(migrate(url, "run").status.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_database_has_one_server() {
    let mut site = Site::start(TestDb::migrated_sqlite());
    let said = refused_server(site.db.url());
    assert!(said.contains("another Countersign server"), "{said}");
    assert_eq!(
        site.owner.get(TASKS).await.is(200),
        json!([]),
        "the first goes on"
    );
    site.server.process().kill();
    site.restart();
    assert_eq!(
        site.owner.get(TASKS).await.is(200),
        json!([]),
        "a dead one holds no lock"
    );
}

/// The whole answer to a GET without a credential.
fn get(address: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("somebody listens");
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn metrics_have_a_listener_of_their_own() {
    let db = TestDb::migrated_sqlite();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let metrics = free.expect("a free port").to_string();
    let (url, listen) = (db.url().to_owned(), metrics.clone());
    let server = Server::start(move || {
        let mut command = program(API);
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--metrics-listen",
                &listen,
            ])
            .env("DATABASE_URL", &url);
        command
    });
    let address = server.url().trim_start_matches("http://");
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
    let counted = get(&metrics, "/metrics");
    let line = r#"countersign_http_requests_total{method="GET",route="/healthz",status="200"} 1"#;
    assert!(counted.contains(line), "{counted}");
    assert!(
        counted.contains("countersign_http_request_seconds_bucket"),
        "{counted}"
    );
    assert!(get(address, "/metrics").starts_with("HTTP/1.1 401"));
}

/// The whole answer to the form that uses a one-time link, sent from this origin.
fn use_link(address: &str, origin: &str, token: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("somebody listens");
    let form = format!("token={token}");
    write!(
        connection,
        "POST /sign-in/link HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{form}",
        form.len()
    )
    .expect("it reads");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_sign_in_link_is_printed_alone_and_lets_its_person_in_once() {
    on_every_engine(async |db| {
        let url = db.url();
        let link = |email: &str, more: &[&str]| {
            let arguments = [&["sign-in-link", "--email", email][..], more].concat();
            administer(url, &arguments)
        };
        printed(&administer(url, &["account", "create", "--name", "first"]));
        let password = "correct horse battery\n";
        printed(&create_user(url, "a@example.org", password));
        let said = refusal(&link("nobody@example.org", &[]));
        assert!(said.contains("nobody@example.org"), "{said}");
        let said = refusal(&link("a@example.org", &["--public-url", "ftp://x"]));
        assert!(said.contains("PUBLIC_URL"), "{said}");

        let usual = printed(&link("a@example.org", &[]));
        assert!(
            usual.starts_with("http://127.0.0.1:8080/sign-in#"),
            "{usual}"
        );
        let by_variable = program(API)
            .args(["sign-in-link", "--email", "A@Example.org"])
            .env("DATABASE_URL", url)
            .env("PUBLIC_URL", "https://gate.example.org/")
            .output()
            .expect("it starts");
        let named = printed(&by_variable);
        let token = named.strip_prefix("https://gate.example.org/sign-in#");
        let token = token.expect("the address and the token");
        assert_eq!(token.len(), 64, "{named}");
        assert!(
            token.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{named}"
        );
        let kept = db.query("SELECT sha256 FROM sign_in_links").expect("links");
        assert_eq!(kept.len(), 2);
        assert!(
            !format!("{kept:?}").contains(token),
            "only its digest is kept"
        );

        let server = Server::serve(API, url);
        let address = server.url().trim_start_matches("http://");
        let stranger = use_link(address, "https://evil.example.org", token);
        assert!(stranger.starts_with("HTTP/1.1 403"), "{stranger}");
        let first = use_link(address, server.url(), token);
        assert!(first.starts_with("HTTP/1.1 303"), "{first}");
        let cookie = first.to_ascii_lowercase();
        assert!(cookie.contains("\r\nset-cookie: "), "{first}");
        assert!(cookie.contains("httponly"), "{first}");
        let second = use_link(address, server.url(), token);
        assert!(
            !second.to_ascii_lowercase().contains("set-cookie: "),
            "{second}"
        );
        assert!(!second.starts_with("HTTP/1.1 303"), "{second}");
    });
}

//! A page that is opened as `localhost` comes to the server and to nobody else (ADR 20).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream};

use test_support::server::{Server, program};
use test_support::{Engine, TestDb};

use crate::site::API;

fn port_of(server: &Server) -> u16 {
    let port = server.url().rsplit(':').next().expect("a port");
    port.parse().expect("a number")
}

/// Whether this machine has the second address of `localhost` at all.
fn has_second_address() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        println!("skipped: this machine has no IPv6");
    }
    has
}

#[test]
fn nobody_else_can_answer_as_localhost() {
    if !has_second_address() {
        return;
    }
    let db = TestDb::migrated(Engine::Sqlite).expect("SQLite is always there");
    let server = Server::serve(API, db.url());
    let second = (Ipv6Addr::LOCALHOST, port_of(&server));
    let taken = TcpListener::bind(second).expect_err("it is taken");
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let mut stream = TcpStream::connect(second).expect("the server listens there");
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_server_says_when_somebody_else_answers_as_localhost() {
    if !has_second_address() {
        return;
    }
    let db = TestDb::migrated(Engine::Sqlite).expect("SQLite is always there");
    let other = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("a port");
    let port = other.local_addr().expect("an address").port();
    let url = db.url().to_owned();
    let mut server = Server::start(move || {
        let mut command = program(API);
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .env("DATABASE_URL", &url);
        command
    });
    assert_eq!(port_of(&server), port);
    let said = server.process().stderr();
    assert!(
        said.contains("do not open the dashboard as localhost"),
        "{said}"
    );
}

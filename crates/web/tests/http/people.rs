//! People with a browser: users, sessions, pages and forms.

use approval_core::{AccountId, Digest, UserId};
use reqwest::RequestBuilder;
use store::{Admin, Answer as Stored, Command};
use tokio::task::spawn_blocking;

use crate::world::{Answer, World, new_account, send};

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    pub account: AccountId,
    pub user: UserId,
    /// `name=value` of the session cookie.
    pub cookie: String,
}

pub const PASSWORD: &str = "correct horse battery";

impl World {
    /// Runs a command as the server itself.
    async fn administer(&self, account: AccountId, command: Command) -> Stored {
        let url = self.db.url().parse().expect("a database");
        let run = move || Admin::new(url).run(account, command);
        let answered = spawn_blocking(run).await.expect("no panic");
        answered.expect("accepted").answer
    }

    /// A new user of an account.
    pub async fn user(&self, account: AccountId, email: &str, password: Option<&str>) -> UserId {
        let hash = password.map(|password| {
            let password = password.to_owned().into();
            web::password::hash(&password).expect("a hash")
        });
        let command = Command::CreateUser {
            email: email.to_owned(),
            password_hash: hash,
        };
        match self.administer(account, command).await {
            Stored::User(user) => user,
            other => panic!("{other:?}"),
        }
    }

    /// The token of a new one-time link.
    pub async fn link(&self, account: AccountId, user: UserId) -> String {
        let token = store::random_digest().expect("random").to_string();
        let digest = Digest::of(token.as_bytes());
        let command = Command::CreateSignInLink { user, digest };
        self.administer(account, command).await;
        token
    }

    /// A new person of our account, signed in.
    pub async fn person(&self, email: &str) -> Person {
        self.person_of(self.account, email).await
    }

    /// A new person of another account, signed in.
    pub async fn strange_person(&self) -> Person {
        let (account, _) = new_account(&self.db, "theirs").await;
        self.person_of(account, "stranger@example.org").await
    }

    async fn person_of(&self, account: AccountId, email: &str) -> Person {
        let user = self.user(account, email, None).await;
        let person = Person {
            account,
            user,
            cookie: String::new(),
        };
        self.again(&person).await
    }

    /// The same person at another browser.
    pub async fn again(&self, person: &Person) -> Person {
        let token = self.link(person.account, person.user).await;
        let answer = self.form("", "/sign-in/link", &[("token", &token)]).await;
        Person {
            cookie: cookie_of(&answer),
            ..person.clone()
        }
    }

    /// What a browser sends with this cookie; empty: none.
    pub fn browse(&self, cookie: &str, method: &str, path: &str) -> RequestBuilder {
        let request = self.request("", method, path).header("accept", "text/html");
        let request = if cookie.is_empty() {
            request
        } else {
            request.header("cookie", cookie)
        };
        if matches!(method, "GET" | "HEAD") {
            request
        } else {
            request.header("sec-fetch-site", "same-origin")
        }
    }

    pub async fn page(&self, cookie: &str, path: &str) -> Answer {
        send(self.browse(cookie, "GET", path)).await
    }

    /// Sends a form.
    pub async fn form(&self, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        send(filled(self.browse(cookie, "POST", path), fields)).await
    }
}

/// A request with a form in its body.
pub fn filled(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields);
    request
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.finish())
}

/// `name=value` of the cookie that an answer sets.
#[track_caller]
pub fn cookie_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let pair = answer.header("set-cookie").split(';').next();
    pair.unwrap_or_default().to_owned()
}

/// The value of a field in a page.
#[track_caller]
pub fn value(page: &str, name: &str) -> String {
    let begin = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&begin).expect("the field is there");
    rest.split('"').next().unwrap_or_default().to_owned()
}

impl Answer {
    /// Where a change leads, which must have succeeded.
    #[track_caller]
    pub fn leads(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text());
        self.header("location")
    }

    /// A page that must have this status.
    #[track_caller]
    pub fn shows(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        self.text()
    }
}

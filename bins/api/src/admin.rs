//! Administration on the database itself, also beside a running server.

use std::io::Read;
use std::path::Path;

use approval_core::{Digest, KeyRequest};
use store::url::DatabaseUrl;
use store::{Admin, Answer, Command, KeyText, migrations};
use zeroize::Zeroizing;

use crate::Failure;
use crate::cli::{CreateAccount, CreateKey, CreateUser, SignInLink};

/// Longest password line that is read, in bytes.
const MAX_PASSWORD_BYTES: u64 = 8_192;

pub(crate) fn create_account(options: &CreateAccount) -> Result<(), Failure> {
    let id = admin(options.database.url()?)?.create_account(&options.name)?;
    println!("{id}");
    Ok(())
}

pub(crate) fn create_user(options: &CreateUser) -> Result<(), Failure> {
    let admin = admin(options.database.url()?)?;
    let account = admin.account(options.account.as_deref())?;
    let password_hash = Some(web::password::hash(&read_password()?)?);
    let command = Command::CreateUser {
        email: options.email.clone(),
        password_hash,
    };
    if let Answer::User(id) = admin.run(account, command)?.answer {
        println!("{id}");
    }
    Ok(())
}

/// Prints a link that lets one person in, once, within 15 minutes.
pub(crate) fn print_sign_in_link(options: &SignInLink) -> Result<(), Failure> {
    let admin = admin(options.database.url()?)?;
    println!(
        "{}",
        sign_in_link(&admin, &options.email, &options.public_url)?
    );
    Ok(())
}

/// Makes a one-time link for a person. Its token stands behind the `#`, which browsers keep to
/// themselves until **Sign in** is pressed.
pub(crate) fn sign_in_link(admin: &Admin, email: &str, server: &str) -> Result<String, Failure> {
    let login = admin.read(|reads| reads.login(email))?;
    let login = login.ok_or_else(|| format!("nobody has the e-mail address {email}"))?;
    let token = Zeroizing::new(store::random_digest()?.to_string());
    let command = Command::CreateSignInLink {
        user: login.user,
        digest: Digest::of(token.as_bytes()),
    };
    admin.run(login.account, command)?;
    Ok(format!("{server}/sign-in#{}", *token))
}

pub(crate) fn create_key(options: &CreateKey) -> Result<(), Failure> {
    let admin = admin(options.database.url()?)?;
    let account = admin.account(options.account.as_deref())?;
    let key = KeyText::generate(options.kind)?;
    let request = KeyRequest {
        name: options.name.clone(),
        kind: options.kind,
        capabilities: options.can.clone(),
        desktop: options.desktop,
    };
    admin.run(
        account,
        Command::CreateKey {
            request,
            digest: key.digest(),
        },
    )?;
    println!("{}", key.reveal());
    Ok(())
}

/// Administration never changes the schema: that is the migration tool's.
pub(crate) fn admin(url: DatabaseUrl) -> Result<Admin, Failure> {
    if let DatabaseUrl::Sqlite(path) = &url {
        must_exist(path)?;
    }
    let pending = migrations::pending(&url)?;
    if pending.is_empty() {
        Ok(Admin::new(url))
    } else {
        Err(format!(
            "{url} lacks migrations: {}; run `migrate run` first",
            pending.join(", ")
        )
        .into())
    }
}

/// Administration makes no database: a file that is missing is a wrong path.
pub(crate) fn must_exist(database: &Path) -> Result<(), Failure> {
    if database.exists() {
        Ok(())
    } else {
        Err(format!("there is no database {}", database.display()).into())
    }
}

fn read_password() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .take(MAX_PASSWORD_BYTES)
        .read_to_string(&mut text)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Zeroizing::new(
        password.strip_suffix('\r').unwrap_or(password).to_owned(),
    ))
}

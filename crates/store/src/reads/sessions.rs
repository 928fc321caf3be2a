//! People as they sign in, and their sessions.

use approval_core::{AccountId, Digest, Principal, SessionId, UserId};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl,
};

use super::Reads;
use crate::connection::on_db;
use crate::fault::{Fault, stored, stored_option};
use crate::pool::ReadError;
use crate::rows::{SessionRow, session_columns, session_view};
use crate::schema::{sessions, sign_in_links, users};
use crate::views::{Credential, CredentialId, LoginView, SessionView};

/// Most sessions of a person that are shown.
const SHOWN: i64 = 100;

impl Reads<'_> {
    /// The credential behind the digest of a session cookie; `None` for an unknown, ended or
    /// expired one.
    pub fn session(&mut self, sha256: &Digest) -> Result<Option<Credential>, ReadError> {
        let now = self.time()?;
        let row: Option<CredentialRow> = on_db!(self.conn, |c| sessions::table
            .inner_join(users::table.on(users::id.eq(sessions::user_id)))
            .filter(sessions::sha256.eq(sha256.to_string()))
            .filter(sessions::ended_at.is_null())
            .filter(sessions::expires_at.gt(now.micros()))
            .select((
                sessions::id,
                sessions::account_id,
                users::id,
                users::email,
                sessions::origin_sha256,
            ))
            .first(c)
            .optional())
        .map_err(Fault::from)?;
        let credential = row.map(|(id, account, user, email, origin)| {
            Ok(Credential {
                account: stored(&account)?,
                id: CredentialId::Session(stored(&id)?),
                principal: Principal::person(stored(&user)?, email),
                origin: stored_option(origin.as_deref())?,
            })
        });
        Ok(credential.transpose().map_err(|fault: Fault| fault)?)
    }

    /// Which of some sessions have ended, or are gone.
    pub(super) fn ended_sessions(&mut self, ids: &[SessionId]) -> Result<Vec<SessionId>, Fault> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.time()?;
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let open: Vec<String> = on_db!(self.conn, |c| sessions::table
            .filter(sessions::id.eq_any(&texts))
            .filter(sessions::ended_at.is_null())
            .filter(sessions::expires_at.gt(now.micros()))
            .select(sessions::id)
            .load(c))?;
        let is_open = |id: &SessionId| open.contains(&id.to_string());
        Ok(ids.iter().copied().filter(|id| !is_open(id)).collect())
    }

    /// The person with this login name; upper and lower case are one.
    pub fn login(&mut self, email: &str) -> Result<Option<LoginView>, ReadError> {
        let row: Option<UserRow> = on_db!(self.conn, |c| users::table
            .filter(users::email.eq_any([email, &email.to_lowercase()]))
            .order(users::id)
            .select(user_columns!())
            .first(c)
            .optional())
        .map_err(Fault::from)?;
        Ok(row.map(login_view).transpose()?)
    }

    /// A person of an account.
    pub fn user(
        &mut self,
        account: AccountId,
        user: UserId,
    ) -> Result<Option<LoginView>, ReadError> {
        let row: Option<UserRow> = on_db!(self.conn, |c| users::table
            .filter(users::account_id.eq(account.to_string()))
            .filter(users::id.eq(user.to_string()))
            .select(user_columns!())
            .first(c)
            .optional())
        .map_err(Fault::from)?;
        Ok(row.map(login_view).transpose()?)
    }

    /// Whose an unused link is that has not run out, by the digest of its token.
    pub fn sign_in_link(
        &mut self,
        sha256: &Digest,
    ) -> Result<Option<(AccountId, UserId)>, ReadError> {
        let now = self.time()?;
        let row: Option<(String, String)> = on_db!(self.conn, |c| sign_in_links::table
            .filter(sign_in_links::sha256.eq(sha256.to_string()))
            .filter(sign_in_links::used_at.is_null())
            .filter(sign_in_links::expires_at.gt(now.micros()))
            .select((sign_in_links::account_id, sign_in_links::user_id))
            .first(c)
            .optional())
        .map_err(Fault::from)?;
        let link = row.map(|(account, user)| Ok((stored(&account)?, stored(&user)?)));
        Ok(link.transpose().map_err(|fault: Fault| fault)?)
    }

    /// The open sessions of a person, last used first.
    pub fn sessions(
        &mut self,
        account: AccountId,
        user: UserId,
    ) -> Result<Vec<SessionView>, ReadError> {
        let now = self.time()?;
        let rows: Vec<SessionRow> = on_db!(self.conn, |c| sessions::table
            .filter(sessions::account_id.eq(account.to_string()))
            .filter(sessions::user_id.eq(user.to_string()))
            .filter(
                sessions::ended_at
                    .is_null()
                    .and(sessions::expires_at.gt(now.micros()))
            )
            .order((sessions::last_seen_at.desc(), sessions::id))
            .limit(SHOWN)
            .select(session_columns!())
            .load(c))
        .map_err(Fault::from)?;
        let views = rows.into_iter().map(session_view);
        Ok(views.collect::<Result<_, Fault>>()?)
    }
}

type CredentialRow = (String, String, String, String, Option<String>);
type UserRow = (String, String, String, Option<String>);

macro_rules! user_columns {
    () => {
        (
            users::account_id,
            users::id,
            users::email,
            users::password_hash,
        )
    };
}
use user_columns;

fn login_view(row: UserRow) -> Result<LoginView, Fault> {
    let (account, user, email, password_hash) = row;
    Ok(LoginView {
        account: stored(&account)?,
        user: stored(&user)?,
        email,
        password_hash,
    })
}

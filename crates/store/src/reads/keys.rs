//! API keys: lists without their texts, and the credential behind a text.

use approval_core::{AccountId, Digest, Identity, KeyId, Principal, PrincipalId};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl,
};

use super::{Reads, cut};
use crate::connection::on_db;
use crate::fault::{Fault, stored};
use crate::pool::ReadError;
use crate::rows::{KeyRow, key_query, key_view};
use crate::schema::{api_keys, principals};
use crate::views::{Credential, CredentialId, KeyView, Page};

impl Reads<'_> {
    /// The credential behind the digest of a key text; `None` for an unknown or revoked one.
    pub fn credential(&mut self, sha256: &Digest) -> Result<Option<Credential>, ReadError> {
        let row: Option<KeyRow> = on_db!(self.conn, |c| key_query!()
            .filter(api_keys::revoked_at.is_null())
            .filter(api_keys::sha256.eq(sha256.to_string()))
            .first(c)
            .optional())
        .map_err(Fault::from)?;
        Ok(row.map(credential).transpose()?)
    }

    /// Which of some credentials are revoked or have ended.
    pub fn ended(&mut self, ids: &[CredentialId]) -> Result<Vec<CredentialId>, ReadError> {
        let (mut keys, mut sessions) = (Vec::new(), Vec::new());
        for id in ids {
            match id {
                CredentialId::Key(key) => keys.push(*key),
                CredentialId::Session(session) => sessions.push(*session),
            }
        }
        let keys = self.revoked_keys(&keys)?;
        let sessions = self.ended_sessions(&sessions)?;
        let keys = keys.into_iter().map(CredentialId::Key);
        let sessions = sessions.into_iter().map(CredentialId::Session);
        Ok(keys.chain(sessions).collect())
    }

    fn revoked_keys(&mut self, keys: &[KeyId]) -> Result<Vec<KeyId>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let rows: Vec<String> = on_db!(self.conn, |c| api_keys::table
            .filter(api_keys::id.eq_any(&ids))
            .filter(api_keys::revoked_at.is_not_null())
            .select(api_keys::id)
            .load(c))?;
        rows.iter().map(|id| stored(id)).collect()
    }

    /// A page of keys that are not revoked, in the order of their ids.
    pub fn keys(
        &mut self,
        account: AccountId,
        limit: i64,
        after: Option<KeyId>,
    ) -> Result<Page<KeyView>, ReadError> {
        self.snapshot(|conn| {
            let after = after.map(|id| id.to_string()).unwrap_or_default();
            let total = on_db!(conn, |c| api_keys::table
                .filter(api_keys::account_id.eq(account.to_string()))
                .filter(api_keys::revoked_at.is_null())
                .count()
                .get_result(c))?;
            let mut rows: Vec<KeyRow> = on_db!(conn, |c| key_query!()
                .filter(api_keys::revoked_at.is_null())
                .filter(api_keys::account_id.eq(account.to_string()))
                .filter(api_keys::id.gt(after))
                .order(api_keys::id)
                .limit(limit + 1)
                .load(c))?;
            let next = cut(&mut rows, limit, |row| row.0.clone());
            let items = rows.into_iter().map(key_view).collect::<Result<_, _>>()?;
            Ok(Page { items, total, next })
        })
    }
}

fn credential(row: KeyRow) -> Result<Credential, Fault> {
    let account: AccountId = stored(&row.1)?;
    let view = key_view(row)?;
    let identity = Identity {
        kind: view.kind.actor(),
        id: PrincipalId::Key(view.id),
        name: view.name,
    };
    let capabilities = view.capabilities.into_iter().collect();
    let principal = Principal {
        identity,
        capabilities,
        desktop: view.desktop,
    };
    Ok(Credential {
        account,
        id: CredentialId::Key(view.id),
        principal,
        origin: None,
    })
}

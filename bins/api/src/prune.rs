//! `api prune`: gives up log and file bytes of finished work, beside a running server.

use approval_core::AccountId;
use store::url::DatabaseUrl;
use store::{Admin, PruneTotal};

use crate::Failure;
use crate::admin::admin;
use crate::cli::Prune;

/// Prints a line for each account with what went, then what is left to do for the disk.
pub(crate) fn run(options: &Prune) -> Result<(), Failure> {
    let url = options.database.url()?;
    let admin = admin(url.clone())?;
    let mut all = PruneTotal::default();
    for (account, name) in accounts(&admin, options.account.as_deref())? {
        let total = prune(&admin, account, options)?;
        println!("{name}: {}", line(&total, options.dry_run));
        all.attempts += total.attempts;
        all.log_bytes += total.log_bytes;
        all.file_bytes += total.file_bytes;
    }
    if options.dry_run {
        println!("nothing was changed");
    } else if all != PruneTotal::default() {
        println!("{}", what_is_left(&admin, &url)?);
    }
    Ok(())
}

fn accounts(admin: &Admin, wanted: Option<&str>) -> Result<Vec<(AccountId, String)>, Failure> {
    let all = admin.accounts()?;
    let Some(wanted) = wanted else {
        return Ok(all);
    };
    let account = admin.account(Some(wanted))?;
    Ok(all.into_iter().filter(|(id, _)| *id == account).collect())
}

fn prune(admin: &Admin, account: AccountId, options: &Prune) -> Result<PruneTotal, Failure> {
    let now = admin.now()?;
    let older_than = now.plus_seconds(-options.older_than.seconds);
    Ok(if options.dry_run {
        admin.prunable(account, older_than)?
    } else {
        admin.prune(account, older_than)?
    })
}

fn line(total: &PruneTotal, is_dry: bool) -> String {
    let what = if is_dry { "would prune" } else { "pruned" };
    let attempts = match total.attempts {
        1 => "1 attempt".to_owned(),
        attempts => format!("{attempts} attempts"),
    };
    format!(
        "{what} {attempts}, {} bytes of logs and {} bytes of files",
        total.log_bytes, total.file_bytes
    )
}

/// What becomes of the room, which neither engine gives back to the disk by itself.
fn what_is_left(admin: &Admin, url: &DatabaseUrl) -> Result<String, Failure> {
    Ok(match (url, admin.free_bytes()?) {
        (DatabaseUrl::Sqlite(path), Some(free)) => format!(
            "{free} bytes in {path} are free for new data. The file keeps its size; to shrink it, stop the server and \
             run: sqlite3 {path} VACUUM",
            path = path.display()
        ),
        _ => "PostgreSQL uses the room again after its next autovacuum; VACUUM FULL gives it back to the disk".to_owned(),
    })
}

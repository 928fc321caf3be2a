//! `api backup`: a copy of the SQLite database that was checked before it got its name (ADR 0021).

use store::Snapshot;
use store::url::DatabaseUrl;

use crate::Failure;
use crate::admin::must_exist;
use crate::audit;
use crate::cli::Backup;

/// PostgreSQL copies its databases itself. The lines are those of docs/operations.md.
const POSTGRES: &str = "\
this copies SQLite databases; PostgreSQL has its own programs, for a backup

    pg_dump --format=custom --file=countersign.dump \"$DATABASE_URL\"

and to restore it into an empty database

    pg_restore --exit-on-error --single-transaction --no-owner --dbname=\"$DATABASE_URL\" countersign.dump";

/// Copies the database, reads the copy as a whole, gives it its name and prints what it holds: path,
/// bytes, and where the log of each account ends, separated by tabs.
pub(crate) fn run(options: &Backup) -> Result<(), Failure> {
    let DatabaseUrl::Sqlite(database) = options.database.url()? else {
        return Err(POSTGRES.into());
    };
    must_exist(&database)?;
    let snapshot = Snapshot::take(&database, &options.file)?;
    let heads = heads_of_whole_logs(&snapshot)?;
    let bytes = snapshot.publish()?;
    let mut line = vec![options.file.display().to_string(), bytes.to_string()];
    line.extend(heads);
    println!("{}", line.join("\t"));
    Ok(())
}

/// Where the log of each account of a copy ends, as `ACCOUNT=SEQ:HASH`; a failure when one of them is
/// not as the server wrote it.
fn heads_of_whole_logs(snapshot: &Snapshot) -> Result<Vec<String>, Failure> {
    let admin = snapshot.admin();
    let mut heads = Vec::new();
    for (account, _) in admin.accounts()? {
        let verdict = audit::check_account(&admin, account)?;
        if let Some(finding) = verdict.findings.first() {
            return Err(format!(
                "the log of {account} is not as the server wrote it ({finding}), so there is no backup; \
                 `api audit export` and `api audit verify` show all of it"
            )
            .into());
        }
        heads.push(format!("{account}={}", verdict.head));
    }
    Ok(heads)
}

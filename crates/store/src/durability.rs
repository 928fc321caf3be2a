//! Whether the database keeps what it acknowledges (docs/guarantees.md, G1). SQLite is told to; PostgreSQL
//! is somebody else's, and is asked.

use diesel::RunQueryDsl;
use diesel::sql_types::Text;

use crate::connection::{Conn, ConnectError, Role};
use crate::url::DatabaseUrl;

/// Settings without which PostgreSQL loses acknowledged commits when it or its machine stops. What the
/// database or the role has of its own counts, because it is asked over a connection like the writer's.
const ASKED: &str = "SELECT name FROM pg_settings \
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name";

#[derive(diesel::QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The settings of PostgreSQL that are off and must not be, for what is acknowledged to be kept. None on
/// SQLite.
///
/// # Errors
/// [`ConnectError`] when the database cannot be reached. One that does not answer the question has no weak
/// settings.
pub fn weak_settings(url: &DatabaseUrl) -> Result<Vec<String>, ConnectError> {
    let mut conn = Conn::open(url, Role::Writer)?;
    let Conn::Postgres(conn) = &mut conn else {
        return Ok(Vec::new());
    };
    let found: Vec<Setting> = diesel::sql_query(ASKED).load(conn).unwrap_or_default();
    Ok(found.into_iter().map(|setting| setting.name).collect())
}

//! What the programs are linked with: their own SQLite, new enough, and no library of the system that
//! another release of it would change underneath (guarantee D5).

use test_support::TestDb;
use test_support::server::{beside, program};

use crate::site::{API, administer, printed};

#[test]
fn no_program_takes_a_database_or_tls_library_of_the_system() {
    for name in ["api", "migrate", "desktop"] {
        let output = program("ldd").arg(beside(API, name)).output();
        let output = output.expect("ldd, which comes with libc");
        let libraries = String::from_utf8(output.stdout).expect("text");
        assert!(libraries.contains("libc.so"), "{name}: {libraries}");
        for library in ["sqlite", "libpq", "libssl", "libcrypto"] {
            assert!(!libraries.contains(library), "{name}: {libraries}");
        }
    }
}

/// Every program looks at the version that it really runs with whenever it opens a database; how an
/// older one is refused is tested in `store::connection`.
#[test]
fn the_sqlite_that_the_programs_bring_is_accepted() {
    let db = TestDb::migrated_sqlite();
    printed(&administer(db.url(), &["account", "create", "--name", "a"]));
    let checked = program(beside(API, "migrate"))
        .arg("check")
        .env("DATABASE_URL", db.url())
        .output()
        .expect("it starts");
    assert!(checked.status.success(), "{checked:?}");
}

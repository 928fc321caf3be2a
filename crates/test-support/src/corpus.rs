//! What the fuzzer found worth keeping, replayed by ordinary tests.

use std::fs;
use std::path::Path;

/// Calls the function of a fuzz target with every file of its corpus, `fuzz/corpus/TARGET`.
///
/// # Panics
/// When there is no corpus, or when the function panics.
pub fn replay(target: &str, function: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs = 0;
    for entry in entries {
        let path = entry.expect("an entry").path();
        // named when it fails
        println!("{}", path.display());
        function(&fs::read(&path).expect("a file"));
        inputs += 1;
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

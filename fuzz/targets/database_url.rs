//! Calls `store::fuzz::database_url` with whatever libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| store::fuzz::database_url(data));

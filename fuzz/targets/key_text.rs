//! Calls `store::fuzz::key_text` with whatever libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| store::fuzz::key_text(data));

//! Calls `web::fuzz::paths` with whatever libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| web::fuzz::paths(data));

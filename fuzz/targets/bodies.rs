//! Calls `web::fuzz::bodies` with whatever libFuzzer finds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| web::fuzz::bodies(data));

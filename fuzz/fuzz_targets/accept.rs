#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| greenapi_exporter_fuzz::accept::check(input));

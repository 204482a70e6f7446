//! Of any header `Authorization`, what is read is what was written, and whatever can be written is read.

#[path = "../../src/web/users.rs"]
#[expect(dead_code, reason = "only the header is read here; bcrypt is slow on purpose")]
mod users;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use users::Credentials;

pub fn check(input: &[u8]) {
    if let Some(Credentials { name, password }) = Credentials::read(input) {
        let written = STANDARD.encode([&*name, b":", &*password].concat());
        assert!(!name.contains(&b':'));
        assert!(input[..6].eq_ignore_ascii_case(b"basic "));
        assert_eq!(&input[6..], written.as_bytes());
    }
    let read = Credentials::read(format!("bASIC {}", STANDARD.encode(input)).as_bytes());
    let read = read.map(|Credentials { name, password }| (name, password));
    let mut parts = input.splitn(2, |byte| *byte == b':').map(<[u8]>::to_vec);
    assert_eq!(read, parts.next().zip(parts.next()));
}

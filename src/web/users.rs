//! Who may ask: names and passwords, of which only bcrypt hashes are known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use tokio::sync::Semaphore;

use crate::lock::locked;

/// The users and what their passwords hash to. Without any, everybody is admitted.
pub(super) struct Users {
    hashes: BTreeMap<Vec<u8>, String>,
    /// What an unknown user's password is compared with: a hash of no password, as costly as the costliest user's.
    stand_in: String,
    /// For each user, the password that was right last, under a key that nobody else has: bcrypt is slow on purpose, and
    /// a scraper comes often. Wrong passwords aren't remembered, so that guesses push out nothing.
    proven: Mutex<BTreeMap<Vec<u8>, hmac::Tag>>,
    key: hmac::Key,
    /// One bcrypt at a time: guessing takes one processor at most.
    turn: Arc<Semaphore>,
}

impl Users {
    /// Users by their names. Fails where the system gives no random numbers.
    pub(super) fn new(hashes: BTreeMap<Vec<u8>, (String, Cost)>) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let cost = hashes.values().map(|(_, cost)| cost.0).max().unwrap_or(DEFAULT_COST);
        Ok(Self {
            hashes: hashes.into_iter().map(|(name, (hash, _))| (name, hash)).collect(),
            stand_in: format!("$2b${cost:02}${}", ".".repeat(53)),
            proven: Mutex::default(),
            key: hmac::Key::generate(hmac::HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new())?,
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether anybody may ask.
    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether these are a user's name and password.
    pub(super) async fn admit(&self, credentials: Credentials) -> bool {
        let Credentials { name, password } = credentials;
        if self.is_proven(&name, &password) {
            return true;
        }
        let Ok(turn) = self.turn.clone().acquire_owned().await else {
            return false;
        };
        // Somebody with the same password may have been before.
        if self.is_proven(&name, &password) {
            return true;
        }
        let known = self.hashes.get(&name);
        let hash = known.unwrap_or(&self.stand_in).clone();
        let proof = hmac::sign(&self.key, &password);
        let comparison = tokio::task::spawn_blocking(move || {
            // Held to the end, even when the client is gone by then.
            let _turn = turn;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        let is_right = comparison.await.unwrap_or(false) && known.is_some();
        if is_right {
            locked(&self.proven).insert(name, proof);
        }
        is_right
    }

    fn is_proven(&self, name: &[u8], password: &[u8]) -> bool {
        locked(&self.proven)
            .get(name)
            .is_some_and(|proof| hmac::verify(&self.key, password, proof.as_ref()).is_ok())
    }
}

/// bcrypt's cost, the base-2 logarithm of its rounds: 4 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost(u32);

impl Cost {
    /// The cost of `hash`; an error that repeats nothing of it where it is no bcrypt hash.
    pub(super) fn of(hash: &str) -> Result<Self, &'static str> {
        let parts: HashParts = hash.parse().map_err(|_| "not a bcrypt hash")?;
        match parts.get_cost() {
            cost @ 4..=31 => Ok(Self(cost)),
            _ => Err("the cost of a bcrypt hash is 4 to 31"),
        }
    }
}

/// What a client says it is. Any bytes: which of them are right is for the hash to say.
pub(super) struct Credentials {
    pub(super) name: Vec<u8>,
    pub(super) password: Vec<u8>,
}

impl Credentials {
    /// Reads the header `Authorization` (RFC 7617). A password may have colons, a name can't.
    pub(super) fn read(header: &[u8]) -> Option<Self> {
        let (scheme, encoded) = header.split_at_checked(b"Basic ".len())?;
        let decoded = scheme
            .eq_ignore_ascii_case(b"Basic ")
            .then(|| STANDARD.decode(encoded))?
            .ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Self {
            name: decoded[..colon].to_vec(),
            password: decoded[colon + 1..].to_vec(),
        })
    }
}

/// What tools that make such hashes usually take.
const DEFAULT_COST: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn users(costs: &[(&str, u32)]) -> Users {
        let user = |(name, cost): &(&str, u32)| {
            let hash = bcrypt::hash_with_salt("secret", *cost, [7; 16]).unwrap().to_string();
            let cost = Cost::of(&hash).unwrap();
            (name.as_bytes().to_vec(), (hash, cost))
        };
        Users::new(costs.iter().map(user).collect()).unwrap()
    }

    async fn check(users: &Users, name: &str, password: &str, expected: bool) {
        let credentials = Credentials {
            name: name.into(),
            password: password.into(),
        };
        assert_eq!(users.admit(credentials).await, expected, "{name} {password}");
    }

    #[test]
    fn an_unknown_user_costs_as_much_as_the_most_expensive_known() {
        let users = users(&[("cheap", 4), ("dear", 6)]);
        assert_eq!(Cost::of(&users.stand_in), Ok(Cost(6)));
        // It is compared in earnest, not refused as malformed.
        assert!(!bcrypt::verify("secret", &users.stand_in).unwrap());
    }

    #[tokio::test]
    async fn only_what_was_right_is_remembered_and_only_for_its_user() {
        let users = users(&[("a", 4), ("b", 4)]);
        check(&users, "a", "wrong", false).await;
        check(&users, "nobody", "secret", false).await;
        assert!(users.proven.lock().unwrap().is_empty());
        check(&users, "a", "secret", true).await;
        check(&users, "a", "secret", true).await;
        check(&users, "a", "wrong", false).await;
        check(&users, "a", "secret", true).await;
        assert_eq!(users.proven.lock().unwrap().keys().collect::<Vec<_>>(), [b"a"]);
    }

    #[tokio::test]
    async fn nobody_knows_the_stand_ins_password() {
        let mut users = users(&[("a", 4)]);
        users.stand_in = bcrypt::hash_with_salt("fake", 4, [7; 16]).unwrap().to_string();
        check(&users, "nobody", "fake", false).await;
        check(&users, "nobody", "fake", false).await;
    }

    #[test]
    fn credentials_are_read_off_the_header() {
        let check = |header: &str, expected: Option<(&str, &str)>| {
            let credentials = Credentials::read(header.as_bytes());
            let read = credentials.map(|read| (read.name, read.password));
            let expected = expected.map(|(name, password)| (name.into(), password.into()));
            assert_eq!(read, expected, "{header}");
        };
        check("Basic YTpi", Some(("a", "b")));
        check("bAsIc YTpi", Some(("a", "b")));
        check("Basic YTpiOmM=", Some(("a", "b:c")));
        check("Basic Og==", Some(("", "")));
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic YQ==",
            "Basic !",
            "Bearer YTpi",
            "BasicYTpi",
            "\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            check(header, None);
        }
    }
}

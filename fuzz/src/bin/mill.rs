//! Grinds a law: mutates seeds without looking at coverage, for a given time.
//!
//! `mill LAW SECONDS SEED FOLDER...` takes the files in the folders as seeds of the inputs, and SEED as that of the dice. An
//! input that breaks the law is left in `artifacts/`.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, panic};

use greenapi_exporter_fuzz::LAWS;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [law, seconds, seed, folders @ ..] = arguments.as_slice() else {
        eprintln!("usage: mill LAW SECONDS SEED FOLDER...");
        return ExitCode::FAILURE;
    };
    let (name, check) = LAWS
        .into_iter()
        .find(|(name, _)| name == law)
        .expect("a law of this name");
    let seconds = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let mut mill = Mill {
        dice: Dice(seed.parse().expect("a number as the seed")),
        seeds: folders.iter().flat_map(|folder| inputs(Path::new(folder))).collect(),
    };
    assert!(!mill.seeds.is_empty(), "no seeds in {folders:?}");
    let start = Instant::now();
    let mut executions = 0_u64;
    while !executions.is_multiple_of(64) || start.elapsed() < seconds {
        let input = mill.input();
        executions += 1;
        if panic::catch_unwind(|| check(&input)).is_err() {
            let path = format!("artifacts/{name}-{seed}-{executions}");
            fs::create_dir_all("artifacts")
                .and_then(|()| fs::write(&path, input))
                .expect("artifacts/ is writable");
            eprintln!("the law `{name}` is broken by {path}");
            return ExitCode::FAILURE;
        }
    }
    println!(
        "{name}: {executions} executions in {:.0?}, none broke the law",
        start.elapsed()
    );
    ExitCode::SUCCESS
}

/// The files in `folder` that are no longer than is quickly checked.
fn inputs(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let files = entries.filter_map(|entry| fs::read(entry.ok()?.path()).ok());
    let mut files: Vec<_> = files.filter(|file| file.len() <= 4096).collect();
    // The order of a folder is another on every machine, and the dice should fall alike.
    files.sort();
    files
}

struct Mill {
    dice: Dice,
    seeds: Vec<Vec<u8>>,
}

impl Mill {
    fn input(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..=self.dice.below(4) {
            self.mutate(&mut input);
        }
        input
    }

    fn seed(&mut self) -> &[u8] {
        let index = self.dice.below(self.seeds.len());
        &self.seeds[index]
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let length = input.len();
        let at = self.dice.below(length + 1);
        let end = (at + 1 + self.dice.below(16)).min(length);
        match self.dice.below(8) {
            0 if at < length => input[at] ^= 1 << self.dice.below(8),
            1 if at < length => input[at] = self.dice.byte(),
            2 => drop(input.drain(at..end)),
            3 => input.insert(at, self.dice.byte()),
            4 => {
                let token = TOKENS[self.dice.below(TOKENS.len())];
                input.splice(at..at, token.iter().copied());
            }
            5 => {
                let piece = input[at..end].to_vec();
                let to = self.dice.below(length + 1);
                input.splice(to..to, piece);
            }
            6 => {
                let seed = self.seed().to_vec();
                let from = self.dice.below(seed.len() + 1);
                let until = (from + 1 + self.dice.below(48)).min(seed.len());
                input.splice(at..end, seed[from..until].iter().copied());
            }
            // Seldom, because little is left.
            _ if self.dice.below(16) == 0 => input.truncate(at),
            _ => {}
        }
    }
}

/// What means something in one of the formats.
const TOKENS: [&[u8]; 40] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"\n",
    b"\n  ",
    b"- ",
    b"#",
    b"&a ",
    b"*a",
    b"|\n",
    b"$",
    b";q=0.5",
    b";q=",
    b"=",
    b"*",
    b"null",
    b"true",
    b"0",
    b"-",
    b".",
    b"1e999",
    b"e-1",
    b"\x00",
    b"\x01",
    b"\xff",
    b"\xc3",
    b"\xf0\x9f\x98\x80",
    br"\u0041",
    br"\ud800",
    br"\q",
    b"\"x\":1,",
    b"{\"idMessage\":\"a\",\"timestamp\":1},",
    b"\r",
    b"!!str ",
];

/// Knuth's sequence; the upper bits are the good ones.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or_default()
    }
}

//! A file that is not as it was written is refused, unless the damage lies where nothing is kept.

use std::fs;
use std::path::Path;

use greenapi_exporter::store::{FILE, Store};

use crate::fleet::{Fleet, directory, shown};

/// The files of a store that was closed and of one that was killed, and what they held.
fn written(name: &str) -> (Vec<(&'static str, Vec<u8>)>, String) {
    let directory = directory(name);
    let mut fleet = Fleet::open(&directory);
    (0..3).for_each(|number| fleet.scrape(number));
    let killed = fs::read(directory.join(FILE)).unwrap();
    drop(fleet.store);
    let closed = fs::read(directory.join(FILE)).unwrap();
    (vec![("killed", killed), ("closed", closed)], shown(&fleet.ledgers))
}

/// Whether a store of these bytes is refused; if it isn't, it must hold what was written.
fn is_refused(directory: &Path, bytes: &[u8], written: &str, what: &str) -> bool {
    fs::write(directory.join(FILE), bytes).unwrap();
    match Store::open(directory) {
        Ok((_, ledgers)) => {
            assert!(shown(&ledgers) == written, "{what}: wrong ledgers");
            false
        }
        Err(_) => true,
    }
}

#[test]
fn a_file_with_a_flipped_bit_is_refused_or_holds_what_was_written() {
    let (files, written) = written("flipped");
    let directory = directory("flips");
    for (name, bytes) in files {
        for place in places(bytes.len()) {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << (place % 8);
            is_refused(
                &directory,
                &flipped,
                &written,
                &format!("{name}: bit {} of byte {place}", place % 8),
            );
        }
    }
}

#[test]
fn a_file_that_was_cut_off_is_refused() {
    let (files, written) = written("cut");
    let directory = directory("cuts");
    for (name, bytes) in files {
        for length in places(bytes.len()) {
            let what = format!("{name}: cut to {length}");
            assert!(is_refused(&directory, &bytes[..length], &written, &what), "{what}");
            let refusal = Store::open(&directory).map(drop).unwrap_err().to_string();
            assert!(
                refusal.contains("damaged") || refusal.contains("not a ledger"),
                "{what}: {refusal}"
            );
        }
    }
}

#[test]
#[ignore = "opens damaged files some hundred thousand times; takes minutes"]
fn no_damage_of_a_bit_a_sector_or_a_page_goes_unnoticed() {
    let (files, written) = written("damaged");
    let directory = directory("damages");
    let (mut opened, mut refused) = (0_u64, 0_u64);
    let mut try_to_open = |bytes: &[u8], what: &str| {
        let is_refused = is_refused(&directory, bytes, &written, what);
        opened += u64::from(!is_refused);
        refused += u64::from(is_refused);
    };
    for (name, bytes) in files {
        for place in 0..bytes.len() {
            for bit in if place < 320 { 0..8 } else { place % 8..place % 8 + 1 } {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                try_to_open(&damaged, &format!("{name}: bit {bit} of byte {place}"));
            }
        }
        for size in [512, 4096] {
            for start in (0..bytes.len()).step_by(size) {
                let end = bytes.len().min(start + size);
                for filling in [0, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[start..end].fill(filling);
                    try_to_open(&damaged, &format!("{name}: {start}..{end} filled with {filling}"));
                }
                for from in (0..bytes.len() - size).step_by(4096) {
                    let mut damaged = bytes.clone();
                    damaged.copy_within(from..from + (end - start), start);
                    try_to_open(&damaged, &format!("{name}: {start}..{end} overwritten with {from}.."));
                }
            }
        }
    }
    println!("{opened} opened with what was written, {refused} refused");
}

/// Some places in a file: the header of redb's that matters most, and steps through the rest.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..320).step_by(7).chain((320..length).step_by(1009))
}

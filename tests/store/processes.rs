//! What takes a process of its own: a second writer, and a limit on the size of files.

use std::fs;
use std::path::Path;
use std::process::Command;

use greenapi_exporter::store::{FILE, Store};

use crate::fleet::{CREATED, Fleet, directory, journal, shown};

/// Runs one of the ignored tests below in a process of its own, in `directory`, and returns what it prints.
///
/// They do nothing where there is no ledger, so that to run all ignored tests is harmless.
fn in_another_process(directory: &Path, name: &str, shell: &str) -> String {
    let command = format!("{shell} exec \"$0\" --exact processes::{name} --ignored --nocapture");
    let mut process = Command::new("sh");
    process.arg("-c").arg(command).arg(std::env::current_exe().unwrap());
    let output = process.current_dir(directory).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn a_second_process_is_refused_and_the_first_goes_on() {
    let directory = directory("shared");
    let mut fleet = Fleet::open(&directory);
    fleet.scrape(0);
    let text = in_another_process(&directory, "the_second_process", "");
    assert!(
        text.contains(
            "cannot open the ledger `./ledger.redb`: another process has it open\n  \
             hint: each exporter needs a `--storage.path` of its own; stop the other one, or name another directory"
        ),
        "{text}"
    );
    fleet.scrape(1);
}

#[test]
#[ignore = "the other process of `a_second_process_is_refused_and_the_first_goes_on`"]
fn the_second_process() {
    if !Path::new(FILE).exists() {
        return;
    }
    println!("{}", Store::open(Path::new(".")).expect_err("not opened"));
}

#[test]
fn a_full_disk_is_an_error_and_what_was_written_before_stays() {
    let directory = directory("full");
    drop(Store::open(&directory).unwrap());
    let limit = fs::metadata(directory.join(FILE)).unwrap().len() / 512 + 100;
    let text = in_another_process(
        &directory,
        "on_a_full_disk",
        &format!("trap '' XFSZ; ulimit -f {limit};"),
    );
    assert!(
        text.contains(
            "cannot open or write the ledger `./ledger.redb`: File too large (os error 27)\n  \
             hint: see that the disk has space and is writable, and that the file belongs to the exporter's user"
        ),
        "{text}"
    );
    let (_, ledgers) = Store::open(&directory).unwrap();
    assert!(text.contains(&shown(&ledgers)), "{text}");
}

#[test]
#[ignore = "the other process of `a_full_disk_is_an_error_and_what_was_written_before_stays`"]
fn on_a_full_disk() {
    if !Path::new(FILE).exists() {
        return;
    }
    let mut fleet = Fleet::open(Path::new("."));
    let mut number = 0;
    let error = loop {
        number += 30;
        let now = CREATED + number * 60;
        let changes = fleet.changes(&journal(number), now);
        if let Err(error) = fleet.store.write(&changes) {
            fleet.store.write(&changes).expect_err("still full");
            break error;
        }
        for (id, changes) in changes {
            fleet.ledgers.get_mut(&id).unwrap().commit(changes);
        }
    };
    println!("{error}\n{}", shown(&fleet.ledgers));
}

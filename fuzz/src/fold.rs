//! A journal is folded as `serde_json` reads it, wherever it is cut.

#[path = "../../tests/fold/oracle.rs"]
mod oracle;

pub fn check(document: &[u8]) {
    let folded = oracle::fold([document]);
    let size = 1 + document.len() % 7;
    assert_eq!(oracle::fold(document.chunks(size)), folded, "cut every {size}");
    // Any function of the document reaches every place sooner or later.
    let place = document.iter().map(|byte| usize::from(*byte)).sum::<usize>() % (document.len() + 1);
    let (before, after) = document.split_at(place);
    assert_eq!(oracle::fold([before, after]), folded, "cut at {place}");
    oracle::must_agree(document, &folded);
}

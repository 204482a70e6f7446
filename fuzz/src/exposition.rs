//! Whatever people call an instance, each format tells the same of it, to readers that share no code with the writers.

#[path = "../../tests/exposition/fixture.rs"]
#[expect(dead_code, reason = "this needs only some of them")]
mod fixture;
#[path = "../../tests/exposition/reading.rs"]
#[expect(dead_code, reason = "this needs only some of them")]
mod reading;

use std::sync::{Arc, LazyLock};

use greenapi_exporter::catalogue::{FAMILIES, Family};
use greenapi_exporter::exposition::negotiation::{Format, Version};
use greenapi_exporter::exposition::{Options, Page};
use greenapi_exporter::snapshot::{Fetched, Instance, Snapshot};
use reading::{of_page, of_protobuf, of_text, with_short_bounds};

/// A gauge and a histogram with a label that people write.
static NAMED: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let info = FAMILIES.iter().filter(|family| family.name == "greenapi_instance_info");
    info.chain(&fixture::HISTOGRAMS[..1]).copied().collect()
});

static UNNAMED: LazyLock<[Instance; 2]> = LazyLock::new(|| [fixture::never_fetched(), fixture::forbidden()]);

pub fn check(input: &[u8]) {
    let (first, second) = input.split_at(input.len() / 2);
    let instances = UNNAMED.iter().zip([first, second]).map(|(instance, name)| {
        let mut instance = instance.clone();
        instance.account.name = String::from_utf8_lossy(name).into();
        let mut fetched = Fetched::clone(&instance.fetched);
        fetched.counters.malformed_records = name.len() as u64;
        instance.fetched = Arc::new(fetched);
        instance
    });
    let snapshot = Snapshot {
        instances: instances.collect(),
        exporter: None,
    };
    let page = Page::new(&NAMED, Arc::new(snapshot));
    let series = of_page(&page);
    let text = |format| String::from_utf8(written(&page, format)).unwrap();
    assert_eq!(of_text(&text(Format::Text)), series);
    let openmetrics = with_short_bounds(&text(Format::OpenMetrics(Version::V1_0_0)));
    assert_eq!(of_text(&openmetrics), series);
    assert_eq!(of_protobuf(&written(&page, Format::Protobuf)), series);
}

fn written(page: &Page, format: Format) -> Vec<u8> {
    let blocks: Result<Vec<_>, _> = page.clone().blocks(format, Options::default()).collect();
    blocks.unwrap().concat()
}

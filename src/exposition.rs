//! Turns a snapshot into the bytes of a page, in the format and compression that the scraper prefers.
//!
//! One stream of samples, [`Page::samples`], feeds all formats. It knows nothing of HTTP beyond the texts of three headers.

mod compression;
pub mod negotiation;
mod protobuf;
mod text;

use std::io;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use crate::catalogue::{FAMILIES, Family, Read, Value};
use crate::snapshot::Snapshot;
use compression::compress;
use negotiation::{Format, negotiate, negotiate_encoding};

/// What the operator decides of a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether OpenMetrics shows since when counters count, as series of their own (`--web.openmetrics-created`).
    pub openmetrics_created: bool,
}

/// The bytes of a page in parts, each made when it is asked for: the page of a large fleet is never in memory as a whole.
pub type Blocks = Box<dyn Iterator<Item = io::Result<Vec<u8>>> + Send>;

/// A page ready to be sent.
pub struct Rendered {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `Content-Encoding`; no such header where absent.
    pub content_encoding: Option<&'static str>,
    /// The bytes.
    pub body: Blocks,
}

/// Renders the page of `snapshot` as asked for by the values of the headers `Accept` and `Accept-Encoding`.
///
/// An error only where no compressor can be set up; others come with the body.
pub fn render(
    snapshot: Arc<Snapshot>,
    accept: Option<&str>,
    accept_encoding: Option<&str>,
    options: Options,
) -> io::Result<Rendered> {
    let format = negotiate(accept);
    let encoding = negotiate_encoding(accept_encoding);
    let blocks = Page::new(&FAMILIES, snapshot).blocks(format, options);
    Ok(Rendered {
        content_type: format.content_type(),
        content_encoding: encoding.header(),
        body: compress(blocks, encoding)?,
    })
}

/// What a page shows: the samples of some families, read from a snapshot.
#[derive(Debug, Clone)]
pub struct Page {
    families: &'static [Family],
    snapshot: Arc<Snapshot>,
    /// Which of the snapshot's instances it shows.
    instances: Range<usize>,
    /// The snapshot's instances' ids, spelled once instead of for every sample.
    ids: Arc<[String]>,
}

/// One measured value and what it is of.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Whom it is of; absent where it is of the exporter.
    pub id_instance: Option<&'a str>,
    /// The values of the family's labels, in their order.
    pub labels: &'a [&'a str],
    /// What was measured.
    pub value: Value<'a>,
}

impl Page {
    /// The page of `families`, which are in order of their names, and `snapshot`.
    pub fn new(families: &'static [Family], snapshot: Arc<Snapshot>) -> Self {
        let ids = snapshot
            .instances
            .iter()
            .map(|instance| instance.account.id.to_string());
        Self {
            families,
            instances: 0..snapshot.instances.len(),
            ids: ids.collect(),
            snapshot,
        }
    }

    /// The families of this page, also those without samples.
    pub fn families(&self) -> &'static [Family] {
        self.families
    }

    /// Hands over the samples of `family`, in the order in which every format shows them.
    pub fn samples(&self, family: &Family, mut take: impl FnMut(Sample<'_>)) {
        match family.read {
            Read::Instance(read) => {
                let range = self.instances.clone();
                let instances = self.snapshot.instances.get(range.clone()).unwrap_or_default();
                let ids = self.ids.get(range).unwrap_or_default();
                for (instance, id) in instances.iter().zip(ids) {
                    let id_instance = Some(id.as_str());
                    read(instance, &mut |labels, value| {
                        take(Sample {
                            id_instance,
                            labels,
                            value,
                        });
                    });
                }
            }
            Read::Exporter(read) => {
                if let Some(exporter) = &self.snapshot.exporter {
                    read(exporter, &mut |labels, value| {
                        take(Sample {
                            id_instance: None,
                            labels,
                            value,
                        });
                    });
                }
            }
        }
    }

    /// The bytes of the page in `format`.
    pub fn blocks(self, format: Format, options: Options) -> Blocks {
        let dialect = match format {
            Format::Text => text::Dialect::Prometheus,
            Format::OpenMetrics(_) => text::Dialect::OpenMetrics {
                created: options.openmetrics_created,
            },
            Format::Protobuf => return Box::new(protobuf::blocks(self)),
        };
        Box::new(text::blocks(self, dialect).map(Ok))
    }

    /// The pages of one family, of `size` instances each.
    fn parts(&self, family: &'static Family, size: usize) -> impl Iterator<Item = Self> + use<> {
        let all = self.instances.clone();
        let starts = match family.read {
            Read::Instance(_) => all.clone().step_by(size),
            // The exporter is asked only once, however many instances there are.
            Read::Exporter(_) => (0..1).step_by(1),
        };
        let page = self.clone();
        starts.map(move |start| Self {
            families: slice::from_ref(family),
            instances: start..all.end.min(start + size),
            ..page.clone()
        })
    }
}

impl Sample<'_> {
    /// The values of all labels, in the order of [`Family::all_labels`].
    pub fn label_values(&self) -> impl Iterator<Item = &str> {
        self.id_instance.into_iter().chain(self.labels.iter().copied())
    }
}

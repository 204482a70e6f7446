//! Turns a snapshot into the bytes of a page, in the format and compression that the scraper prefers.
//!
//! One stream of samples, [`Page::samples`], feeds all formats. It knows nothing of HTTP beyond the texts of three headers.

pub mod negotiation;
mod protobuf;
mod text;

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::catalogue::{FAMILIES, Family, Read, Value};
use crate::snapshot::Snapshot;
use negotiation::{Encoding, Format, negotiate, negotiate_encoding};

/// What the operator decides of a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether OpenMetrics shows since when counters count, as series of their own (`--web.openmetrics-created`).
    pub openmetrics_created: bool,
}

/// A page ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `Content-Encoding`; no such header where absent.
    pub content_encoding: Option<&'static str>,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Renders the page of `snapshot` as asked for by the values of the headers `Accept` and `Accept-Encoding`.
pub fn render(
    snapshot: Arc<Snapshot>,
    accept: Option<&str>,
    accept_encoding: Option<&str>,
    options: Options,
) -> io::Result<Rendered> {
    let page = Page::new(&FAMILIES, snapshot);
    let format = negotiate(accept);
    let encoding = negotiate_encoding(accept_encoding);
    // A page compresses to a tenth at the first level already; the others take three times as long.
    let body = match encoding {
        Encoding::Identity => {
            let mut body = Vec::new();
            page.write(format, options, &mut body)?;
            body
        }
        Encoding::Gzip => {
            let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
            page.write(format, options, &mut compressed)?;
            compressed.finish()?
        }
        Encoding::Zstd => {
            let mut compressed = zstd::Encoder::new(Vec::new(), 1)?;
            page.write(format, options, &mut compressed)?;
            compressed.finish()?
        }
    };
    Ok(Rendered {
        content_type: format.content_type(),
        content_encoding: encoding.header(),
        body,
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
                let (instances, ids) = (&self.snapshot.instances, &self.ids);
                for (instance, id) in instances
                    .iter()
                    .zip(&**ids)
                    .take(self.instances.end)
                    .skip(self.instances.start)
                {
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
                    read(exporter, &self.snapshot, &mut |labels, value| {
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

    /// Writes the page to `out` in `format`.
    pub fn write(&self, format: Format, options: Options, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Text => text::write(self, text::Dialect::Prometheus, out),
            Format::OpenMetrics(_) => {
                let created = options.openmetrics_created;
                text::write(self, text::Dialect::OpenMetrics { created }, out)
            }
            Format::Protobuf => protobuf::write(self, out),
        }
    }
}

impl Sample<'_> {
    /// The values of all labels, in the order of [`Family::all_labels`].
    pub fn label_values(&self) -> impl Iterator<Item = &str> {
        self.id_instance.into_iter().chain(self.labels.iter().copied())
    }
}

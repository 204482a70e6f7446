//! Made-up journals for benchmarks: always the same bytes, of the sizes and shapes of performance.md.

mod writing;

use serde::Deserialize;

pub(crate) use writing::journal;

/// A journal by its name: how many statuses of which shape it has.
pub(crate) type Named = (&'static str, usize, Shape);

const PLAIN: Shape = Shape {
    thumbnails: 12_400,
    audience: (30, 50),
    caption: Caption::Short,
    layout: Layout::Compact,
    shuffled: false,
    unknown: false,
};

/// A status without a picture and for everyone.
pub(crate) const SMALL: Shape = Shape {
    thumbnails: 0,
    audience: (0, 0),
    ..PLAIN
};

pub(crate) const ALL: [Named; 15] = [
    ("small", 100, SMALL),
    (
        "small-spaced",
        100,
        Shape {
            layout: Layout::Spaced,
            ..SMALL
        },
    ),
    (
        "small-indented",
        100,
        Shape {
            layout: Layout::Indented,
            ..SMALL
        },
    ),
    (
        "small-shuffled",
        100,
        Shape {
            shuffled: true,
            ..SMALL
        },
    ),
    ("small-unknown", 100, Shape { unknown: true, ..SMALL }),
    ("typical", 2_000, PLAIN),
    (
        "typical-spaced",
        2_000,
        Shape {
            layout: Layout::Spaced,
            ..PLAIN
        },
    ),
    (
        "typical-indented",
        2_000,
        Shape {
            layout: Layout::Indented,
            ..PLAIN
        },
    ),
    (
        "typical-shuffled",
        2_000,
        Shape {
            shuffled: true,
            ..PLAIN
        },
    ),
    ("typical-unknown", 2_000, Shape { unknown: true, ..PLAIN }),
    (
        "typical-odd",
        2_000,
        Shape {
            layout: Layout::Spaced,
            shuffled: true,
            unknown: true,
            ..PLAIN
        },
    ),
    (
        "text",
        10_000,
        Shape {
            caption: Caption::Escapes,
            ..PLAIN
        },
    ),
    (
        "text-ascii",
        10_000,
        Shape {
            caption: Caption::AsciiOnly,
            ..PLAIN
        },
    ),
    (
        "text-quotes",
        10_000,
        Shape {
            caption: Caption::Quotes,
            ..PLAIN
        },
    ),
    (
        "huge",
        100_000,
        Shape {
            thumbnails: 6_000,
            audience: (5, 1_024),
            ..PLAIN
        },
    ),
];

/// What a naive exporter would read a status into.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, clippy::struct_field_names, reason = "much of it is only filled")]
pub(crate) struct Status {
    pub(crate) id_message: String,
    pub(crate) timestamp: u64,
    pub(crate) status_message: Option<String>,
    pub(crate) type_message: Option<String>,
    pub(crate) send_by_api: Option<bool>,
    pub(crate) participants: Option<Vec<String>>,
    pub(crate) extended_text_message: Option<ExtendedText>,
    pub(crate) text_message: Option<String>,
    pub(crate) caption: Option<String>,
    pub(crate) jpeg_thumbnail: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is only filled")]
pub(crate) struct ExtendedText {
    pub(crate) text: String,
    pub(crate) participants: Option<Vec<String>>,
}

/// What the statuses of a journal look like.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Most bytes of a thumbnail; 60 % of the statuses have one.
    pub(crate) thumbnails: usize,
    /// How many percent have how many participants.
    pub(crate) audience: (u64, usize),
    pub(crate) caption: Caption,
    pub(crate) layout: Layout,
    pub(crate) shuffled: bool,
    pub(crate) unknown: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Caption {
    Short,
    /// A quote and a line end in each of many sentences.
    Escapes,
    /// All that isn't ASCII is escaped, as Python writes it.
    AsciiOnly,
    /// A quote every few letters, as in JSON within a text.
    Quotes,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    Compact,
    Spaced,
    Indented,
}

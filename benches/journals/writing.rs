//! Writes the statuses of a journal.

use std::fmt::Write;

use super::{Caption, Layout, Shape};

/// A journal of so many statuses, always the same.
pub(crate) fn journal(statuses: usize, shape: &Shape) -> String {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let statuses = (0..statuses).map(|_| status(&mut random, shape)).collect();
    let mut body = String::new();
    write_json(&mut body, &Json::Array(statuses), shape.layout, 0);
    body
}

enum Json {
    /// As it stands.
    Raw(String),
    Array(Vec<Self>),
    Object(Vec<(&'static str, Self)>),
}

fn text(raw: &str) -> Json {
    Json::Raw(format!("\"{raw}\""))
}

fn status(random: &mut Random, shape: &Shape) -> Json {
    let media =
        random.below(100) < 60 && !matches!(shape.caption, Caption::Quotes | Caption::Escapes | Caption::AsciiOnly);
    let participants = if random.below(100) < shape.audience.0 {
        shape.audience.1
    } else {
        0
    };
    let participants = Json::Array(
        (0..participants)
            .map(|_| text(&format!("7{:010}@c.us", random.below(10_000_000_000))))
            .collect(),
    );
    let mut members = vec![
        ("type", text("outgoing")),
        (
            "idMessage",
            text(&format!("{:016X}{:08X}", random.next(), random.below(1 << 32))),
        ),
        (
            "timestamp",
            Json::Raw(format!("{}", 1_710_134_811 + random.below(2_000_000))),
        ),
        (
            "typeMessage",
            text(if media { "imageMessage" } else { "extendedTextMessage" }),
        ),
        ("chatId", text("70000000001@c.us")),
    ];
    if media {
        let thumbnail: String = (0..shape.thumbnails * (50 + random.below(100) as usize) / 150)
            .map(|_| random.base64())
            .collect();
        members.extend([
            ("participants", participants),
            (
                "downloadUrl",
                text(&format!(
                    "https://sw-media.storage.greenapi.net/1101000000/{:016x}.jpg",
                    random.next()
                )),
            ),
            ("caption", text(&caption(random, shape.caption))),
            ("fileName", text(&format!("{:016x}.jpg", random.next()))),
            ("jpegThumbnail", text(&thumbnail)),
            ("mimeType", text("image/jpeg")),
        ]);
    } else {
        let caption = caption(random, shape.caption);
        members.push(("textMessage", text(&caption)));
        let nested = vec![
            ("text", text(&caption)),
            ("backgroundColor", text("#228B22")),
            ("font", text("SERIF")),
            ("participants", participants),
        ];
        members.push(("extendedTextMessage", Json::Object(nested)));
    }
    let state = ["pending", "sent", "delivered", "read"][random.below(4) as usize];
    members.extend([
        ("statusMessage", text(state)),
        ("sendByApi", Json::Raw("true".to_owned())),
    ]);
    if shape.unknown {
        let reaction = || {
            Json::Object(vec![
                ("emoji", text("👍")),
                ("timestamp", Json::Raw("1710134811.5".to_owned())),
            ])
        };
        let reactions = vec![
            ("count", Json::Raw("3".to_owned())),
            ("list", Json::Array(vec![reaction(), reaction(), reaction()])),
        ];
        members.insert(3, ("reactions", Json::Object(reactions)));
    }
    if shape.shuffled {
        for left in (1..members.len()).rev() {
            members.swap(left, random.below(left as u64 + 1) as usize);
        }
    }
    Json::Object(members)
}

fn caption(random: &mut Random, caption: Caption) -> String {
    let (sentence, sentences) = match caption {
        Caption::Short => return format!("Скидка {} %", random.below(100)),
        Caption::Escapes => ("Сегодня \\\"в продаже\\\" новые товары 🎉, приходите к нам на\\n", 32),
        Caption::AsciiOnly => (
            "\\u0421\\u0435\\u0433\\u043e\\u0434\\u043d\\u044f \\ud83c\\udf89\\n",
            55,
        ),
        Caption::Quotes => ("{\\\"a\\\":\\\"b\\\",\\\"price\\\":1},", 120),
    };
    sentence.repeat(sentences)
}

fn write_json(out: &mut String, json: &Json, layout: Layout, depth: usize) {
    let (members, brackets): (Vec<(Option<&str>, &Json)>, _) = match json {
        Json::Raw(raw) => return out.push_str(raw),
        Json::Array(elements) => (elements.iter().map(|element| (None, element)).collect(), ['[', ']']),
        Json::Object(members) => (
            members.iter().map(|(key, value)| (Some(*key), value)).collect(),
            ['{', '}'],
        ),
    };
    let (separator, colon) = if layout == Layout::Compact {
        (",", ":")
    } else {
        (", ", ": ")
    };
    let line = |out: &mut String, depth: usize| {
        if layout == Layout::Indented {
            out.push('\n');
            out.push_str(&" ".repeat(4 * depth));
        }
    };
    out.push(brackets[0]);
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push_str(if layout == Layout::Indented { "," } else { separator });
        }
        line(out, depth + 1);
        if let Some(key) = key {
            write!(out, "\"{key}\"{colon}").unwrap();
        }
        write_json(out, value, layout, depth + 1);
    }
    if !members.is_empty() {
        line(out, depth);
    }
    out.push(brackets[1]);
}

/// Numbers that are always the same (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn base64(&mut self) -> char {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        char::from(alphabet[self.below(64) as usize])
    }
}

//! Whatever a scraper accepts, it gets what it prefers, as a slower reading of the same headers has it.

use greenapi_exporter::exposition::negotiation::{Encoding, Format, Version, negotiate, negotiate_encoding};

pub fn check(header: &[u8]) {
    // Others don't get as far as this.
    let Ok(header) = str::from_utf8(header) else { return };
    let alternatives = alternatives(header);
    assert_eq!(negotiate(Some(header)), format(&alternatives), "{header:?}");
    assert_eq!(negotiate_encoding(Some(header)), encoding(&alternatives), "{header:?}");
}

/// A part of a header: what is accepted, its parameters, and how much it is preferred, if that makes sense.
struct Alternative {
    value: String,
    parameters: Vec<(String, String)>,
    weight: Option<f64>,
}

fn alternatives(header: &str) -> Vec<Alternative> {
    let alternative = |text: &str| {
        let parts: Vec<&str> = text.split(';').collect();
        let parameters: Vec<(String, String)> = parts[1..]
            .iter()
            .filter_map(|part| {
                let equals = part.find('=')?;
                let name = part[..equals].trim().to_ascii_lowercase();
                Some((name, part[equals + 1..].trim().trim_matches('"').to_owned()))
            })
            .collect();
        let weight = match parameters.iter().find(|(name, _)| name == "q") {
            None => Some(1.0),
            Some((_, text)) => text
                .parse::<f64>()
                .ok()
                .filter(|weight| *weight >= 0.0 && *weight <= 1.0),
        };
        Alternative {
            value: parts[0].trim().to_ascii_lowercase(),
            parameters,
            weight,
        }
    };
    header.split(',').map(alternative).collect()
}

fn format(alternatives: &[Alternative]) -> Format {
    let mut known: Vec<(Format, f64)> = alternatives
        .iter()
        .filter_map(|alternative| Some((format_of(alternative)?, alternative.weight?)))
        .filter(|(_, weight)| *weight > 0.0)
        .collect();
    known.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    known.first().map_or(Format::Text, |(format, _)| *format)
}

fn format_of(alternative: &Alternative) -> Option<Format> {
    let parameter = |wanted: &str| {
        let found = alternative.parameters.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    match (&*alternative.value, parameter("version")) {
        ("*/*" | "text/*", _) | ("text/plain", None | Some("0.0.4")) => Some(Format::Text),
        ("application/openmetrics-text", Some("0.0.1")) => Some(Format::OpenMetrics(Version::V0_0_1)),
        ("application/openmetrics-text", None | Some("1.0.0")) => {
            let version = if parameter("escaping").is_some() {
                Version::V1_0_0Escaping
            } else {
                Version::V1_0_0
            };
            Some(Format::OpenMetrics(version))
        }
        ("application/vnd.google.protobuf", _)
            if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && parameter("encoding") == Some("delimited") =>
        {
            Some(Format::Protobuf)
        }
        _ => None,
    }
}

fn encoding(alternatives: &[Alternative]) -> Encoding {
    let weight_of = |names: &[&str]| {
        let mut named = alternatives
            .iter()
            .filter(|alternative| names.contains(&&*alternative.value));
        named.next().and_then(|first| first.weight)
    };
    let any = weight_of(&["*"]).unwrap_or(0.0);
    // From the best to the least, so that of equals the best comes first; plain is always possible.
    let mut ways = [
        (Encoding::Zstd, weight_of(&["zstd"]).unwrap_or(any)),
        (Encoding::Gzip, weight_of(&["gzip", "x-gzip"]).unwrap_or(any)),
        (Encoding::Identity, weight_of(&["identity"]).unwrap_or(0.0)),
    ];
    ways.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    if ways[0].1 > 0.0 { ways[0].0 } else { Encoding::Identity }
}

//! Reads what a scraper accepts. Whatever it asks for, it gets a page: nothing that fits means Prometheus' plain text.

/// How a page is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text.
    OpenMetrics(Version),
    /// Length-delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// What an OpenMetrics page is announced as. Ours is the same in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The draft, for scrapers that only know it.
    V0_0_1,
    /// The standard.
    V1_0_0,
    /// The standard, for a scraper that asked how unusual names are to be escaped. Older ones have not heard of that.
    V1_0_0Escaping,
}

impl Format {
    /// The full `Content-Type`; Prometheus 3 refuses a page without one.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics(Version::V0_0_1) => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Self::OpenMetrics(Version::V1_0_0) => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            // All names here are usual, so that any escaping leaves them alone; this one is the safest to promise.
            Self::OpenMetrics(Version::V1_0_0Escaping) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// The format that the value of `Accept` prefers: of the greatest weight above 0, and of equals the first.
pub fn negotiate(accept: Option<&str>) -> Format {
    let mut best = (Format::Text, 0.0);
    for choice in choices(accept.unwrap_or_default()) {
        if let (Some(format), Some(weight)) = (choice.format(), choice.weight())
            && weight > best.1
        {
            best = (format, weight);
        }
    }
    best.0
}

/// How a page is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// As Prometheus asks for.
    Gzip,
    /// As some other scrapers ask for.
    Zstd,
}

impl Encoding {
    /// The value of `Content-Encoding`; no such header where absent.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// The encoding that the value of `Accept-Encoding` prefers; of those that it prefers alike, the best.
pub fn negotiate_encoding(accept_encoding: Option<&str>) -> Encoding {
    let weight_of = |names: &[&str]| {
        choices(accept_encoding.unwrap_or_default())
            .find(|choice| names.iter().any(|name| choice.value.eq_ignore_ascii_case(name)))
            .and_then(|choice| choice.weight())
    };
    let weight = |names: &[&str]| weight_of(names).or_else(|| weight_of(&["*"])).unwrap_or(0.0);
    let identity = weight_of(&["identity"]).unwrap_or(0.0);
    let (gzip, zstd) = (weight(&["gzip", "x-gzip"]), weight(&["zstd"]));
    if zstd > 0.0 && zstd >= gzip && zstd >= identity {
        Encoding::Zstd
    } else if gzip > 0.0 && gzip >= identity {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// One of the alternatives in a header: `value;name=value;q=0.5`.
struct Choice<'a> {
    value: &'a str,
    parameters: &'a str,
}

fn choices(header: &str) -> impl Iterator<Item = Choice<'_>> {
    header.split(',').map(|choice| {
        let (value, parameters) = choice.split_once(';').unwrap_or((choice, ""));
        Choice {
            value: value.trim(),
            parameters,
        }
    })
}

impl<'a> Choice<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|parameter| {
            let (present, value) = parameter.split_once('=')?;
            let wanted = present.trim().eq_ignore_ascii_case(name);
            wanted.then(|| value.trim().trim_matches('"'))
        })
    }

    /// From 0, never, to 1, the most; `None` where it makes no sense.
    fn weight(&self) -> Option<f64> {
        let weight = self.parameter("q").unwrap_or("1").parse().ok()?;
        (0.0..=1.0).contains(&weight).then_some(weight)
    }

    /// The format that this choice means; `None` where there is none like it.
    fn format(&self) -> Option<Format> {
        let is = |media_type: &str| self.value.eq_ignore_ascii_case(media_type);
        let has = |name: &str, value: &str| self.parameter(name) == Some(value);
        if is("application/openmetrics-text") {
            let standard = match self.parameter("escaping") {
                Some(_) => Version::V1_0_0Escaping,
                None => Version::V1_0_0,
            };
            match self.parameter("version") {
                None | Some("1.0.0") => Some(Format::OpenMetrics(standard)),
                Some("0.0.1") => Some(Format::OpenMetrics(Version::V0_0_1)),
                Some(_) => None,
            }
        } else if is("application/vnd.google.protobuf") {
            let ours = has("proto", "io.prometheus.client.MetricFamily") && has("encoding", "delimited");
            ours.then_some(Format::Protobuf)
        } else if is("text/plain") {
            matches!(self.parameter("version"), None | Some("0.0.4")).then_some(Format::Text)
        } else {
            (is("*/*") || is("text/*")).then_some(Format::Text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENMETRICS: Format = Format::OpenMetrics(Version::V1_0_0);
    const OPENMETRICS_ESCAPING: Format = Format::OpenMetrics(Version::V1_0_0Escaping);
    const OPENMETRICS_DRAFT: Format = Format::OpenMetrics(Version::V0_0_1);

    #[test]
    fn a_scraper_gets_the_format_that_it_prefers() {
        let check = |accept: &str, expected: Format| assert_eq!(negotiate(Some(accept)), expected, "Accept: {accept}");

        // Prometheus 2.42.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS,
        );
        // Prometheus 3.
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPENMETRICS_ESCAPING,
        );
        // Prometheus 3 that takes in created timestamps or native histograms.
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1",
            Format::Protobuf,
        );
        // A browser.
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Format::Text,
        );

        check("*/*", Format::Text);
        check("text/*;q=0.3", Format::Text);
        check("text/plain", Format::Text);
        check("text/plain;version=0.0.4, application/openmetrics-text", Format::Text);
        check(
            "text/plain;version=1.0.0, application/openmetrics-text;q=0.1",
            OPENMETRICS,
        );
        check("application/openmetrics-text", OPENMETRICS);
        check("application/openmetrics-text; version=0.0.1", OPENMETRICS_DRAFT);
        check("APPLICATION/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.2", OPENMETRICS);
        check("text/plain;q=0.5, application/openmetrics-text;q=0.6", OPENMETRICS);
        check("text/plain;q=0.5, application/openmetrics-text;q=0.5", Format::Text);
        check("application/openmetrics-text;q=0.5, text/plain;q=0.5", OPENMETRICS);
        check("application/openmetrics-text;q=0, text/plain;q=0.001", Format::Text);
    }

    #[test]
    fn what_cannot_be_served_is_answered_with_plain_text() {
        let check = |accept: Option<&str>| assert_eq!(negotiate(accept), Format::Text, "Accept: {accept:?}");

        check(None);
        check(Some(""));
        check(Some(";;,,=;q"));
        check(Some("application/json"));
        check(Some("text/plain;q=0"));
        check(Some("application/openmetrics-text;q=0"));
        check(Some("application/openmetrics-text;q=NaN"));
        check(Some("application/openmetrics-text;q=7"));
        check(Some("application/openmetrics-text;version=2.0.0"));
        check(Some("application/vnd.google.protobuf"));
        check(Some(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
        ));
        check(Some(
            "application/vnd.google.protobuf;proto=io.prometheus.write.v2.Request;encoding=delimited",
        ));
    }

    #[test]
    fn a_page_is_compressed_as_the_scraper_prefers() {
        let check = |header: Option<&str>, expected: Encoding| {
            assert_eq!(negotiate_encoding(header), expected, "Accept-Encoding: {header:?}");
        };

        check(Some("gzip"), Encoding::Gzip);
        check(Some("GZip, zstd;q=0.5"), Encoding::Gzip);
        check(Some("x-gzip"), Encoding::Gzip);
        check(Some("identity;q=0.5, gzip;q=1.0"), Encoding::Gzip);
        check(Some("*;q=0, gzip"), Encoding::Gzip);
        check(Some("zstd;q=0, *"), Encoding::Gzip);
        check(Some("identity, gzip"), Encoding::Gzip);
        check(Some("zstd;q=0.5, gzip;q=0.6"), Encoding::Gzip);

        check(Some("zstd"), Encoding::Zstd);
        check(Some("gzip, deflate, br, zstd"), Encoding::Zstd);
        check(Some("GZip;q=0.5, zstd"), Encoding::Zstd);
        check(Some("*"), Encoding::Zstd);
        check(Some("gzip;q=0, *"), Encoding::Zstd);
        check(Some("identity, zstd"), Encoding::Zstd);
        check(Some("identity;q=0.5, zstd;q=0.5, gzip;q=0.5"), Encoding::Zstd);

        check(None, Encoding::Identity);
        check(Some(""), Encoding::Identity);
        check(Some("br"), Encoding::Identity);
        check(Some("gzip;q=0"), Encoding::Identity);
        check(Some("identity, gzip;q=0.5"), Encoding::Identity);
        check(Some("identity, zstd;q=0.5"), Encoding::Identity);
        check(Some("zstd;q=0, gzip;q=0, identity;q=0"), Encoding::Identity);
        check(Some("gzip;q=much"), Encoding::Identity);
    }
}

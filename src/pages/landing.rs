//! The landing page, for people: every instance with its state, the reason for it, and what its journal holds.

use std::fmt::{self, Display, Write};
use std::time::{Duration, SystemTime};

use crate::fetch::FetchResult;
use crate::journal::StatusMessage;
use crate::label::LabelValue;
use crate::snapshot::{Build, Instance};

/// The page as HTML that needs no script, no font and no picture, with what is wrong with the exporter as a whole.
pub(super) fn render(
    instances: &[Instance],
    troubles: &[&str],
    telemetry_path: &str,
    build: &Build,
    now: SystemTime,
) -> String {
    let mut page = String::with_capacity(8 * 1024 + instances.len() * 512);
    // Writing to a string cannot fail.
    _ = write_page(&mut page, instances, troubles, telemetry_path, build, now);
    page
}

fn write_page(
    page: &mut String,
    instances: &[Instance],
    troubles: &[&str],
    telemetry_path: &str,
    build: &Build,
    now: SystemTime,
) -> fmt::Result {
    let total = instances.len();
    let up = instances.iter().filter(|instance| instance.up() == Some(true)).count();
    writeln!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>GREEN-API Exporter</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>GREEN-API Exporter</h1>\n<p>Prometheus exporter for WhatsApp statuses</p>\n</header>\n<main>\n\
         <p>Version: {version} (revision {revision}, rustc {rustc})</p>\n\
         <nav aria-label=\"Pages\">\n<ul>\n\
         <li><a href=\"{metrics}\">Metrics</a></li>\n\
         <li><a href=\"/config\">Configuration</a></li>\n\
         <li><a href=\"/sd\">Service discovery</a></li>\n\
         <li><a href=\"/-/healthy\">Health</a></li>\n\
         <li><a href=\"/-/ready\">Readiness</a></li>\n</ul>\n</nav>\n\
         <h2>Probe</h2>\n\
         <form action=\"/probe\">\n\
         <label>Instance <input name=\"target\" required autocomplete=\"off\" placeholder=\"id or name\"></label>\n\
         <label><input type=\"checkbox\" name=\"debug\" value=\"true\"> show log</label>\n\
         <button>Probe</button>\n</form>\n\
         <h2 id=\"instances\">Instances</h2>\n\
         <p>{up} of {total} up. State as of the latest scrape; this page makes no requests to GREEN-API.</p>",
        version = Escaped(build.version),
        revision = Escaped(build.revision),
        rustc = Escaped(build.rustc),
        metrics = Escaped(telemetry_path),
    )?;
    for trouble in troubles {
        writeln!(page, "<p><strong class=\"down\">{}</strong></p>", Escaped(trouble))?;
    }
    write_instances(page, instances, now)?;
    page.write_str("</main>\n</body>\n</html>\n")
}

fn write_instances(page: &mut String, instances: &[Instance], now: SystemTime) -> fmt::Result {
    page.write_str(
        "<div class=\"table\" role=\"region\" aria-labelledby=\"instances\" tabindex=\"0\">\n<table>\n<thead>\n<tr>\
         <th scope=\"col\">Instance</th><th scope=\"col\">State</th><th scope=\"col\">Last success</th>",
    )?;
    for state in STATES {
        write!(page, "<th scope=\"col\" class=\"number\">{}</th>", state.as_str())?;
    }
    page.write_str("<th scope=\"col\">Probe</th></tr>\n</thead>\n<tbody>\n")?;
    for instance in instances {
        write_instance(page, instance, now)?;
    }
    page.write_str("</tbody>\n</table>\n</div>\n")
}

fn write_instance(page: &mut String, instance: &Instance, now: SystemTime) -> fmt::Result {
    let account = &instance.account;
    let id = account.id.to_string();
    write!(page, "<tr><th scope=\"row\">{}", Escaped(&account.name))?;
    if *account.name != *id {
        write!(page, "<small>{id}</small>")?;
    }
    page.write_str("</th><td>")?;
    match instance.fetched.latest.map(|fetch| fetch.result) {
        None => {
            page.write_str(
                "<strong class=\"unknown\">not scraped</strong><small>waiting for the first scrape</small>",
            )?;
        }
        Some(FetchResult::Ok) => page.write_str("<strong class=\"up\">up</strong>")?,
        Some(result) => write!(
            page,
            "<strong class=\"down\">{}</strong><small>{}</small>",
            result.as_str(),
            Escaped(result.explanation())
        )?,
    }
    match instance.fetched.last_success {
        Some(time) => {
            let age = Age(now.duration_since(time).unwrap_or_default());
            write!(page, "</td><td>{age} ago</td>")?;
        }
        None => page.write_str("</td><td>never</td>")?,
    }
    let tally = instance.present_tally();
    for state in STATES {
        match tally {
            Some(tally) => write!(page, "<td class=\"number\">{}</td>", tally.in_state(*state))?,
            None => page.write_str("<td class=\"number\"><span aria-label=\"not known\">–</span></td>")?,
        }
    }
    let name = Escaped(&account.name);
    writeln!(
        page,
        "<td><a href=\"/probe?target={id}\" aria-label=\"Probe {name}\">probe</a></td></tr>"
    )
}

/// The states that have a column each, in the order in which a status passes them.
const STATES: &[StatusMessage] = &[
    StatusMessage::Pending,
    StatusMessage::Sent,
    StatusMessage::Delivered,
    StatusMessage::Read,
    StatusMessage::Other,
    StatusMessage::Unknown,
];

/// Text in HTML, in an element or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                _ => formatter.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// How long ago something was, in its two greatest units.
struct Age(Duration);

impl Display for Age {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(formatter, "{seconds}s"),
            (0, 0, _) => write!(formatter, "{minutes}m {}s", seconds % 60),
            (0, _, _) => write!(formatter, "{hours}h {}m", minutes % 60),
            _ => write!(formatter, "{days}d {}h", hours % 24),
        }
    }
}

/// The looks of Prometheus' landing pages, in the reader's choice of dark and light.
const STYLE: &str = "\
:root { color-scheme: light dark; --text: #1f2328; --back: #ffffff; --faint: #59636e; --line: #d1d9e0; --link: #0b57d0; --up: #116329; --down: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --faint: #9198a1; --line: #3d444d; --link: #79b8ff; --up: #56d364; --down: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0; font-family: -apple-system, BlinkMacSystemFont, \"Segoe UI\", Roboto, \"Helvetica Neue\", \"Noto Sans\", Arial, sans-serif; line-height: 1.5; color: var(--text); background: var(--back); }
header { padding: 1rem 1.5rem; color: #ffffff; background: #b83d18; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
header p { margin: 0.25rem 0 0; }
main { padding: 0.5rem 1.5rem 2rem; max-width: 80rem; }
h2 { margin: 1.5rem 0 0.25rem; font-size: 1.25rem; }
nav ul { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
a { color: var(--link); }
form { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; }
input, button { font: inherit; color: inherit; background: transparent; border: 1px solid var(--faint); border-radius: 0.25rem; padding: 0.25rem 0.5rem; }
button { cursor: pointer; font-weight: 600; }
.table { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 0.5rem 0.75rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { white-space: nowrap; color: var(--faint); font-weight: 600; }
tbody th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
small { display: block; color: var(--faint); font-size: 0.875rem; font-weight: 400; }
.up { color: var(--up); }
.down { color: var(--down); }
.unknown { color: var(--faint); }
@media (max-width: 40rem) {
  header, main { padding-left: 1rem; padding-right: 1rem; }
  th, td { padding: 0.5rem; }
}
";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::account::Account;
    use crate::snapshot::{Fetch, Fetched};

    #[test]
    fn the_page_tells_every_state_and_escapes_what_people_wrote() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(489_960);
        let instance = |id: u64, name: &str, result: Option<FetchResult>, age: Option<Duration>| {
            let name = name.into();
            let mut instance = Instance::new(Account { id: id.into(), name }, Duration::from_hours(24), now);
            instance.fetched = Arc::new(Fetched {
                latest: result.map(|result| Fetch {
                    result,
                    duration: Duration::from_millis(120),
                }),
                last_success: age.map(|age| now - age),
                ..Fetched::nothing(now)
            });
            instance
        };
        let instances = [
            instance(
                1,
                "<script>alert('\"&')</script>",
                Some(FetchResult::Ok),
                Some(Duration::from_secs(75)),
            ),
            instance(2, "2", Some(FetchResult::Unauthorized), Some(Duration::from_hours(51))),
            instance(3, "new", None, None),
        ];
        let build = Build {
            version: "1.2.3",
            revision: "abc",
            rustc: "1.95.0",
        };
        let page = render(&instances, &["<nothing> is known"], "/metrics", &build, now);
        insta::assert_snapshot!(page.replace(STYLE, ""));
    }

    #[test]
    fn an_age_is_told_in_its_two_greatest_units() {
        let check = |seconds, expected: &str| assert_eq!(Age(Duration::from_secs(seconds)).to_string(), expected);
        check(0, "0s");
        check(59, "59s");
        check(60, "1m 0s");
        check(3_599, "59m 59s");
        check(3_600, "1h 0m");
        check(86_399, "23h 59m");
        check(86_400, "1d 0h");
        check(40 * 86_400 + 3_600, "40d 1h");
    }
}

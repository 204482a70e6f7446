//! Tokens, phone numbers and texts stay in: through every result there is, in everything that comes out.

use std::fmt::Write;

use greenapi_exporter::simulator::{Behaviour, Method};

use crate::harness::{Exporter, config, id, simulate};

#[tokio::test]
async fn no_token_phone_number_or_text_is_ever_shown_whatever_fails() {
    let behaviours: Vec<Behaviour> = Behaviour::ALL.iter().copied().map(small).collect();
    let (simulator, url) = simulate(&behaviours);
    let defaults = "timeout: 1s\nmin_interval: 0s\n\
        collectors: [outgoing, incoming, state, settings, statistic, contacts, queue]";
    for format in ["logfmt", "json"] {
        let flags = ["--log.level=trace", "--log.format", format];
        let exporter = Exporter::start(&config(&simulator, &url, defaults), &flags).await;
        let mut shown = String::new();
        let probe = format!("/probe?target={}", id(0));
        for path in [
            "/metrics",
            &probe,
            "/probe?target=nobody",
            "/",
            "/config",
            "/-/ready",
            "/nothing",
        ] {
            let answer = exporter.get(path).await;
            writeln!(shown, "{:?}\n{}", answer.headers, answer.text).unwrap();
        }
        simulator.arrived(id(0), Method::GetStatusStatistic, 1).await.unwrap();
        let finished = exporter.stop().await;
        assert_eq!(finished.code, Some(0));
        shown.push_str(&finished.stdout);
        shown.push_str(&finished.stderr);
        assert!(shown.contains("cannot read the journal"), "{}", finished.stderr);
        for login in simulator.logins() {
            assert!(!shown.contains(&*login.token), "the token of {} is shown", login.id);
        }
        for private in ["@c.us", "@g.us", "participants\":", "/9j/"] {
            assert!(!shown.contains(private), "`{private}` is shown");
        }
        // The whole of a phone number: a size in bytes may well have a part of it.
        let mut numbers = shown.split(|character: char| !character.is_ascii_digit());
        let phone = numbers.find(|number| number.len() == 11 && number.starts_with("7000"));
        assert_eq!(phone, None);
    }
}

/// A huge journal is for the test of memory.
fn small(behaviour: Behaviour) -> Behaviour {
    match behaviour {
        Behaviour::Huge(_) => Behaviour::Huge(1_000_000),
        other => other,
    }
}

//! What the fold of a journal makes of an answer, wherever it is cut; and that it agrees with `serde_json` on what is JSON.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "fold/oracle.rs"]
mod oracle;

use greenapi_exporter::green_api::wire::{Fold, InvalidJson, LONGEST_CAPTURED};
use greenapi_exporter::journal::{Journal, Record, SendByApi, StatusId, StatusMessage, TypeMessage};
use greenapi_exporter::label::LabelValue;
use oracle::{Answer, fold, must_agree};
use proptest::prelude::*;

#[test]
fn an_empty_array_and_null_are_empty_journals() {
    check("[]", "");
    check("null", "");
    check(" \r\n\t[ \r\n\t] \r\n\t", "");
    check(" null ", "");
}

#[test]
fn a_text_status_lists_its_participants_in_its_text_and_a_media_status_beside_it() {
    check(
        r##"[{"type":"outgoing","idMessage":"BAE5018","timestamp":1710134811,"typeMessage":"extendedTextMessage",
            "chatId":"70000000001@c.us","textMessage":"hi","extendedTextMessage":{"text":"hi","backgroundColor":"#228B22",
            "font":"SERIF","participants":["70000000001@c.us","70000000002@c.us"]},"statusMessage":"read","sendByApi":true},
           {"type":"outgoing","idMessage":"BAE5207","timestamp":1710134814,"typeMessage":"imageMessage",
            "chatId":"70000000001@c.us","participants":[],"downloadUrl":"https://sw-media.storage.greenapi.net/1/x.jpg",
            "caption":"c","fileName":"x.jpg","jpegThumbnail":"/9j/2w","mimeType":"image/jpeg","statusMessage":"pending",
            "sendByApi":false}]"##,
        "BAE5018 1710134811 read extendedTextMessage true 2; BAE5207 1710134814 pending imageMessage false 0",
    );
}

#[test]
fn a_status_needs_no_more_than_an_id_and_a_timestamp() {
    check(r#"[{"idMessage":"a","timestamp":1}]"#, "a 1 unknown unknown unknown 0");
}

#[test]
fn elements_that_are_not_objects_are_malformed() {
    check(
        r#"[1,"a",true,false,null,[],[{"idMessage":"a","timestamp":1}],{}]"#,
        "malformed 8",
    );
}

#[test]
fn a_status_without_a_nonempty_text_as_its_id_is_malformed() {
    for id in [r#""""#, "1", "null", "true", "{}", r#"["a"]"#, r#"{"idMessage":"a"}"#] {
        check(format!(r#"[{{"idMessage":{id},"timestamp":1}}]"#), "malformed 1");
    }
    check(r#"[{"timestamp":1}]"#, "malformed 1");
}

#[test]
fn an_id_may_be_escaped() {
    check(
        r#"[{"idMessage":"\u0042AE\t\ud83d\ude00","timestamp":1}]"#,
        "BAE\t😀 1 unknown unknown unknown 0",
    );
    check(r#"[{"idMessage":"Я","timestamp":1}]"#, "Я 1 unknown unknown unknown 0");
    check(
        r#"[{"idMessage":"a \"b\" \\","timestamp":1}]"#,
        "a \"b\" \\ 1 unknown unknown unknown 0",
    );
}

#[test]
fn an_id_may_be_1024_bytes_long_before_unescaping() {
    let longest = "a".repeat(LONGEST_CAPTURED);
    check(
        format!(r#"[{{"idMessage":"{longest}","timestamp":1}}]"#),
        &format!("{longest} 1 unknown unknown unknown 0"),
    );
    check(
        format!(r#"[{{"idMessage":"{longest}a","timestamp":1}}]"#),
        "malformed 1",
    );
    let escaped = format!("{}aaaa", r"\u0041".repeat(170));
    let text = format!("{}aaaa", "A".repeat(170));
    check(
        format!(r#"[{{"idMessage":"{escaped}","timestamp":1}}]"#),
        &format!("{text} 1 unknown unknown unknown 0"),
    );
    check(
        format!(r#"[{{"idMessage":"{escaped}a","timestamp":1}}]"#),
        "malformed 1",
    );
}

#[test]
fn a_timestamp_is_the_integer_part_of_a_number() {
    let longest = [
        format!("1.{}", "0".repeat(LONGEST_CAPTURED - 2)),
        format!("\"{}1\"", "0".repeat(LONGEST_CAPTURED - 1)),
    ];
    for (number, timestamp) in [
        (&*longest[0], 1),
        (&longest[1], 1),
        ("1", 1_u64),
        ("1710134811", 1_710_134_811),
        ("1710134811.9999", 1_710_134_811),
        ("1.999999999999999999999999999999", 1),
        ("1.7101348119e9", 1_710_134_811),
        ("17101348119E-1", 1_710_134_811),
        ("1e+2", 100),
        ("253402300799", 253_402_300_799),
        ("253402300799.9", 253_402_300_799),
        (r#""1710134811""#, 1_710_134_811),
        (r#""0001710134811""#, 1_710_134_811),
        (r#""\u0031""#, 1),
    ] {
        check(
            format!(r#"[{{"idMessage":"a","timestamp":{number}}}]"#),
            &format!("a {timestamp} unknown unknown unknown 0"),
        );
    }
}

#[test]
fn a_timestamp_outside_of_the_years_1970_to_9999_makes_a_status_malformed() {
    for number in [
        "0",
        "-0",
        "-1",
        "0.999",
        "-1.5",
        "1e-1",
        "-1e3",
        "253402300800",
        "1710134811000",
        "1e300",
        "18446744073709551616",
        "99999999999999999999999999",
    ] {
        check(format!(r#"[{{"idMessage":"a","timestamp":{number}}}]"#), "malformed 1");
    }
}

#[test]
fn a_timestamp_that_is_not_a_number_or_digits_makes_a_status_malformed() {
    for value in [
        "null",
        "true",
        "[1]",
        "{}",
        r#""""#,
        r#""+1""#,
        r#""-1""#,
        r#"" 1""#,
        r#""1.0""#,
        r#""1e3""#,
        r#""0""#,
        r#""١""#,
        r#""18446744073709551617""#,
    ] {
        check(format!(r#"[{{"idMessage":"a","timestamp":{value}}}]"#), "malformed 1");
    }
    check(r#"[{"idMessage":"a"}]"#, "malformed 1");
    for overlong in [format!("1.{}", "0".repeat(1023)), format!("\"{}1\"", "0".repeat(1024))] {
        check(
            format!(r#"[{{"idMessage":"a","timestamp":{overlong}}}]"#),
            "malformed 1",
        );
    }
}

#[test]
fn a_state_or_type_is_unknown_if_missing_null_or_empty_and_other_if_not_documented() {
    let overlong = format!("\"{}\"", "a".repeat(LONGEST_CAPTURED + 1));
    for (value, label) in [
        ("null", "unknown"),
        (r#""""#, "unknown"),
        (r#""failed""#, "other"),
        (r#""unknown""#, "other"),
        ("1", "other"),
        ("true", "other"),
        ("[]", "other"),
        (r#"{"a":"read"}"#, "other"),
        (r#"["read"]"#, "other"),
        (&overlong, "other"),
    ] {
        check(
            format!(r#"[{{"idMessage":"a","timestamp":1,"statusMessage":{value},"typeMessage":{value}}}]"#),
            &format!("a 1 {label} {label} unknown 0"),
        );
    }
    check(
        r#"[{"idMessage":"a","timestamp":1,"statusMessage":"\u0072ead","typeMessage":"\u0069mageMessage"}]"#,
        "a 1 read imageMessage unknown 0",
    );
}

#[test]
fn where_it_was_published_is_unknown_unless_it_is_a_boolean() {
    for (value, label) in [
        ("true", "true"),
        ("false", "false"),
        ("null", "unknown"),
        (r#""true""#, "unknown"),
        ("1", "unknown"),
        ("[true]", "unknown"),
    ] {
        check(
            format!(r#"[{{"idMessage":"a","timestamp":1,"sendByApi":{value}}}]"#),
            &format!("a 1 unknown unknown {label} 0"),
        );
    }
}

#[test]
fn participants_of_the_status_come_before_those_of_its_text() {
    for (members, participants) in [
        (r#""participants":["a","b"]"#, 2),
        (r#""participants":[1,null,{"a":["b","c"]},["d","e"],"f"]"#, 5),
        (r#""participants":[[[]]]"#, 1),
        (r#""extendedTextMessage":{"participants":["a","b"]}"#, 2),
        (
            r#""extendedTextMessage":{"participants":[["a","b"],{"participants":["c"]}]}"#,
            2,
        ),
        (
            r#""participants":["a"],"extendedTextMessage":{"participants":["a","b"]}"#,
            1,
        ),
        (
            r#""extendedTextMessage":{"participants":["a","b"]},"participants":["a"]"#,
            1,
        ),
        (
            r#""participants":[],"extendedTextMessage":{"participants":["a","b"]}"#,
            2,
        ),
        (
            r#""participants":null,"extendedTextMessage":{"participants":["a","b"]}"#,
            2,
        ),
        (
            r#""participants":"a","extendedTextMessage":{"participants":["a","b"]}"#,
            2,
        ),
        (
            r#""participants":{"a":1},"extendedTextMessage":{"participants":["a","b"]}"#,
            2,
        ),
        (r#""participants":null,"extendedTextMessage":null"#, 0),
        (r#""extendedTextMessage":["participants",["a"]]"#, 0),
        (r#""extendedTextMessage":{"x":{"participants":["a"]}}"#, 0),
        (r#""extendedTextMessage":{"participants":{"participants":["a"]}}"#, 0),
        (r#""x":{"extendedTextMessage":{"participants":["a"]}}"#, 0),
    ] {
        check(
            format!(r#"[{{"idMessage":"a","timestamp":1,{members}}}]"#),
            &format!("a 1 unknown unknown unknown {participants}"),
        );
    }
}

#[test]
fn of_equal_keys_the_last_wins_whatever_it_holds() {
    for (members, status) in [
        (r#""idMessage":"b""#, "b 1 read imageMessage true 2"),
        (r#""idMessage":null"#, "malformed 1"),
        (r#""idMessage":["b"]"#, "malformed 1"),
        (r#""timestamp":2"#, "a 2 read imageMessage true 2"),
        (r#""timestamp":"x""#, "malformed 1"),
        (r#""timestamp":{}"#, "malformed 1"),
        (
            r#""statusMessage":"sent","typeMessage":null"#,
            "a 1 sent unknown true 2",
        ),
        (r#""statusMessage":{},"typeMessage":"""#, "a 1 other unknown true 2"),
        (r#""sendByApi":"true""#, "a 1 read imageMessage unknown 2"),
        (r#""participants":["c"]"#, "a 1 read imageMessage true 1"),
        (r#""participants":null"#, "a 1 read imageMessage true 3"),
        (
            r#""participants":[],"extendedTextMessage":{"participants":["a"]}"#,
            "a 1 read imageMessage true 1",
        ),
        (
            r#""participants":[],"extendedTextMessage":{}"#,
            "a 1 read imageMessage true 0",
        ),
        (
            r#""participants":[],"extendedTextMessage":7"#,
            "a 1 read imageMessage true 0",
        ),
        (
            r#""participants":[],"extendedTextMessage":{"participants":["a"],"participants":1}"#,
            "a 1 read imageMessage true 0",
        ),
        (r#""i\u0064Message":"b""#, "b 1 read imageMessage true 2"),
    ] {
        let first = r#""idMessage":"a","timestamp":1,"statusMessage":"read","typeMessage":"imageMessage","sendByApi":true,
            "participants":["a","b"],"extendedTextMessage":{"participants":["a","b","c"]}"#;
        check(format!("[{{{first},{members}}}]"), status);
    }
}

#[test]
fn a_status_says_nothing_of_the_next_one() {
    check(
        r#"[{"idMessage":"a","timestamp":1,"statusMessage":"read","typeMessage":"imageMessage","sendByApi":true,"participants":["b"]},
            {"idMessage":"c","timestamp":2},{"timestamp":3},{"idMessage":"d"}]"#,
        "a 1 read imageMessage true 1; c 2 unknown unknown unknown 0; malformed 2",
    );
}

#[test]
fn keys_are_compared_unescaped() {
    check(
        r#"[{"id\u004dessage":"a","\u0074\u0069\u006d\u0065\u0073\u0074\u0061\u006d\u0070":1,"\u0073tatusMessage":"read",
            "extendedTextMessag\u0065":{"p\u0061rticipants":["b"]}}]"#,
        "a 1 read unknown unknown 1",
    );
    check(
        r#"[{"idmessage":"a","IdMessage":"b","idMessage ":"c","timestamp":1}]"#,
        "malformed 1",
    );
}

#[test]
fn a_key_like_one_that_came_before_is_taken_for_that_only_where_it_is_the_same() {
    let before = r#"{"statusMessage":"sent","idMessage":"a","timestamp":1}"#;
    for (key, state) in [
        (r#""statusMessage":"#, "read"),
        (r#""statusMessage" : "#, "read"),
        ("\"statusMessage\":\n\t", "read"),
        (r#""statusM\u0065ssage":"#, "read"),
        (r#""statusMessag":"#, "unknown"),
        (r#""statusMessages":"#, "unknown"),
        (r#""statusMessagE":"#, "unknown"),
        (r#""status\"essage":"#, "unknown"),
        (r#""statusMessage\"":"#, "unknown"),
        (r#""":"#, "unknown"),
    ] {
        for (first, second) in [("", "\"idMessage\":\"b\","), ("\"idMessage\":\"b\",", "")] {
            let after = format!(r#"{{{first}{key}"read",{second}"timestamp":2}}"#);
            check(
                format!("[{before},{after},{before},{after}]"),
                &format!(
                    "a 1 sent unknown unknown 0; b 2 {state} unknown unknown 0; a 1 sent unknown unknown 0; \
                     b 2 {state} unknown unknown 0"
                ),
            );
        }
    }
    for wrong in [
        r#""statusMessage""#,
        r#""statusMessage"::"#,
        r#""statusMessage","#,
        r#"statusMessage":"#,
        r#""statusMessage:"#,
        "\"statusMessag\u{7}\":",
    ] {
        agree(format!(r#"[{before},{{{wrong}"read","idMessage":"b","timestamp":2}}]"#).as_bytes());
    }
}

#[test]
fn keys_may_be_more_than_anybody_remembers_and_longer() {
    let members: Vec<String> = (0..500)
        .map(|index| format!(r#""{}{index}":{index}"#, "key".repeat(index % 20)))
        .collect();
    let status = format!(r#"{{{},"idMessage":"a","timestamp":1}}"#, members.join(","));
    check(
        format!("[{status},{status}]"),
        "a 1 unknown unknown unknown 0; a 1 unknown unknown unknown 0",
    );
}

#[test]
fn look_alikes_deeper_in_a_status_or_in_its_texts_do_not_count() {
    check(
        r#"[{"x":{"idMessage":"b","timestamp":2},"idMessage":"a","timestamp":1,"y":[{"statusMessage":"read"}],
            "textMessage":"{\"idMessage\":\"c\",\"timestamp\":3}, \"sendByApi\":true","z":"\\","extendedTextMessage":{"typeMessage":"imageMessage"}}]"#,
        "a 1 unknown unknown unknown 0",
    );
    check(r#"[{"x":{"idMessage":"b","timestamp":2}}]"#, "malformed 1");
}

#[test]
fn statuses_of_one_id_are_one_status_of_the_greater_of_all_that_they_say() {
    let little =
        r#"{"idMessage":"a","timestamp":1,"statusMessage":"read","typeMessage":"imageMessage","participants":["b"]}"#;
    let much =
        r#"{"id\u004dessage":"\u0061","timestamp":2,"statusMessage":"sent","sendByApi":true,"participants":["b","c"]}"#;
    for document in [format!("[{little},{much}]"), format!("[{much},{little}]")] {
        let answer = fold([document.as_bytes()]).unwrap();
        let records = answer.statuses.iter().map(|(_, record)| *record).collect();
        let expected = Record {
            id: StatusId::of("a"),
            timestamp: 2,
            participants: 2,
            status_message: StatusMessage::Read,
            type_message: TypeMessage::Image,
            send_by_api: SendByApi::True,
        };
        assert_eq!(
            Journal::new(records, answer.malformed).records(),
            [expected],
            "{document}"
        );
    }
}

#[test]
fn what_is_not_an_array_is_refused_with_the_byte_it_fails_at() {
    for (document, offset) in [
        ("", 0),
        ("  ", 2),
        ("{}", 0),
        (" {", 1),
        ("1", 0),
        (r#""[]""#, 0),
        ("true", 0),
        ("nul", 3),
        ("nulL", 3),
        ("nullx", 4),
        ("\u{feff}[]", 0),
        ("[] ]", 3),
        ("[][]", 2),
        ("[]\u{c}", 2),
        ("[", 1),
        ("[1", 2),
        ("[1,", 3),
        ("[1,]", 3),
        ("[,1]", 1),
        ("[1 2]", 3),
        ("[1}", 2),
        ("[{]", 2),
        (r#"[{"a"}]"#, 5),
        (r#"[{"a":}]"#, 6),
        (r#"[{"a":1,}]"#, 8),
        (r"[{a:1}]", 2),
        (r#"[{"a" "b"}]"#, 6),
        (r"[{1:2}]", 2),
        (r#"["a]"#, 4),
        ("[01]", 2),
        ("[-]", 2),
        ("[+1]", 1),
        ("[1.]", 3),
        ("[.5]", 1),
        ("[1e]", 3),
        ("[1e+]", 4),
        ("[--1]", 2),
        ("[1.2.3]", 4),
        ("[tru]", 4),
        ("[True]", 1),
        ("[NaN]", 1),
        ("[Infinity]", 1),
        ("['a']", 1),
        ("[/**/]", 1),
        ("<html>", 0),
    ] {
        check(document, &format!("refused at byte {offset}"));
    }
}

#[test]
fn once_refused_always_refused() {
    let mut fold = Fold::default();
    let refusal = Err(InvalidJson { offset: 1 });
    assert_eq!(fold.feed(b"[x", &mut |_, _| {}), refusal);
    assert_eq!(fold.feed(b"", &mut |_, _| {}), refusal);
    assert_eq!(fold.feed(b"[]", &mut |_, _| {}), refusal);
    assert_eq!(fold.finish().map(|_| ()), refusal);
}

#[test]
fn a_refusal_quotes_nothing() {
    let refusal = fold([&b"[secret]"[..]]).unwrap_err();
    assert_eq!(refusal.to_string(), "not a JSON array at byte 1");
}

#[test]
fn keys_and_captured_texts_are_strict() {
    let strings: [&[u8]; 7] = [b"\xff", b"a\xc3", b"\x01", b"\n", br"\q", br"\ud800", br"\u00zz"];
    for string in strings {
        for (before, after) in [
            (&br#"[{"idMessage":""#[..], &br#""}]"#[..]),
            (br#"[{"statusMessage":""#, br#""}]"#),
            (br#"[{""#, br#"":1}]"#),
            (br#"[[[{""#, br#"":1}]]]"#),
        ] {
            let document = [before, string, after].concat();
            check(&document, &format!("refused at byte {}", before.len() + string.len()));
        }
    }
}

#[test]
fn skipped_strings_only_have_to_end() {
    let strings: [&[u8]; 8] = [
        b"\xff", b"a\xc3", b"\x01", b"\n", br"\q", br"\ud800", br"\u00zz", br#"\"\\"#,
    ];
    let overlong = "a".repeat(LONGEST_CAPTURED + 1);
    for string in strings {
        for (before, after) in [
            ("\"x\":\"", "\","),
            ("\"sendByApi\":\"", "\","),
            ("\"x\":[{\"idMessage\":\"", "\"}],"),
        ] {
            let document = [
                br#"[{"idMessage":"a","timestamp":1,"#,
                before.as_bytes(),
                string,
                after.as_bytes(),
                br#""participants":["b"]}]"#,
            ]
            .concat();
            check(&document, "a 1 unknown unknown unknown 1");
        }
        let document = [
            br#"[{"idMessage":"a","timestamp":1,"statusMessage":""#,
            overlong.as_bytes(),
            string,
            br#"",""#,
            overlong.as_bytes(),
            string,
            br#"":1}]"#,
        ]
        .concat();
        check(&document, "a 1 other unknown unknown 0");
    }
}

#[test]
fn a_string_ends_at_its_first_quote_that_is_not_escaped_wherever_that_is() {
    for before in 0..150 {
        for escapes in [r#"\""#, r"\\", r#"\\\""#, r"\\\\", r"\\a\n", r#"\\a\"a\\"#] {
            // Strings are only looked at so closely behind their first escaped quote, and many bytes at once: had the end
            // been overlooked, no other quote may stop the search.
            let (text, gap) = (format!(r#"\"{}{escapes}"#, "a".repeat(before)), " ".repeat(150));
            let document = format!(r#"[{{"idMessage":"a","x":"{text}"{gap},"timestamp":1}}]"#);
            assert_eq!(
                fold([document.as_bytes()]).map(|answer| answer.statuses.len()),
                Ok(1),
                "{text}"
            );
            must_agree(document.as_bytes(), &fold([document.as_bytes()]));
        }
    }
}

#[test]
fn many_participants_are_counted_whatever_one_of_them_is_and_wherever_it_stands() {
    for odd in [
        r#""""#,
        r#"",""#,
        r#"",,""#,
        r#""\"""#,
        r#""\\""#,
        r#""\",""#,
        r#"" ""#,
        "1",
        "null",
        "[]",
        r#"["a","b"]"#,
        r#"{"a":"b","c":1}"#,
    ] {
        for length in [0, 1, 2, 17, 30, 61, 62, 63, 64, 70] {
            for place in 0..6 {
                for comma in [",", ", ", " ,\n"] {
                    let plain = format!("\"{}\"", "a".repeat(length));
                    let mut participants = [plain.as_str(); 9];
                    participants[place] = odd;
                    participants[place + 2] = odd;
                    let participants = participants.join(comma);
                    let document = format!(r#"[{{"idMessage":"a","timestamp":1,"participants":[{participants}]}}]"#);
                    let folded = fold([document.as_bytes()]);
                    assert_eq!(folded.clone().unwrap().statuses[0].1.participants, 9, "{document}");
                    must_agree(document.as_bytes(), &folded);
                    assert_eq!(fold(document.as_bytes().chunks(length + 1)), folded, "{document}");
                }
            }
        }
    }
    for wrong in [
        r#""a""b""#,
        r#""a",,"b""#,
        r#""a","b"#,
        r#""a","b","#,
        r#""a",b""#,
        r#""a",x"b""#,
        r#""a", "#,
        r#""a":"b""#,
    ] {
        for comma in [",", ", "] {
            for before in [0, 1, 3, 10] {
                let plain = format!("\"70000000001@c.us\"{comma}").repeat(before);
                let participants = [format!("{plain}{wrong}"), format!("{plain}{wrong}{comma}{plain}\"a\"")];
                for participants in participants {
                    let document = format!(r#"[{{"idMessage":"a","timestamp":1,"participants":[{participants}]}}]"#);
                    assert!(fold([document.as_bytes()]).is_err(), "{document}");
                }
            }
        }
    }
}

#[test]
fn numbers_out_of_the_range_of_f64_are_no_error() {
    check(
        r#"[{"idMessage":"a","timestamp":1,"x":1e999,"participants":[-1e999]}]"#,
        "a 1 unknown unknown unknown 1",
    );
    check(r#"[{"idMessage":"a","timestamp":1e999},-1e999]"#, "malformed 2");
}

#[test]
fn containers_may_be_127_deep() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let document = |depth: usize| format!("[{}1{}]", open.repeat(depth - 1), close.repeat(depth - 1));
        check(document(127), "malformed 1");
        check(document(128), &format!("refused at byte {}", 1 + 126 * open.len()));
        check(document(100_000), &format!("refused at byte {}", 1 + 126 * open.len()));
        check(
            open.repeat(100_000),
            &format!("refused at byte {}", if open == "[" { 127 } else { 0 }),
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_journal_is_folded_as_serde_json_reads_it(journal in journal()) {
        agree(journal.as_bytes());
    }

    #[test]
    fn any_damaged_journal_is_folded_as_serde_json_reads_it(
        journal in journal(),
        damages in prop::collection::vec(prop::collection::vec(damage(), 1..4), 12),
    ) {
        for damage in damages {
            let mut document = journal.clone().into_bytes();
            for damage in damage {
                damage.apply(&mut document);
            }
            agree(&document);
        }
    }
}

/// Says what is made of a document, however it is cut, and that this is what `serde_json` makes of it.
fn check(document: impl AsRef<[u8]>, expected: &str) {
    let document = document.as_ref();
    let shown = String::from_utf8_lossy(&document[..document.len().min(1_000)]);
    assert_eq!(agree(document), expected, "{shown}");
}

/// What is made of a document, however it is cut, once `serde_json` has agreed.
fn agree(document: &[u8]) -> String {
    let folded = fold_cut_anywhere(document);
    must_agree(document, &folded);
    described(&folded)
}

fn described(folded: &Result<Answer, InvalidJson>) -> String {
    let answer = match folded {
        Ok(answer) => answer,
        Err(error) => return format!("refused at byte {}", error.offset),
    };
    let statuses = answer.statuses.iter().map(|(id_message, record)| {
        let labels = [
            record.status_message.as_str(),
            record.type_message.as_str(),
            record.send_by_api.as_str(),
        ]
        .join(" ");
        format!("{id_message} {} {labels} {}", record.timestamp, record.participants)
    });
    let malformed = (answer.malformed > 0).then(|| format!("malformed {}", answer.malformed));
    statuses.chain(malformed).collect::<Vec<_>>().join("; ")
}

/// Folds a document whole, byte by byte, in pieces of some sizes, and, unless it is long, cut in two at every place.
fn fold_cut_anywhere(document: &[u8]) -> Result<Answer, InvalidJson> {
    let folded = fold([document]);
    for size in [1, 2, 3, 7, 31, 64] {
        assert_eq!(
            fold(document.chunks(size)),
            folded,
            "cut every {size}: {}",
            String::from_utf8_lossy(document)
        );
    }
    let places = if document.len() <= 400 { 0..document.len() } else { 0..0 };
    for place in places {
        let (before, after) = document.split_at(place);
        assert_eq!(
            fold([before, after]),
            folded,
            "cut at {place}: {}",
            String::from_utf8_lossy(document)
        );
    }
    folded
}

/// Journals of a few statuses, most of them nearly such as the API's.
fn journal() -> impl Strategy<Value = String> {
    let element = prop_oneof![8 => status(), 1 => json()];
    prop_oneof![30 => array(element.boxed(), 4), 1 => Just(" null ".to_owned()), 1 => json()]
}

fn status() -> BoxedStrategy<String> {
    let word = prop::sample::select(vec![
        r#""read""#,
        r#""sent""#,
        r#""pending""#,
        r#""delivered""#,
        r#""imageMessage""#,
        r#""\u0072ead""#,
        r#""failed""#,
        r#""""#,
        "null",
    ]);
    let timestamp = prop_oneof![
        6 => (1_700_000_000_u64..1_800_000_000).prop_map(|seconds| seconds.to_string()),
        2 => number(),
        1 => number().prop_map(|number| format!("\"{number}\"")),
    ];
    let participants = || array(json(), 3);
    let text = object(prop_oneof![2 => member("participants", participants()), 1 => member("text", string())].boxed());
    let known = prop_oneof![
        member("idMessage", string()),
        member("timestamp", timestamp.boxed()),
        member("statusMessage", word.clone().prop_map(str::to_owned).boxed()),
        member("typeMessage", word.prop_map(str::to_owned).boxed()),
        member(
            "sendByApi",
            prop::sample::select(vec!["true", "false"])
                .prop_map(str::to_owned)
                .boxed()
        ),
        member("participants", participants()),
        member("extendedTextMessage", text),
    ];
    let unknown = (key(), json()).prop_map(|(key, value)| format!("{key}:{value}"));
    let complete = (
        member("idMessage", string()),
        member("timestamp", number()),
        object(prop_oneof![8 => known.clone(), 1 => unknown.clone()].boxed()),
    )
        .prop_map(|(id, timestamp, rest)| match rest.trim_end_matches([' ', '\n', '}']) {
            "{" => format!("{{{id},{timestamp}}}"),
            rest => format!("{rest},{id} , {timestamp}}}"),
        });
    prop_oneof![complete, object(prop_oneof![8 => known, 1 => unknown].boxed())].boxed()
}

/// A member of which now and then the key is escaped, or the value of another type.
fn member(key: &'static str, value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let escaped =
        (0..key.len()).prop_map(move |at| format!("{}\\u{:04x}{}", &key[..at], key.as_bytes()[at], &key[at + 1..]));
    let key = prop_oneof![6 => Just(key.to_owned()), 1 => escaped];
    (key, prop_oneof![9 => value, 1 => json()], space())
        .prop_map(|(key, value, space)| format!("\"{key}\"{space}:{value}"))
        .boxed()
}

fn json() -> BoxedStrategy<String> {
    let scalar = prop_oneof![
        string(),
        number(),
        prop::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned)
    ];
    scalar
        .prop_recursive(3, 12, 3, |value| {
            let member = (key(), value.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
            prop_oneof![array(value, 3), object(member.boxed())]
        })
        .boxed()
}

fn array(element: BoxedStrategy<String>, most: usize) -> BoxedStrategy<String> {
    (prop::collection::vec(element, 0..=most), space())
        .prop_map(|(elements, space)| format!("[{space}{}]{space}", elements.join(&format!(",{space}"))))
        .boxed()
}

fn object(member: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (prop::collection::vec(member, 0..8), space())
        .prop_map(|(members, space)| format!("{{{space}{}{space}}}", members.join(&format!(",{space}"))))
        .boxed()
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n    ", "\t\r\n"])
}

fn key() -> BoxedStrategy<String> {
    let known = prop::sample::select(vec![
        r#""idMessage""#,
        r#""timestamp""#,
        r#""participants""#,
        r#""extendedTextMessage""#,
    ]);
    prop_oneof![known.prop_map(str::to_owned), string()].boxed()
}

fn string() -> BoxedStrategy<String> {
    let piece = prop_oneof![
        4 => "[a-z0-9 ]{1,9}",
        1 => prop::sample::select(vec![
            r"\n", r#"\""#, r"\\", r"\/", r"\u0041", r"\ud83d\ude00", "é", "😀", "{", "]", ",", ":", r#"{\"idMessage\":\"x\"}"#,
        ]).prop_map(str::to_owned),
    ];
    let short = prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    let long = (1_020_usize..1_030).prop_map(|length| format!("\"{}\"", "a".repeat(length)));
    let gap = (0_usize..70).prop_map(|length| "a".repeat(length));
    let escape = prop::sample::select(vec![r#"\""#, r"\\", r"\n"]);
    let escapes = prop::collection::vec(prop_oneof![1 => gap, 3 => escape.prop_map(str::to_owned)], 0..60);
    let full_of_escapes = escapes.prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    prop_oneof![60 => short, 1 => long, 3 => full_of_escapes].boxed()
}

fn number() -> BoxedStrategy<String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,12})",
        "-?(0|[1-9][0-9]{0,12})\\.[0-9]{1,5}",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,3}",
    ]
    .boxed()
}

/// Something done to a document; places are taken modulo its length.
#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Delete(usize, usize),
    Insert(usize, &'static [u8]),
    Truncate(usize),
    Repeat(usize, usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let tokens: Vec<&'static [u8]> = vec![
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"-",
        b".",
        b"0",
        b"1e999",
        b"null",
        b"true",
        b"\x01",
        b"\xff",
        b"\xc3",
        br"\ud800",
        br"\q",
        b"\"x\":\"\x01\",",
        b"\"x\":[1e999],",
        b"{\"\":0},",
    ];
    prop_oneof![
        (0..2_000_usize, 0..8_u8).prop_map(|(place, bit)| Damage::Flip(place, 1 << bit)),
        (0..2_000_usize, 1..9_usize).prop_map(|(place, length)| Damage::Delete(place, length)),
        (0..2_000_usize, prop::sample::select(tokens)).prop_map(|(place, token)| Damage::Insert(place, token)),
        (0..2_000_usize).prop_map(Damage::Truncate),
        (0..2_000_usize, 0..2_000_usize, 1..40_usize).prop_map(|(from, to, length)| Damage::Repeat(from, to, length)),
    ]
}

impl Damage {
    fn apply(&self, document: &mut Vec<u8>) {
        let bytes = document.len();
        let within = |place: usize| place % (bytes + 1);
        match *self {
            Self::Flip(place, bits) if bytes > 0 => document[place % bytes] ^= bits,
            Self::Flip(..) => {}
            Self::Delete(place, length) => drop(document.drain(within(place)..bytes.min(within(place) + length))),
            Self::Insert(place, token) => drop(document.splice(within(place)..within(place), token.iter().copied())),
            Self::Truncate(place) => document.truncate(within(place)),
            Self::Repeat(from, to, length) => {
                let piece = document[within(from)..bytes.min(within(from) + length)].to_vec();
                document.splice(within(to)..within(to), piece);
            }
        }
    }
}

//! A journal that a careless reader stumbles over: records that aren't, fields of the wrong type, look-alikes in nested objects.

/// The journal at `now`, in Unix seconds. Only `GOOD` and the records named `ODD-...` have an id and something of a time.
pub(super) fn journal(now: u64) -> String {
    RECORDS
        .join(",\n")
        .replace("NOW", &now.to_string())
        .replacen('{', "[{", 1)
        + "]"
}

/// Valid JSON throughout; `NOW` stands for the time.
const RECORDS: &[&str] = &[
    r#"{"type":"outgoing","idMessage":"GOOD","timestamp":NOW,"typeMessage":"extendedTextMessage","chatId":"70000000001@c.us","textMessage":"hi","extendedTextMessage":{"text":"hi","participants":["70000000002@c.us"]},"statusMessage":"read","sendByApi":true}"#,
    // Not statuses at all.
    "null",
    "true",
    "17",
    r#""a text""#,
    "[]",
    r#"[{"idMessage":"IN-AN-ARRAY","timestamp":NOW}]"#,
    "{}",
    // No id.
    r#"{"timestamp":NOW,"typeMessage":"imageMessage","statusMessage":"sent"}"#,
    r#"{"idMessage":"","timestamp":NOW,"statusMessage":"sent"}"#,
    r#"{"idMessage":null,"timestamp":NOW}"#,
    r#"{"idMessage":17,"timestamp":NOW}"#,
    r#"{"extendedTextMessage":{"idMessage":"NESTED","timestamp":NOW,"statusMessage":"read"},"timestamp":NOW}"#,
    // No usable time.
    r#"{"idMessage":"NO-TIME"}"#,
    r#"{"idMessage":"NULL-TIME","timestamp":null}"#,
    r#"{"idMessage":"ZERO-TIME","timestamp":0}"#,
    r#"{"idMessage":"NEGATIVE-TIME","timestamp":-5}"#,
    r#"{"idMessage":"ENDLESS-TIME","timestamp":1e300}"#,
    r#"{"idMessage":"WORDY-TIME","timestamp":"yesterday"}"#,
    // Statuses with fields nobody documents.
    r#"{"idMessage":"ODD-STATE","timestamp":NOW,"typeMessage":"pollMessage","statusMessage":"played","sendByApi":"true"}"#,
    r#"{"idMessage":"ODD-TYPES","timestamp":NOW,"typeMessage":7,"statusMessage":["read"],"sendByApi":1,"participants":{"length":3}}"#,
    r#"{"idMessage":"ODD-NULLS","timestamp":NOW,"typeMessage":null,"statusMessage":null,"sendByApi":null,"participants":null,"extendedTextMessage":null}"#,
    r#"{"idMessage":"ODD-EMPTY","timestamp":NOW,"typeMessage":"","statusMessage":"","participants":[]}"#,
    r#"{"idMessage":"ODD-BARE","timestamp":NOW}"#,
    r#"{"\u0069dMessage":"ODD-ESCAPED","time\u0073tamp":NOW,"statusMessage":"\u0072ead","typeMessage":"imageMessage","caption":"\"idMessage\":\"QUOTED\",\\\ud83d\ude00"}"#,
    r#"{"participants":["a",1,null,{"idMessage":"IN-PARTICIPANTS"}],"extra":{"deep":[[[{"statusMessage":"read","timestamp":1}]]]},"idMessage":"ODD-NEIGHBOURS","timestamp":NOW,"statusMessage":"sent","sendByApi":false}"#,
    r#"{"idMessage":"ODD-TIME-TEXT","timestamp":"NOW","statusMessage":"sent"}"#,
    r#"{"idMessage":"ODD-TIME-FRACTION","timestamp":NOW.5,"statusMessage":"sent"}"#,
    // Deleted, and seen twice in different states.
    r#"{"idMessage":"ODD-DELETED","timestamp":NOW,"typeMessage":"deletedMessage","statusMessage":"read"}"#,
    r#"{"idMessage":"ODD-TWICE","timestamp":NOW,"typeMessage":"audioMessage","statusMessage":"sent"}"#,
    r#"{"idMessage":"ODD-TWICE","timestamp":NOW,"typeMessage":"audioMessage","statusMessage":"delivered"}"#,
];

//! The list of a partner account's instances.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::answers::{object, read_each};
use crate::account::{AccountError, InstanceId, Token};
use crate::green_api::failure::Failure;

/// Reads the answer of a partner's `getInstances` (api.md 2.10): the id, name and token of each instance of WhatsApp that isn't deleted,
/// and how many elements are something else. A list without a single instance, but with other elements, is a failure.
pub fn instances(body: &[u8]) -> Result<(Vec<PartnerInstance>, u64), Failure> {
    // Errors arrive as an object in an answer of 200.
    #[derive(Deserialize)]
    struct ErrorAnswer {
        code: u16,
    }
    if let Ok(ErrorAnswer { code }) = object(body) {
        return Err(match code {
            200 => Failure::invalid_json("an object in place of an array".to_owned()),
            code => Failure::of_answer(code, b"", None),
        });
    }
    if body.trim_ascii() == b"null" {
        return Err(Failure::invalid_json("`null` in place of an array".to_owned()));
    }
    let (mut listed, mut malformed) = (Vec::new(), 0);
    read_each(body, |element| match object(element.get().as_bytes()) {
        Ok(instance) => listed.push(instance),
        Err(_) => malformed += 1,
    })?;
    if listed.is_empty() && malformed > 0 {
        return Err(Failure::invalid_json("no element is an instance".to_owned()));
    }
    listed.retain(|instance: &PartnerInstance| instance.deleted != Some(true) && instance.is_of_whatsapp());
    Ok((listed, malformed))
}

/// An instance of a partner account. It holds the token and can't be printed.
#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartnerInstance {
    /// Its number, which other answers of the API write as a string.
    #[serde(deserialize_with = "number_or_text")]
    pub id_instance: InstanceId,
    /// Its name; may be empty and need not be unique. Absent where it is no text.
    #[serde(default, deserialize_with = "optional_text")]
    pub name: Option<String>,
    /// Its secret, or why it can't be one.
    #[serde(rename = "apiTokenInstance", deserialize_with = "token")]
    pub token: Result<Token, AccountError>,
    /// Deleted instances stay listed for 3 months.
    #[serde(default)]
    deleted: Option<bool>,
    /// The messenger.
    #[serde(default, deserialize_with = "optional_text")]
    type_instance: Option<String>,
}

impl PartnerInstance {
    /// Whether it may have statuses of WhatsApp: the other messengers' types are `telegram` and, for MAX, `v3`.
    fn is_of_whatsapp(&self) -> bool {
        !matches!(self.type_instance.as_deref(), Some("telegram" | "v3"))
    }
}

fn token<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Result<Token, AccountError>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.unwrap_or_default().parse())
}

fn optional_text<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let written = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(written.get()).ok())
}

fn number_or_text<'a, D: Deserializer<'a>>(deserializer: D) -> Result<InstanceId, D::Error> {
    let written = <&RawValue>::deserialize(deserializer)?.get();
    let text = written.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    text.unwrap_or(written).parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::FetchResult;

    #[test]
    fn an_element_that_is_no_instance_leaves_the_others_of_a_partner_account_listed() {
        let check = |element: &str, expected: &[u64], malformed| {
            let body = format!(r#"[{{"idInstance":7,"apiTokenInstance":"a","deleted":false}},{element}]"#);
            let (instances, left_out) = instances(body.as_bytes()).unwrap();
            let ids: Vec<u64> = instances.iter().map(|instance| instance.id_instance.into()).collect();
            assert_eq!((&*ids, left_out), (expected, malformed), "{element}");
        };
        check(r#"{"idInstance":8,"apiTokenInstance":"b","name":null}"#, &[7, 8], 0);
        check(r#"{"idInstance":"8","apiTokenInstance":"b"}"#, &[7, 8], 0);
        check(r#"{"idInstance":8,"apiTokenInstance":"b","deleted":null}"#, &[7, 8], 0);
        check(r#"{"idInstance":8,"apiTokenInstance":"b","name":5}"#, &[7, 8], 0);
        check(r#"{"idInstance":8,"apiTokenInstance":"b","name":"\ud83d"}"#, &[7, 8], 0);
        check(
            r#"{"idInstance":8,"apiTokenInstance":"b","typeInstance":"whatsapp"}"#,
            &[7, 8],
            0,
        );
        check(
            r#"{"idInstance":8,"apiTokenInstance":"b","typeInstance":"telegram"}"#,
            &[7],
            0,
        );
        check(
            r#"{"idInstance":8,"apiTokenInstance":"b","typeInstance":"v3"}"#,
            &[7],
            0,
        );
        check(r#"{"idInstance":8,"apiTokenInstance":"b","deleted":true}"#, &[7], 0);
        check(r#"{"idInstance":8,"apiTokenInstance":null,"deleted":true}"#, &[7], 0);
        for element in [
            "5",
            "null",
            "{}",
            r#"{"idInstance":8}"#,
            r#"{"idInstance":8.5,"apiTokenInstance":"b"}"#,
            r#"{"idInstance":0,"apiTokenInstance":"b"}"#,
            r#"{"idInstance":"08","apiTokenInstance":"b"}"#,
            r#"{"idInstance":8,"apiTokenInstance":"b","deleted":"true"}"#,
            r#"[8,"name","b",false]"#,
        ] {
            check(element, &[7], 1);
        }
    }

    #[test]
    fn a_list_is_an_array_with_nothing_after_it() {
        let check = |body: &str, is_list| assert_eq!(instances(body.as_bytes()).is_ok(), is_list, "{body}");
        for list in ["[]", " [] "] {
            check(list, true);
        }
        for other in ["", "[", "[] []", "null", "{}", "5", r#""[]""#, "[}"] {
            check(other, false);
        }
    }

    #[test]
    fn a_list_in_which_nothing_is_an_instance_is_refused() {
        let listed = |body: &str| instances(body.as_bytes()).map(|(listed, malformed)| (listed.len(), malformed));
        assert_eq!(listed("[]"), Ok((0, 0)));
        let cause = "no element is an instance".to_owned();
        assert_eq!(listed(r#"[{"id":7}]"#), Err(Failure::invalid_json(cause)));
    }

    #[test]
    fn an_object_in_place_of_a_partner_accounts_list_tells_the_reason_by_its_code() {
        let check = |body: &str, expected| {
            let failure = instances(body.as_bytes()).err().unwrap();
            assert_eq!(failure.result, expected, "{body}");
        };
        check(
            r#"{"code":401,"description":"Unauthorized"}"#,
            FetchResult::Unauthorized,
        );
        check(r#"{"code":429}"#, FetchResult::RateLimited);
        check(r#"{"code":200}"#, FetchResult::InvalidJson);
        check(r#"{"code":"401"}"#, FetchResult::InvalidJson);
        check("[401]", FetchResult::InvalidJson);
        check("{}", FetchResult::InvalidJson);
    }
}

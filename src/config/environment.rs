//! The configuration of a single instance, from the environment alone (spec section 2).

use std::path::Path;
use std::sync::Arc;

use super::resolve::API_URL;
use super::secret::{self, TokenSource};
use super::value::{TOKEN_IN_URL, URL_HINT};
use super::{Config, Environment, Instance};
use crate::account::{Account, AccountError, ApiUrl, Credentials, InstanceId};
use crate::yaml::{Problems, Refusal, may_hold_secret};

const ID: &str = "GREENAPI_ID_INSTANCE";
const TOKEN: &str = "GREENAPI_API_TOKEN";
const TOKEN_FILE: &str = "GREENAPI_API_TOKEN_FILE";
const URL: &str = "GREENAPI_API_URL";

/// Reads the single instance that the environment names. An empty variable counts as unset.
pub(super) fn load(environment: Environment<'_>) -> Result<Config, Refusal> {
    let problems = Problems::default();
    let refuse = |key: &str, message: String| problems.add(None, key, message, None);
    let variable = |name| environment(name).filter(|value| !value.is_empty());
    let (id, token, file) = (variable(ID), variable(TOKEN), variable(TOKEN_FILE));

    let no_token = token.is_none() && file.is_none();
    let missing = [
        id.is_none().then(|| ID.to_owned()),
        no_token.then(|| format!("{TOKEN} or {TOKEN_FILE}")),
    ];
    let missing: Vec<_> = missing.into_iter().flatten().collect();
    if !missing.is_empty() {
        let hint = "set them, or name a file with `--config.file`, \
            or run `greenapi-exporter demo` to see it work without an account";
        problems.add(
            None,
            "",
            format!("not set in the environment: {}", missing.join("; ")),
            Some(hint.to_owned()),
        );
    }
    let id: Option<InstanceId> = id.and_then(|text| {
        text.parse()
            .map_err(|error: AccountError| refuse(ID, error.to_string()))
            .ok()
    });
    let token = match (token, file) {
        (Some(_), Some(_)) => {
            refuse(TOKEN_FILE, format!("the token is given already, by {TOKEN}"));
            None
        }
        (Some(text), None) => {
            let token = text
                .parse()
                .map_err(|error: AccountError| refuse(TOKEN, error.to_string()))
                .ok();
            token.zip(Some(TokenSource::Variable(TOKEN.to_owned())))
        }
        (None, Some(path)) => {
            let token = secret::read(Path::new(&path))
                .map_err(|message| refuse(TOKEN_FILE, message))
                .ok();
            token.zip(Some(TokenSource::File(path.into())))
        }
        (None, None) => None,
    };
    let api_url = variable(URL).unwrap_or_else(|| API_URL.to_owned());
    let api_url: Option<ApiUrl> = if may_hold_secret(&api_url) {
        problems.add(None, URL, TOKEN_IN_URL, Some(URL_HINT.to_owned()));
        None
    } else {
        let url = api_url.parse();
        url.map_err(|error: AccountError| refuse(URL, error.to_string())).ok()
    };

    let instance = id
        .zip(token)
        .zip(api_url)
        .map(|((id, (token, token_source)), api_url)| Instance {
            account: Account {
                id,
                name: id.to_string().into(),
            },
            credentials: Credentials { api_url, token },
            token_source,
            settings: Arc::default(),
        });
    let config = instance.map(|instance| Config {
        instances: vec![Arc::new(instance)],
        ..Config::default()
    });
    problems.or(None, config)
}

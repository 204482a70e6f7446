//! The configuration of a single instance, from the environment alone (spec section 2).

use std::cell::OnceCell;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use super::secret::{self, TokenSource};
use super::{Config, Environment, Instance, value};
use crate::account::{Account, AccountError, ApiUrl, Credentials, InstanceId, Token};
use crate::yaml::{Problems, Refusal, Reported};

const ID: &str = "GREENAPI_ID_INSTANCE";
const TOKEN: &str = "GREENAPI_API_TOKEN";
const TOKEN_FILE: &str = "GREENAPI_API_TOKEN_FILE";
const URL: &str = "GREENAPI_API_URL";

/// Reads the single instance that the environment names. An empty variable counts as unset.
pub(super) fn load(environment: Environment<'_>) -> Result<Config, Refusal> {
    let variables = Variables {
        environment,
        problems: Problems::default(),
        missing: OnceCell::new(),
    };
    let config = variables.instance().map(|instance| Config {
        instances: vec![Arc::new(instance)],
        ..Config::default()
    });
    variables.problems.or(None, config)
}

/// The environment while it is read.
struct Variables<'a> {
    environment: Environment<'a>,
    problems: Problems,
    missing: OnceCell<Reported>,
}

impl Variables<'_> {
    fn instance(&self) -> Result<Instance, Reported> {
        let (id, token, api_url) = (self.id(), self.token(), self.api_url());
        let (id, (token, token_source)) = (id?, token?);
        Ok(Instance {
            account: Account {
                id,
                name: id.to_string().into(),
            },
            credentials: Credentials {
                api_url: api_url?,
                token,
            },
            token_source,
            settings: Arc::default(),
        })
    }

    fn id(&self) -> Result<InstanceId, Reported> {
        let text = self.variable(ID).ok_or_else(|| self.missing())?;
        text.parse().map_err(|error: AccountError| self.refuse(ID, error))
    }

    fn token(&self) -> Result<(Token, TokenSource), Reported> {
        match (self.variable(TOKEN), self.variable(TOKEN_FILE)) {
            (Some(_), Some(_)) => Err(self.refuse(TOKEN_FILE, format!("the token is given already, by `{TOKEN}`"))),
            (Some(text), None) => match text.parse::<Token>() {
                Ok(token) => Ok((token, TokenSource::Variable(TOKEN.to_owned()))),
                Err(error) => Err(self.refuse(TOKEN, error)),
            },
            (None, Some(path)) => match secret::read(Path::new(&path)) {
                Ok(token) => Ok((token, TokenSource::File(path.into()))),
                Err(message) => Err(self.refuse(TOKEN_FILE, message)),
            },
            (None, None) => Err(self.missing()),
        }
    }

    fn api_url(&self) -> Result<ApiUrl, Reported> {
        let Some(text) = self.variable(URL) else {
            return Ok(ApiUrl::default());
        };
        match value::fault_of_url(&text) {
            Some((fault, hint)) => Err(self.problems.add(None, URL, fault, Some(hint.to_owned()))),
            None => text.parse().map_err(|error: AccountError| self.refuse(URL, error)),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    fn refuse(&self, name: &str, message: impl Display) -> Reported {
        self.problems.add(None, name, message.to_string(), None)
    }

    /// Reports everything that is missing, in one sentence and once.
    fn missing(&self) -> Reported {
        *self.missing.get_or_init(|| {
            let is_missing = |names: &[&str]| names.iter().all(|name| self.variable(name).is_none());
            let alternatives: [&[&str]; 2] = [&[ID], &[TOKEN, TOKEN_FILE]];
            let missing = alternatives.into_iter().filter(|names| is_missing(names));
            let missing: Vec<_> = missing.map(|names| format!("`{}`", names.join("` or `"))).collect();
            let hint = "set them, or name a file with `--config.file`, \
                or run `greenapi-exporter demo` to see it work without an account";
            let message = format!("not set in the environment: {}", missing.join("; "));
            self.problems.add(None, "", message, Some(hint.to_owned()))
        })
    }
}

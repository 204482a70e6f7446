//! What the exporter is told to do: which instances, how each is fetched, and within which limits.
//!
//! A [`Config`] holds no invalid value. It comes from a YAML file or, for a single instance, from the environment
//! (spec sections 2 and 3); either way every problem is told at once, in a [`Refusal`].

mod effective;
mod environment;
mod resolve;
mod secret;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

use crate::account::{Account, AccountError, ApiUrl, Credentials, InstanceId};
use crate::collector::Collector;
use crate::yaml::Refusal;

pub use secret::TokenSource;
pub(crate) use value::fault_of_name;

/// Tells the value of an environment variable.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// What the exporter is told to do.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// The instances, in the order of their ids; ids and names are unique.
    pub instances: Vec<Arc<Instance>>,
    /// The account whose instances are discovered.
    pub partner: Option<Partner>,
    /// How many API requests may be under way at once; at least 1.
    pub max_concurrent_requests: usize,
    /// The size at which an answer of the API is given up; at least 1.
    pub max_response_bytes: u64,
}

impl Default for Config {
    /// No instance, and the usual limits.
    fn default() -> Self {
        Self {
            instances: Vec::new(),
            partner: None,
            max_concurrent_requests: 64,
            max_response_bytes: 256 * 1024 * 1024,
        }
    }
}

/// An instance and how it is fetched.
#[derive(Clone, PartialEq)]
pub struct Instance {
    /// Who it is.
    pub account: Account,
    /// How its API is called.
    pub credentials: Credentials,
    /// Where its token was found.
    pub token_source: TokenSource,
    /// How it is fetched; shared by all that have no settings of their own.
    pub settings: Arc<Settings>,
}

/// How an instance is fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How far back the journal is asked for: 1 minute to 30 days.
    pub window: Duration,
    /// How long one API request may take: more than nothing, at most 10 minutes.
    pub timeout: Duration,
    /// How old a result may be and still be served again: at most 1 hour. Zero fetches on every scrape.
    pub min_interval: Duration,
    /// What is fetched; always includes [`Collector::Outgoing`].
    pub collectors: BTreeSet<Collector>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Duration::from_hours(24),
            timeout: Duration::from_secs(10),
            min_interval: Duration::from_secs(10),
            collectors: BTreeSet::from([Collector::Outgoing]),
        }
    }
}

/// A partner account, whose instances are discovered.
#[derive(Clone, PartialEq)]
pub struct Partner {
    /// How its API is called.
    pub credentials: Credentials,
    /// Where its token was found.
    pub token_source: TokenSource,
    /// How often its instances are listed: 10 seconds to 1 day.
    pub refresh_interval: Duration,
    /// Where the API of a discovered instance is served.
    pub instance_api_url: InstanceApiUrl,
    /// How the discovered instances are fetched.
    pub defaults: Arc<Settings>,
}

/// Where the API of an instance is served, by its id: a URL in which `{prefix}` stands for the id's first four digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceApiUrl(Box<str>);

impl InstanceApiUrl {
    /// The URL for the instance `id`. An error only where the prefix alone makes it none, as with `https://xn--{prefix}`.
    pub fn of(&self, id: InstanceId) -> Result<ApiUrl, AccountError> {
        self.0.replace("{prefix}", &id.prefix()).parse()
    }
}

impl Default for InstanceApiUrl {
    /// Where the API of an instance is served unless said otherwise (spec section 3).
    fn default() -> Self {
        Self("https://{prefix}.api.greenapi.com".into())
    }
}

impl FromStr for InstanceApiUrl {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let template = Self(text.into());
        // The least and the greatest prefix, so that a port made of it can't turn out too large.
        template.of(InstanceId::from(1000))?;
        template.of(InstanceId::from(9999))?;
        Ok(template)
    }
}

impl fmt::Display for InstanceApiUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Config {
    /// Reads the YAML file (spec section 3), or else the single instance of the environment (spec section 2), and the secrets that it
    /// names. Blocks while it reads files.
    pub fn load(file: Option<&Path>, environment: Environment<'_>) -> Result<Self, Refusal> {
        match file {
            Some(file) => resolve::load(file, environment),
            None => environment::load(environment),
        }
    }

    /// This configuration as a YAML file, with every default spelled out and every secret shown as `<secret>`.
    pub fn effective(&self) -> String {
        effective::Effective(self).to_string()
    }

    /// What works but should be known: for people, a sentence each, without secrets.
    pub fn warnings(&self) -> Vec<String> {
        let mut in_clear: BTreeMap<String, usize> = BTreeMap::new();
        let instances = self
            .instances
            .iter()
            .map(|instance| instance.credentials.api_url.to_string());
        let partner = self.partner.iter().flat_map(|partner| {
            let discovered = partner.instance_api_url.to_string();
            [partner.credentials.api_url.to_string(), discovered]
        });
        for url in instances.chain(partner).filter(|url| travels_in_clear(url)) {
            *in_clear.entry(url).or_default() += 1;
        }
        let warning = |(url, count)| {
            let tokens = if count == 1 {
                "a token travels".to_owned()
            } else {
                format!("{count} tokens travel")
            };
            format!("{tokens} unencrypted to `{url}`: use an https:// URL unless the network is your own")
        };
        in_clear.into_iter().map(warning).collect()
    }
}

/// Whether what is sent to `url` can be read on the way. What stays on this machine can't.
fn travels_in_clear(url: &str) -> bool {
    let Ok(url) = Url::parse(&url.replace("{prefix}", "1101")) else {
        return false;
    };
    let stays_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !stays_here
}

#[cfg(test)]
impl Instance {
    /// One with the usual settings.
    pub(crate) fn example(id: InstanceId, name: &str, credentials: Credentials) -> Self {
        Self {
            account: Account { id, name: name.into() },
            credentials,
            token_source: TokenSource::Inline,
            settings: Arc::default(),
        }
    }
}

#[cfg(test)]
impl Partner {
    /// One with the usual settings.
    pub(crate) fn example(credentials: Credentials) -> Self {
        Self {
            credentials,
            token_source: TokenSource::Inline,
            refresh_interval: Duration::from_mins(5),
            instance_api_url: InstanceApiUrl::default(),
            defaults: Arc::default(),
        }
    }
}

//! From the tree of a file to a configuration: which keys there are and what they mean (spec section 3).

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Config, Environment, Instance, Partner, Settings, secret, value};
use crate::account::{Account, ApiUrl, Credentials, InstanceId};
use crate::yaml::{self, Field, Refusal, Section};

/// Where the API is served unless said otherwise (spec section 3).
pub(super) const API_URL: &str = "https://api.green-api.com";
const INSTANCE_API_URL: &str = "https://{prefix}.api.greenapi.com";
const FILE_LIMIT: u64 = 16 * 1024 * 1024;

// The API keeps 30 days (api.md 1.3); its unit is the minute.
const WINDOW: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(30 * 24);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(10);
const MIN_INTERVAL: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);
const REFRESH_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);

const SETTINGS: [&str; 5] = ["api_url", "window", "timeout", "min_interval", "collectors"];
const ROOT: [&str; 5] = [
    "defaults",
    "max_concurrent_requests",
    "max_response_bytes",
    "instances",
    "partner",
];
const PARTNER: [&str; 6] = [
    "api_url",
    "token",
    "token_file",
    "token_env",
    "refresh_interval",
    "instance_api_url",
];

/// Reads the YAML file at `path` and the secrets it names.
pub(super) fn load(path: &Path, environment: Environment<'_>) -> Result<Config, Refusal> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let bytes = yaml::read_limited(path, FILE_LIMIT);
    yaml::read(path, bytes, |root| {
        if root.is_nothing() {
            root.refuse_file("the file is empty");
            return None;
        }
        Reading { folder, environment }.config(root)
    })
}

/// Where relative paths count from, and the environment: what a section's meaning depends on beside its text.
struct Reading<'a> {
    folder: &'a Path,
    environment: Environment<'a>,
}

/// What an instance has unless it says otherwise.
struct Defaults {
    api_url: ApiUrl,
    settings: Arc<Settings>,
}

impl Reading<'_> {
    fn config(&self, root: &Field<'_>) -> Option<Config> {
        let root = root.section(&ROOT)?;
        let defaults = root.field("defaults").and_then(|field| field.section(&SETTINGS));
        let url = defaults
            .as_ref()
            .and_then(|section| value::api_url(&section.field("api_url")?));
        let defaults = Defaults {
            api_url: url.or_else(|| API_URL.parse().ok())?,
            settings: defaults.map_or_else(Arc::default, |section| settings(&section, &Arc::default())),
        };
        let (instances, partner) = (root.field("instances"), root.field("partner"));
        let instances = match instances.as_ref().map(Field::list) {
            // Not a list, which is reported already.
            Some(None) => Vec::new(),
            Some(Some(list)) if !list.is_empty() => list,
            None | Some(Some(_)) => {
                if partner.is_none() {
                    let hint = "list one under `instances`, or discover them with `partner`";
                    let message = "no instance is configured";
                    root.missing(&["instances", "partner"], "instances", message, Some(hint.to_owned()));
                }
                Vec::new()
            }
        };
        let base = Config::default();
        Some(Config {
            instances: self.instances(&instances, &defaults),
            partner: partner.and_then(|field| self.partner(&field.section(&PARTNER)?, defaults.settings)),
            max_concurrent_requests: root
                .field("max_concurrent_requests")
                .and_then(|field| usize::try_from(value::number(&field, 1..=65_536)?).ok())
                .unwrap_or(base.max_concurrent_requests),
            max_response_bytes: root
                .field("max_response_bytes")
                .and_then(|field| value::number(&field, 1..=u64::MAX))
                .unwrap_or(base.max_response_bytes),
        })
    }

    fn instances(&self, fields: &[Field<'_>], defaults: &Defaults) -> Vec<Arc<Instance>> {
        let known: Vec<_> = ["id_instance", "name"]
            .into_iter()
            .chain(secret::INSTANCE)
            .chain(SETTINGS)
            .collect();
        let sections: Vec<_> = fields.iter().filter_map(|field| field.section(&known)).collect();
        let mut instances: Vec<_> = sections
            .iter()
            .filter_map(|section| self.instance(section, defaults).map(Arc::new))
            .collect();
        refuse_ambiguous(&sections);
        instances.sort_by_key(|instance| instance.account.id);
        instances
    }

    fn instance(&self, section: &Section<'_>, defaults: &Defaults) -> Option<Instance> {
        let id = section
            .required("id_instance")
            .and_then(|field| field.parse::<InstanceId>());
        let name = section.field("name").and_then(|field| value::name(&field));
        let url = section
            .field("api_url")
            .map_or_else(|| Some(defaults.api_url.clone()), |field| value::api_url(&field));
        let token = secret::token(section, &secret::INSTANCE, self.folder, self.environment);
        let settings = settings(section, &defaults.settings);
        let (id, (token, token_source)) = (id?, token?);
        Some(Instance {
            account: Account {
                id,
                name: name.map_or_else(|| id.to_string().into(), Into::into),
            },
            credentials: Credentials { api_url: url?, token },
            token_source,
            settings,
        })
    }

    fn partner(&self, section: &Section<'_>, defaults: Arc<Settings>) -> Option<Partner> {
        let url = section
            .field("api_url")
            .map_or_else(|| API_URL.parse().ok(), |field| value::api_url(&field));
        let instance_api_url = section.field("instance_api_url").map_or_else(
            || INSTANCE_API_URL.parse().ok(),
            |field| value::instance_api_url(&field),
        );
        let refresh_interval = section
            .field("refresh_interval")
            .and_then(|field| value::duration(&field, &REFRESH_INTERVAL));
        let (token, token_source) = secret::token(section, &secret::PARTNER, self.folder, self.environment)?;
        Some(Partner {
            credentials: Credentials { api_url: url?, token },
            token_source,
            refresh_interval: refresh_interval.unwrap_or(Duration::from_mins(5)),
            instance_api_url: instance_api_url?,
            defaults,
        })
    }
}

fn settings(section: &Section<'_>, base: &Arc<Settings>) -> Arc<Settings> {
    let duration = |key, bounds| section.field(key).and_then(|field| value::duration(&field, bounds));
    let settings = Settings {
        window: duration("window", &WINDOW).unwrap_or(base.window),
        timeout: duration("timeout", &TIMEOUT).unwrap_or(base.timeout),
        min_interval: duration("min_interval", &MIN_INTERVAL).unwrap_or(base.min_interval),
        collectors: section
            .field("collectors")
            .and_then(|field| value::collectors(&field))
            .unwrap_or_else(|| base.collectors.clone()),
    };
    if settings == **base {
        base.clone()
    } else {
        Arc::new(settings)
    }
}

/// Refuses an id or name by which `/probe` could mean two instances (spec section 4).
fn refuse_ambiguous(sections: &[Section<'_>]) {
    let mut ids: HashMap<&str, Field<'_>> = HashMap::new();
    for section in sections {
        let Some(field) = section.field("id_instance") else {
            continue;
        };
        let Some(id) = field.peek().filter(|id| id.parse::<InstanceId>().is_ok()) else {
            continue;
        };
        if let Some(first) = ids.get(id) {
            field.refuse(format!("the id is given twice, first in line {}", first.line()));
        } else {
            ids.insert(id, field);
        }
    }
    let mut names: HashMap<&str, Field<'_>> = HashMap::new();
    for section in sections {
        let Some(field) = section.field("name") else { continue };
        let Some(name) = field.peek() else { continue };
        let own = section.field("id_instance").and_then(|field| field.peek());
        if let Some(other) = ids.get(name).filter(|_| own != Some(name)) {
            field.refuse(format!(
                "the name is the id of another instance, in line {}",
                other.line()
            ));
        } else if let Some(first) = names.get(name) {
            field.refuse(format!("the name is given twice, first in line {}", first.line()));
        } else {
            names.insert(name, field);
        }
    }
}

//! From the tree of a file to a configuration: which keys there are and what they mean (spec section 3).

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Config, Environment, Instance, Partner, Settings, secret, value};
use crate::account::{Account, ApiUrl, Credentials, InstanceId};
use crate::file;
use crate::journal::LONGEST_WINDOW;
use crate::yaml::{self, Field, Refusal, Reported, Section, all};

const FILE_LIMIT: u64 = 16 * 1024 * 1024;

// The API keeps 30 days (api.md 1.3); its unit is the minute.
const WINDOW: RangeInclusive<Duration> = Duration::from_mins(1)..=LONGEST_WINDOW;
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
    let bytes = file::read(path, FILE_LIMIT);
    yaml::read(path, bytes, |root| {
        if root.is_nothing() {
            return Err(root.refuse_file("the file is empty"));
        }
        Context { folder, environment }.config(root)
    })
}

/// Where relative paths count from, and the environment: what a section's meaning depends on beside its text.
struct Context<'a> {
    folder: &'a Path,
    environment: Environment<'a>,
}

/// What an instance has unless it says otherwise.
#[derive(Default)]
struct Defaults {
    api_url: ApiUrl,
    settings: Arc<Settings>,
}

impl Context<'_> {
    fn config(&self, root: &Field<'_>) -> Result<Config, Reported> {
        let root = root.section(&ROOT)?;
        let defaults = root.optional("defaults", defaults).map(Option::unwrap_or_default);
        // Where they are wrong, the usual ones will do to find what else is.
        let usual = Defaults::default();
        let base = defaults.as_ref().unwrap_or(&usual);
        let partner = root.field("partner");
        let instances = root.optional("instances", Field::list).and_then(|list| {
            let list = list.unwrap_or_default();
            if list.is_empty() && partner.is_none() {
                let hint = "list one under `instances`, or discover them with `partner`";
                let message = "no instance is configured";
                return Err(root.missing(&["instances", "partner"], "instances", message, Some(hint.to_owned())));
            }
            self.instances(&list, base)
        });
        let partner = partner.map(|field| self.partner(&field.section(&PARTNER)?, &base.settings));
        let max_concurrent_requests =
            root.optional("max_concurrent_requests", |field| value::number(field, 1..=65_536));
        let max_response_bytes = root.optional("max_response_bytes", |field| value::number(field, 1..=u64::MAX));

        defaults?;
        let usual = Config::default();
        Ok(Config {
            instances: instances?,
            partner: partner.transpose()?,
            max_concurrent_requests: max_concurrent_requests?.unwrap_or(usual.max_concurrent_requests),
            max_response_bytes: max_response_bytes?.unwrap_or(usual.max_response_bytes),
        })
    }

    fn instances(&self, fields: &[Field<'_>], defaults: &Defaults) -> Result<Vec<Arc<Instance>>, Reported> {
        let known: Vec<_> = ["id_instance", "name"]
            .into_iter()
            .chain(secret::INSTANCE)
            .chain(SETTINGS)
            .collect();
        let sections: Vec<_> = fields.iter().map(|field| field.section(&known)).collect();
        let instance = |section: &Result<_, Reported>| Ok(Arc::new(self.instance(section.as_ref()?, defaults)?));
        let instances = all(sections.iter().map(instance));
        refuse_ambiguous(&sections);
        let mut instances: Vec<Arc<Instance>> = instances?;
        instances.sort_by_key(|instance| instance.account.id);
        Ok(instances)
    }

    fn instance(&self, section: &Section<'_>, defaults: &Defaults) -> Result<Instance, Reported> {
        let id = section
            .required("id_instance")
            .and_then(|field| field.parse::<InstanceId>());
        let name = section.optional("name", value::name);
        let url = section.optional("api_url", value::api_url);
        let token = secret::token(section, &secret::INSTANCE, self.folder, self.environment);
        let settings = settings(section, &defaults.settings);
        let (id, (token, token_source)) = (id?, token?);
        Ok(Instance {
            account: Account {
                id,
                name: name?.map_or_else(|| id.to_string().into(), Into::into),
            },
            credentials: Credentials {
                api_url: url?.unwrap_or_else(|| defaults.api_url.clone()),
                token,
            },
            token_source,
            settings: settings?,
        })
    }

    fn partner(&self, section: &Section<'_>, defaults: &Arc<Settings>) -> Result<Partner, Reported> {
        let url = section.optional("api_url", value::api_url);
        let instance_api_url = section.optional("instance_api_url", value::instance_api_url);
        let refresh_interval = section.optional("refresh_interval", |field| value::duration(field, &REFRESH_INTERVAL));
        let (token, token_source) = secret::token(section, &secret::PARTNER, self.folder, self.environment)?;
        Ok(Partner {
            credentials: Credentials {
                api_url: url?.unwrap_or_default(),
                token,
            },
            token_source,
            refresh_interval: refresh_interval?.unwrap_or(Duration::from_mins(5)),
            instance_api_url: instance_api_url?.unwrap_or_default(),
            defaults: defaults.clone(),
        })
    }
}

fn defaults(field: &Field<'_>) -> Result<Defaults, Reported> {
    let section = field.section(&SETTINGS)?;
    let url = section.optional("api_url", value::api_url);
    let settings = settings(&section, &Arc::default());
    Ok(Defaults {
        api_url: url?.unwrap_or_default(),
        settings: settings?,
    })
}

fn settings(section: &Section<'_>, base: &Arc<Settings>) -> Result<Arc<Settings>, Reported> {
    let duration = |key, bounds| section.optional(key, |field| value::duration(field, bounds));
    let window = duration("window", &WINDOW);
    let timeout = duration("timeout", &TIMEOUT);
    let min_interval = duration("min_interval", &MIN_INTERVAL);
    let collectors = section.optional("collectors", value::collectors);
    let settings = Settings {
        window: window?.unwrap_or(base.window),
        timeout: timeout?.unwrap_or(base.timeout),
        min_interval: min_interval?.unwrap_or(base.min_interval),
        collectors: collectors?.unwrap_or_else(|| base.collectors.clone()),
    };
    Ok(if settings == **base {
        base.clone()
    } else {
        Arc::new(settings)
    })
}

/// Refuses an id or name by which `/probe` could mean two instances (spec section 4).
fn refuse_ambiguous(sections: &[Result<Section<'_>, Reported>]) {
    let mut ids: HashMap<&str, Field<'_>> = HashMap::new();
    for section in sections.iter().flatten() {
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
    for section in sections.iter().flatten() {
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

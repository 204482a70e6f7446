//! The configuration as it is in effect, as a YAML file that says everything that was left to a default, but no secret.

use std::fmt::{self, Display};
use std::path::Path;

use super::secret::{self, TokenKeys, TokenSource};
use super::{Config, Instance, Partner, Settings};
use crate::duration::PrometheusDuration;
use crate::label::LabelValue;

/// Displays a [`Config`] as YAML.
pub(super) struct Effective<'a>(pub(super) &'a Config);

impl Display for Effective<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(config) = self;
        writeln!(formatter, "max_concurrent_requests: {}", config.max_concurrent_requests)?;
        writeln!(formatter, "max_response_bytes: {}", config.max_response_bytes)?;
        if let Some(partner) = &config.partner {
            write_partner(formatter, partner)?;
        }
        if config.instances.is_empty() {
            return writeln!(formatter, "instances: []");
        }
        writeln!(formatter, "instances:")?;
        config
            .instances
            .iter()
            .try_for_each(|instance| write_instance(formatter, instance))
    }
}

fn write_partner(formatter: &mut fmt::Formatter<'_>, partner: &Partner) -> fmt::Result {
    // Each instance below shows its own settings in full; the defaults are those of the discovered ones.
    writeln!(formatter, "defaults:")?;
    write_settings(formatter, "  ", &partner.defaults)?;
    writeln!(formatter, "partner:")?;
    writeln!(formatter, "  api_url: {}", quote(&partner.credentials.api_url))?;
    write_token(formatter, "  ", &secret::PARTNER, &partner.token_source)?;
    writeln!(
        formatter,
        "  refresh_interval: {}",
        PrometheusDuration(partner.refresh_interval)
    )?;
    writeln!(formatter, "  instance_api_url: {}", quote(&partner.instance_api_url))
}

fn write_instance(formatter: &mut fmt::Formatter<'_>, instance: &Instance) -> fmt::Result {
    writeln!(formatter, "  - id_instance: {}", quote(&instance.account.id))?;
    writeln!(formatter, "    name: {}", quote(&instance.account.name))?;
    writeln!(formatter, "    api_url: {}", quote(&instance.credentials.api_url))?;
    write_token(formatter, "    ", &secret::INSTANCE, &instance.token_source)?;
    write_settings(formatter, "    ", &instance.settings)
}

fn write_token(
    formatter: &mut fmt::Formatter<'_>,
    indent: &str,
    [inline, file, variable]: &TokenKeys,
    source: &TokenSource,
) -> fmt::Result {
    match source {
        TokenSource::Inline | TokenSource::Partner => writeln!(formatter, "{indent}{inline}: <secret>"),
        TokenSource::File(path) => writeln!(formatter, "{indent}{file}: {}", quote(&Path::display(path))),
        TokenSource::Variable(name) => writeln!(formatter, "{indent}{variable}: {}", quote(name)),
    }
}

fn write_settings(formatter: &mut fmt::Formatter<'_>, indent: &str, settings: &Settings) -> fmt::Result {
    let collectors: Vec<_> = settings.collectors.iter().map(|collector| collector.as_str()).collect();
    writeln!(formatter, "{indent}window: {}", PrometheusDuration(settings.window))?;
    writeln!(formatter, "{indent}timeout: {}", PrometheusDuration(settings.timeout))?;
    writeln!(
        formatter,
        "{indent}min_interval: {}",
        PrometheusDuration(settings.min_interval)
    )?;
    writeln!(formatter, "{indent}collectors: [{}]", collectors.join(", "))
}

/// `text` in double quotes: a JSON string is a YAML string too, whatever it holds.
fn quote(text: &(impl Display + ?Sized)) -> serde_json::Value {
    serde_json::Value::String(text.to_string())
}

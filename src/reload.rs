//! Loads the configuration anew, by signal and by request alike: wholly or not at all, one at a time.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::fleet::Fleet;
use crate::lock::locked;
use crate::systemd::Notifier;
use crate::yaml::Refusal;

/// Loads a configuration. It may block.
pub type Load = Arc<dyn Fn() -> Result<Config, Refusal> + Send + Sync>;

/// Reloads the configuration of a fleet.
pub struct Reloader {
    load: Load,
    fleet: Arc<Fleet>,
    notifier: Notifier,
    clock: Clock,
    outcome: Mutex<Outcome>,
    /// Held by the one who reloads.
    turn: tokio::sync::Mutex<()>,
}

/// How the latest reload went.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Whether its configuration was accepted.
    pub successful: bool,
    /// When a configuration was last accepted.
    pub last_success: SystemTime,
}

impl Reloader {
    /// A fleet whose present configuration was just accepted, and what loads the next.
    pub fn new(load: Load, fleet: Arc<Fleet>, notifier: Notifier, clock: Clock) -> Arc<Self> {
        let outcome = Outcome {
            successful: true,
            last_success: clock.now(),
        };
        Arc::new(Self {
            load,
            fleet,
            notifier,
            clock,
            outcome: Mutex::new(outcome),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// How the latest reload went.
    pub fn outcome(&self) -> Outcome {
        *locked(&self.outcome)
    }

    /// Loads the configuration and applies it. On an error, which holds no secret, the present one stays.
    pub async fn reload(self: &Arc<Self>) -> Result<(), String> {
        let reloader = self.clone();
        // A task of its own, so that one who asked for it and hangs up leaves nothing half done.
        let task = tokio::spawn(async move { reloader.reload_in_turn().await });
        task.await.map_err(|error| error.to_string())?
    }

    async fn reload_in_turn(&self) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        self.notifier.reloading();
        let applied = self.apply().await;
        self.notifier.ready();
        let mut outcome = locked(&self.outcome);
        outcome.successful = applied.is_ok();
        match &applied {
            Ok(()) => {
                outcome.last_success = self.clock.now();
                info!("reloaded the configuration");
            }
            Err(error) => error!(error, "cannot reload the configuration; the present one stays"),
        }
        applied
    }

    async fn apply(&self) -> Result<(), String> {
        let load = self.load.clone();
        let loaded = tokio::task::spawn_blocking(move || load()).await;
        let config = loaded.map_err(|error| error.to_string())?;
        let config = config.map_err(|error| error.to_string())?;
        for warning in config.warnings() {
            warn!(warning, "the configuration can be improved");
        }
        self.fleet.reload(config).await.map_err(|error| error.to_string())
    }
}

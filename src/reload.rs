//! Loads the configuration anew, by signal and by request alike: wholly or not at all, one at a time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info};

use crate::clock::Clock;
use crate::config::Config;
use crate::fleet::Fleet;
use crate::lock::locked;
use crate::systemd::Notifier;
use crate::yaml::Refusal;

/// Loads a configuration, and logs what could be better about it. It may block.
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
    /// The outcome of the reload that waits for its turn, if one does. All who ask before it begins share it.
    next: Mutex<Option<Promise>>,
}

type Promise = watch::Receiver<Option<Result<(), String>>>;

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
            next: Mutex::default(),
        })
    }

    /// How the latest reload went.
    pub fn outcome(&self) -> Outcome {
        *locked(&self.outcome)
    }

    /// Loads the configuration and applies it. On an error, which holds no secret, the present one stays.
    pub async fn reload(self: &Arc<Self>) -> Result<(), String> {
        let mut promise = self.promise();
        match promise.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(result)) => result.clone(),
            _ => Err("the reload was broken off".to_owned()),
        }
    }

    /// What the next reload to begin will come to.
    fn promise(self: &Arc<Self>) -> Promise {
        let mut next = locked(&self.next);
        let promised = next.get_or_insert_with(|| {
            let (fulfil, promise) = watch::channel(None);
            let reloader = self.clone();
            // A task of its own, so that one who asked for it and hangs up leaves nothing half done.
            tokio::spawn(async move { fulfil.send_replace(Some(reloader.reload_in_turn().await)) });
            promise
        });
        promised.clone()
    }

    async fn reload_in_turn(&self) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        // Whoever asks from now on may have changed something since: that takes another.
        *locked(&self.next) = None;
        self.notifier.reloading();
        let applied = self.apply().await;
        self.notifier.ready();
        let mut outcome = locked(&self.outcome);
        outcome.successful = applied.is_ok();
        match &applied {
            Ok(()) => {
                outcome.last_success = self.clock.now();
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
        let instances = config.instances.len();
        self.fleet.reload(config);
        let fleet = self.fleet.clone();
        // Nobody waits for the disk.
        tokio::spawn(async move { fleet.settle(Instant::now() + Duration::from_mins(1)).await });
        info!(instances, "reloaded the configuration");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::books::AllBooks;
    use crate::green_api::Connector;
    use crate::shard::Shard;

    #[tokio::test]
    async fn all_who_ask_before_a_reload_begins_share_what_it_comes_to() {
        let (tell, mut loading) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, told) = mpsc::channel();
        let told = Mutex::new(told);
        let load = Arc::new(move || {
            tell.send(()).unwrap();
            told.lock().unwrap().recv().unwrap();
            Ok(Config::default())
        });
        let (books, clock) = (AllBooks::default(), Clock::system());
        let fleet = Fleet::new(
            Config::default(),
            Shard::ONLY,
            books,
            Connector::example(),
            clock.clone(),
        );
        let reloader = Reloader::new(load, Arc::new(fleet), Notifier::new(None), clock);
        let first = reloader.promise();
        loading.recv().await.unwrap();
        let others = [(); 10].map(|()| reloader.promise());
        for _ in 0..2 {
            go_on.send(()).unwrap();
        }
        for mut promise in [first].into_iter().chain(others) {
            let outcome = promise.wait_for(Option::is_some).await.unwrap();
            assert_eq!(*outcome, Some(Ok(())));
        }
        loading.recv().await.unwrap();
        assert!(loading.try_recv().is_err(), "a third reload");
    }
}

//! Copies what is logged of a single instance, at every level, for those who look into it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::LogFormat;
use super::line::Line;
use crate::lock::locked;

/// The captures under way. A clone is another handle of the same ones.
#[derive(Debug, Clone, Default)]
pub struct Captures(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How many there are, for those who must know at every event.
    count: AtomicUsize,
    open: Mutex<Vec<Arc<Lines>>>,
}

#[derive(Debug)]
struct Lines {
    instance: Box<str>,
    text: Mutex<String>,
}

/// What is logged of an instance for as long as this lives.
pub struct Capture {
    captures: Captures,
    lines: Arc<Lines>,
}

impl Captures {
    /// Copies all that is logged of the instance with this name from now on.
    pub fn open(&self, instance: &str) -> Capture {
        let lines = Arc::new(Lines {
            instance: instance.into(),
            text: Mutex::default(),
        });
        locked(&self.0.open).push(lines.clone());
        self.0.count.fetch_add(1, Ordering::Relaxed);
        Capture {
            captures: self.clone(),
            lines,
        }
    }

    /// Whether anybody captures anything.
    pub(super) fn is_open(&self) -> bool {
        self.0.count.load(Ordering::Relaxed) > 0
    }
}

impl Capture {
    /// The lines so far.
    pub fn text(&self) -> String {
        locked(&self.lines.text).clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        locked(&self.captures.0.open).retain(|lines| !Arc::ptr_eq(lines, &self.lines));
        self.captures.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: Subscriber> Layer<S> for Captures {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event);
        for lines in locked(&self.0.open).iter() {
            if line.instance() == Some(&*lines.instance) {
                // Writing to a string cannot fail.
                _ = line.write(LogFormat::Logfmt, &mut *locked(&lines.text));
            }
        }
    }
}

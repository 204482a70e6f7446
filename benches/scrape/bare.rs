//! Requests and nothing else: what an answer costs before anybody has looked at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

/// Asks `mark` and then `journal`, so many times and so many at once, in rounds without end.
pub(crate) async fn run([times, concurrency, mark, journal]: [&str; 4]) {
    let (times, concurrency) = (times.parse().unwrap(), concurrency.parse().unwrap());
    let client = reqwest::Client::new();
    loop {
        client.get(mark).send().await.unwrap().bytes().await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let mut asking = JoinSet::new();
        for _ in 0..concurrency {
            let (client, journal, asked) = (client.clone(), journal.to_owned(), asked.clone());
            asking.spawn(async move {
                while asked.fetch_add(1, Ordering::Relaxed) < times {
                    let mut answer = client.get(&journal).send().await.unwrap();
                    while answer.chunk().await.unwrap().is_some() {}
                }
            });
        }
        while let Some(asked) = asking.join_next().await {
            asked.unwrap();
        }
    }
}

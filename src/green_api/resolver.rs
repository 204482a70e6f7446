//! Looks up the addresses of hosts. A lookup blocks and can't be broken off: where the name server hangs, lookups would otherwise take all
//! threads, and with them those that write the ledger.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower_service::Service;

/// Looks up so many at a time.
#[derive(Debug, Clone)]
pub(super) struct Resolver(Arc<Semaphore>);

impl Default for Resolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

impl Resolver {
    async fn look_up(self, name: Name) -> io::Result<vec::IntoIter<SocketAddr>> {
        let permit = self.0.acquire_owned().await.map_err(io::Error::other)?;
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            drop(permit);
            found
        });
        lookup.await?
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().look_up(name))
    }
}

/// How many lookups there may be at once: a quarter of the threads that tokio has for what blocks.
const LOOKUPS: usize = 128;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_lookup_waits_while_there_are_as_many_as_may_be() {
        let resolver = Resolver(Arc::new(Semaphore::new(1)));
        let look_up = || resolver.clone().look_up("localhost".parse().unwrap());
        let lookup_under_way = resolver.0.clone().acquire_owned().await;
        assert!(tokio::time::timeout(Duration::from_millis(1), look_up()).await.is_err());
        drop(lookup_under_way);
        for _ in 0..2 {
            assert!(look_up().await.unwrap().all(|address| address.ip().is_loopback()));
        }
    }
}

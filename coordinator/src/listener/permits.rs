//! Counts open connections, in all and by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Limits;

/// No further connection is taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("there are {0} connections already")]
    All(usize),
    #[error("there are {0} connections from this address already")]
    Address(usize),
}

#[derive(Debug)]
struct Count {
    limits: Limits,
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Permits(Arc<Mutex<Count>>);

/// One connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    count: Arc<Mutex<Count>>,
    address: IpAddr,
}

impl Permits {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Count {
            limits,
            all: 0,
            by_address: HashMap::new(),
        })))
    }

    pub(super) fn take(&self, address: IpAddr) -> Result<Permit, Full> {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Limits {
            connections,
            per_address,
        } = count.limits;
        if count.all >= connections {
            return Err(Full::All(connections));
        }
        let here = count.by_address.entry(address).or_default();
        if *here >= per_address {
            return Err(Full::Address(per_address));
        }
        *here += 1;
        count.all += 1;
        Ok(Permit {
            count: self.0.clone(),
            address,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.all = count.all.saturating_sub(1);
        if let Some(here) = count.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                count.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_in_all_and_by_address_and_permits_come_back() {
        let permits = Permits::new(Limits {
            connections: 3,
            per_address: 2,
        });
        let [a, b]: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        let first = permits.take(a).unwrap();
        let _second = permits.take(a).unwrap();
        assert_eq!(permits.take(a).unwrap_err(), Full::Address(2));
        let _third = permits.take(b).unwrap();
        assert_eq!(permits.take(b).unwrap_err(), Full::All(3));
        drop(first);
        let again = permits.take(a).unwrap();
        drop(again);
        assert_eq!(permits.0.lock().unwrap().by_address[&a], 1);
    }
}

//! Who may come in: the number of connections, in all and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a connection is closed before its first byte is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// `kafka.max_connections` are there.
    #[error("max_connections")]
    Total,
    /// `kafka.max_connections_per_ip` are there from this address.
    #[error("max_connections_per_ip")]
    PerAddress,
}

/// Counts connections against their bounds.
#[derive(Debug)]
pub struct Admission {
    max: usize,
    max_per_address: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// Nobody is in yet.
    pub fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_address,
            counts: Mutex::default(),
        })
    }

    /// Takes a place for a connection from `address`.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Rejection> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if self.max <= counts.total {
            return Err(Rejection::Total);
        }
        let from_address = counts.by_address.entry(address).or_default();
        if self.max_per_address <= *from_address {
            return Err(Rejection::PerAddress);
        }
        *from_address += 1;
        counts.total += 1;
        Ok(Admitted {
            admission: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(from_address) = counts.by_address.get_mut(&self.address) {
            *from_address -= 1;
            if *from_address == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_places_come_back() {
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let admission = Admission::new(3, 2);
        let first = admission.admit(one).expect("empty");
        let _second = admission.admit(one).expect("two from one address");
        assert_eq!(admission.admit(one).map(drop), Err(Rejection::PerAddress));
        let _third = admission.admit(other).expect("another address");
        assert_eq!(admission.admit(other).map(drop), Err(Rejection::Total));
        drop(first);
        assert!(admission.admit(other).is_ok());
    }

    #[test]
    fn a_rejected_address_leaves_no_trace() {
        let admission = Admission::new(1, 1);
        let _taken = admission.admit(IpAddr::from([10, 0, 0, 1])).expect("empty");
        let _rejected = admission.admit(IpAddr::from([10, 0, 0, 2]));
        assert_eq!(admission.counts.lock().expect("not poisoned").by_address.len(), 1);
    }
}

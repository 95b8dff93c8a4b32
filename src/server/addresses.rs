//! How many connections each address has, so that nobody takes all of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;

use parking_lot::Mutex;

/// The addresses that have connections; a clone is a handle.
#[derive(Clone, Debug, Default)]
pub struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection of an address that counts while it lives.
#[derive(Debug)]
pub(super) struct Place {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    /// A place for one more connection of an address, unless it has `limit` already.
    pub(super) fn take(&self, address: IpAddr, limit: NonZeroUsize) -> Option<Place> {
        let address = network(address);
        let mut counts = self.0.lock();
        let count = counts.entry(address).or_default();
        if *count >= limit.get() {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { addresses: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What one client has: an address of IPv4, or a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_no_more() {
        let addresses = Addresses::default();
        let limit = NonZeroUsize::new(2).unwrap();
        let take = |address: &str| addresses.take(address.parse().unwrap(), limit);
        let held = (take("192.0.2.1"), take("192.0.2.1"));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        let _six = (take("2001:db8::1"), take("2001:db8::2"));
        assert!(take("2001:db8::3").is_none());
        drop(held);
        assert!(take("::ffff:192.0.2.1").is_some());
        assert!(!addresses.0.lock().contains_key(&"192.0.2.1".parse::<IpAddr>().unwrap()));
    }
}

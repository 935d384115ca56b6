//! Names of those whom pods call, from the services and endpoint slices of the cluster. Pure.
//!
//! A service's virtual addresses have its name, an endpoint has that of its pod, or that of the service when no pod is behind
//! it.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::source::Resource;

/// Addresses known at once; those beyond it stay without names, and are counted.
pub const ADDRESS_LIMIT: usize = 32_768;
/// Addresses of one object: an endpoint slice has 1,000 at most.
pub const OBJECT_LIMIT: usize = 1024;

/// A service or endpoint slice: `namespace/name`.
type Key = (Resource, Arc<str>);

/// What one object says.
#[derive(Debug)]
struct Object {
    /// In which list of its resource it was last.
    listing: u64,
    addresses: Vec<IpAddr>,
}

/// The names of addresses.
#[derive(Debug, Default)]
pub struct PeerNames {
    objects: BTreeMap<Key, Object>,
    /// What the objects call an address: mostly one name, from one object.
    names: HashMap<IpAddr, Vec<(Key, Arc<str>)>>,
    /// Number of the newest list, by resource.
    listings: [u64; Resource::ALL.len()],
    overflow: u64,
}

impl PeerNames {
    /// All objects of the resource are about to be told.
    pub fn begin_list(&mut self, resource: Resource) {
        self.listings[resource as usize] += 1;
    }

    /// They were: others are gone.
    pub fn end_list(&mut self, resource: Resource) {
        let listing = self.listings[resource as usize];
        let is_over = |(key, object): &(&Key, &Object)| key.0 == resource && object.listing < listing;
        let over: Vec<Key> = self.objects.iter().filter(is_over).map(|(key, _)| key.clone()).collect();
        for key in over {
            self.forget(&key);
        }
    }

    /// An object is there, or has changed: the names of its addresses.
    pub fn insert(&mut self, resource: Resource, object: &str, named: Vec<(IpAddr, String)>) {
        let key = (resource, Arc::from(object));
        self.forget(&key);
        if self.objects.len() >= ADDRESS_LIMIT {
            self.overflow += 1;
            return;
        }
        let mut addresses = Vec::new();
        for (address, name) in named.into_iter().take(OBJECT_LIMIT) {
            if self.names.len() >= ADDRESS_LIMIT && !self.names.contains_key(&address) {
                self.overflow += 1;
                continue;
            }
            self.names.entry(address).or_default().push((key.clone(), name.into()));
            addresses.push(address);
        }
        let listing = self.listings[resource as usize];
        if !addresses.is_empty() {
            self.objects.insert(key, Object { listing, addresses });
        }
    }

    /// An object is gone.
    pub fn remove(&mut self, resource: Resource, object: &str) {
        self.forget(&(resource, Arc::from(object)));
    }

    /// The name of an address; of several the first in the alphabet, so that it does not change with their order.
    #[must_use]
    pub fn name(&self, address: IpAddr) -> Option<Arc<str>> {
        let names = self.names.get(&address)?;
        names.iter().map(|(_, name)| name).min().cloned()
    }

    /// Addresses that have a name.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How often an address was not taken because there were too many.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    fn forget(&mut self, key: &Key) {
        for address in self.objects.remove(key).into_iter().flat_map(|object| object.addresses) {
            if let Some(names) = self.names.get_mut(&address) {
                names.retain(|(of, _)| of != key);
                if names.is_empty() {
                    self.names.remove(&address);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use Resource::{EndpointSlices, Services};

    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn named(last: u8, name: &str) -> Vec<(IpAddr, String)> {
        vec![(address(last), name.to_owned())]
    }

    #[test]
    fn an_address_has_a_name_while_an_object_says_so() {
        let mut names = PeerNames::default();
        names.insert(Services, "shop/web", named(1, "shop/web"));
        assert_eq!(names.name(address(1)).as_deref(), Some("shop/web"));
        names.insert(Services, "shop/web", named(2, "shop/web"));
        assert_eq!((names.name(address(1)), names.name(address(2)).as_deref()), (None, Some("shop/web")));
        names.remove(Services, "shop/web");
        assert!(names.is_empty());
    }

    #[test]
    fn of_several_names_the_first_in_the_alphabet_counts_whatever_their_order() {
        let mut names = PeerNames::default();
        for slice in ["shop/b", "shop/a"] {
            names.insert(EndpointSlices, slice, named(1, slice));
        }
        assert_eq!(names.name(address(1)).as_deref(), Some("shop/a"));
        names.remove(EndpointSlices, "shop/a");
        assert_eq!(names.name(address(1)).as_deref(), Some("shop/b"));
    }

    #[test]
    fn what_a_new_list_does_not_have_is_gone() {
        let mut names = PeerNames::default();
        names.insert(Services, "shop/old", named(1, "shop/old"));
        names.insert(EndpointSlices, "shop/slice", named(2, "shop/web-0"));
        names.begin_list(Services);
        names.insert(Services, "shop/new", named(3, "shop/new"));
        names.end_list(Services);
        assert_eq!((names.name(address(1)), names.len()), (None, 2));
        assert_eq!(names.name(address(2)).as_deref(), Some("shop/web-0"));
    }

    #[test]
    fn addresses_are_bounded_and_what_is_beyond_is_counted() {
        let mut names = PeerNames::default();
        for (service, last) in (0..=ADDRESS_LIMIT).zip(0x0a00_0000_u32..) {
            let address = IpAddr::from(last.to_be_bytes());
            names.insert(Services, &format!("shop/{service}"), vec![(address, "shop/web".to_owned())]);
        }
        assert_eq!((names.len(), names.overflow()), (ADDRESS_LIMIT, 1));
    }
}

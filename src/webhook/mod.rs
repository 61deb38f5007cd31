//! Where webhooks are posted to: endpoints, each with a secret part of a URL, and what a delivery must bring.
//!
//! Endpoints are looked up in a mirror of the store ([`Endpoints`]), as keys are: a delivery waits for no store.

mod slug;
mod verification;

pub use self::slug::{Slug, SlugDigest};
pub use self::verification::{
    BadSignature, BadSigningSecret, Scheme, SigningSecret, TooManySecrets, Verification,
};

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::topic::AccountId;

/// An endpoint that webhooks are posted to, as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// For log lines and lists: never the slug.
    pub id: Uuid,
    /// Whose it is, and whose clients hear what is posted to it.
    pub account: AccountId,
    /// What its owner calls it.
    pub name: Option<String>,
    pub slug: SlugDigest,
    /// The id of the API key that was made with it, and is revoked with it.
    pub key: Uuid,
    /// How its senders sign; `None` if they do not.
    pub verification: Option<Verification>,
    /// The networks of its senders. Empty: any.
    pub allowed_from: Vec<IpNet>,
    /// Whether a delivery that says that it was sent before is not forwarded again.
    pub is_idempotent: bool,
    pub created_at: Timestamp,
}

/// All endpoints, mirrored in memory. Readers take no lock, and wait for nobody once they are loaded.
#[derive(Debug)]
pub struct Endpoints {
    /// `None` until the first load.
    by_slug: ArcSwapOption<HashMap<SlugDigest, Arc<Endpoint>>>,
    loaded: watch::Sender<bool>,
}

impl Endpoint {
    /// Whether its senders may be at this address.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut networks = self.allowed_from.iter();
        self.allowed_from.is_empty() || networks.any(|network| network.contains(&address))
    }
}

impl Endpoints {
    /// The endpoint of a slug.
    pub fn find(&self, slug: &Slug) -> Option<Arc<Endpoint>> {
        let digest = slug.digest();
        let endpoints = self.by_slug.load();
        let endpoint = endpoints.as_ref()?.get(&digest)?;
        endpoint.slug.is(&digest).then(|| endpoint.clone())
    }

    /// Puts these endpoints in the place of all that were known.
    pub fn replace(&self, endpoints: impl IntoIterator<Item = Endpoint>) {
        let endpoints = endpoints.into_iter();
        let by_slug = endpoints.map(|endpoint| (endpoint.slug, Arc::new(endpoint)));
        self.by_slug.store(Some(Arc::new(by_slug.collect())));
        self.loaded.send_replace(true);
    }

    /// Returns when there was a first load; at once if it was before. Cancel-safe.
    pub async fn loaded(&self) {
        if self.by_slug.load().is_some() {
            return;
        }
        let mut loaded = self.loaded.subscribe();
        let told = loaded.wait_for(|loaded| *loaded).await;
        told.expect("the sender is our own");
    }
}

impl Default for Endpoints {
    fn default() -> Self {
        Endpoints {
            by_slug: ArcSwapOption::empty(),
            loaded: watch::Sender::new(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(slug: &Slug, allowed_from: &[&str]) -> Endpoint {
        let networks = allowed_from.iter().map(|network| network.parse().unwrap());
        Endpoint {
            id: Uuid::from_u128(1),
            account: Uuid::from_u128(2).into(),
            name: None,
            slug: slug.digest(),
            key: Uuid::from_u128(3),
            verification: None,
            allowed_from: networks.collect(),
            is_idempotent: true,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_endpoint_is_found_by_its_slug_alone() {
        let (slug, other) = (Slug::generate().unwrap(), Slug::generate().unwrap());
        let endpoints = Endpoints::default();
        assert!(endpoints.find(&slug).is_none());
        endpoints.replace([endpoint(&slug, &[])]);
        assert_eq!(endpoints.find(&slug).unwrap().id, Uuid::from_u128(1));
        assert!(endpoints.find(&other).is_none());
        endpoints.replace([]);
        assert!(endpoints.find(&slug).is_none());
    }

    #[test]
    fn senders_may_be_anywhere_or_in_the_networks_that_are_allowed() {
        let slug = Slug::generate().unwrap();
        let may = |networks: &[&str], address: &str| {
            endpoint(&slug, networks).allows(address.parse().unwrap())
        };
        assert!(may(&[], "192.0.2.1"));
        assert!(may(&["192.0.2.0/24", "2001:db8::/32"], "192.0.2.1"));
        assert!(may(&["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1"));
        assert!(may(&["192.0.2.0/24"], "::ffff:192.0.2.1"));
        assert!(!may(&["192.0.2.0/24"], "198.51.100.1"));
    }
}

//! Whose address a request comes from, and how many connections one address may have.
//!
//! This is per node: a fleet of three lets one address have three times as many.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

use super::stalling::Fate;

/// The other end of the TCP connection of a request: an extension of it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) fate: Fate,
}

/// Whose word on where a request came from is taken.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// How many connections one address may have, and how often it may make one.
#[derive(Clone, Debug)]
pub struct AddressLimits {
    /// At a time.
    pub connections: usize,
    pub per_minute: NonZeroU32,
    /// At once, after a time of rest.
    pub burst: NonZeroU32,
    /// Where none of this holds.
    pub unlimited: Vec<IpNet>,
}

/// Counts connections by address.
#[derive(Debug)]
pub struct Addresses {
    limits: AddressLimits,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    rate: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    upkeep: Mutex<Upkeep>,
}

/// What is done now and then.
#[derive(Debug)]
struct Upkeep {
    swept: Instant,
    warned: Option<Instant>,
}

/// Counts a connection of an address in while it lives.
#[derive(Debug)]
pub struct Counted {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

/// Why an address may not connect now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// It has as many connections as it may have.
    TooMany,
    /// It has made too many of late.
    TooOften { again_in: Duration },
}

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Addresses are forgotten that have not come for long, this often,
const SWEEP: Duration = Duration::from_secs(60);
/// and at once when there are so many; how often those come is not limited if that does not help.
const REMEMBERED: usize = 200_000;

/// An operator is told this often.
const WARN_AGAIN: Duration = Duration::from_secs(60);

/// IPv6 addresses of one client differ behind this many bits: providers give out whole networks.
const IPV6_CLIENT_BITS: u32 = 64;

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        TrustedProxies(networks)
    }

    /// The address of the client: the peer's, or, where that is a trusted proxy, the last one in
    /// X-Forwarded-For that is none. What clients write into the header themselves stands before
    /// that, and is not looked at.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        // Several lines are one list (RFC 9110, section 5.3).
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        // Bytes: a line may begin with what a client wrote, which need not be text.
        let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while self.trusts(client) {
            // What is no address may be anybody's doing: the one who passed it on is the last known.
            match entries.next().and_then(address) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        is_in(&self.0, address)
    }
}

impl Addresses {
    pub fn new(limits: AddressLimits) -> Self {
        let quota = Quota::per_minute(limits.per_minute).allow_burst(limits.burst);
        Addresses {
            limits,
            open: Arc::default(),
            rate: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            upkeep: Mutex::new(Upkeep {
                swept: Instant::now(),
                warned: None,
            }),
        }
    }

    /// Counts a connection in; `None` where nothing is counted.
    pub fn enter(&self, address: IpAddr) -> Result<Option<Counted>, OverLimit> {
        if is_in(&self.limits.unlimited, address) {
            return Ok(None);
        }
        let address = of_client(address);
        let counted = self.count(address).ok_or(OverLimit::TooMany)?;
        self.sweep();
        if self.rate.len() < REMEMBERED
            && let Err(too_early) = self.rate.check_key(&address)
        {
            let again_in = too_early.wait_time_from(self.clock.now());
            return Err(OverLimit::TooOften { again_in });
        }
        Ok(Some(counted))
    }

    /// Whether it is time to tell an operator of a refusal: there may be a proxy in front whose word
    /// is not taken, and all clients look like one.
    pub fn should_warn(&self) -> bool {
        let mut upkeep = self
            .upkeep
            .lock()
            .expect("nothing panics while it holds it");
        let is_due = upkeep
            .warned
            .is_none_or(|warned| warned.elapsed() >= WARN_AGAIN);
        if is_due {
            upkeep.warned = Some(Instant::now());
        }
        is_due
    }

    fn count(&self, address: IpAddr) -> Option<Counted> {
        let mut open = self.open.lock().expect("nothing panics while it counts");
        let count = open.get(&address).copied().unwrap_or_default();
        if count >= self.limits.connections {
            return None;
        }
        open.insert(address, count + 1);
        Some(Counted {
            open: self.open.clone(),
            address,
        })
    }

    fn sweep(&self) {
        let mut upkeep = self
            .upkeep
            .lock()
            .expect("nothing panics while it holds it");
        let since = upkeep.swept.elapsed();
        let is_full = self.rate.len() >= REMEMBERED && since >= Duration::from_secs(1);
        if since < SWEEP && !is_full {
            return;
        }
        upkeep.swept = Instant::now();
        drop(upkeep);
        self.rate.retain_recent();
        self.rate.shrink_to_fit();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.open.lock().expect("nothing panics while it counts");
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An entry of X-Forwarded-For: an address, with a port from some proxies.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let address = entry.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()));
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    Some(address.or_else(bracketed)?.to_canonical())
}

/// What is one client, as far as addresses tell.
fn of_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let network = u128::MAX << (u128::BITS - IPV6_CLIENT_BITS);
            Ipv6Addr::from_bits(address.to_bits() & network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn networks(networks: &[&str]) -> Vec<IpNet> {
        networks
            .iter()
            .map(|network| network.parse().unwrap())
            .collect()
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line.as_bytes());
            headers.append(X_FORWARDED_FOR, line.unwrap());
        }
        headers
    }

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = TrustedProxies::new(networks(&["10.0.0.0/8", "2001:db8::/32"]));
        let peer = peer.parse().unwrap();
        proxies.client(peer, &headers(lines)).to_string()
    }

    #[test]
    fn a_stranger_says_what_it_wants_about_where_it_comes_from() {
        assert_eq!(client("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        let nobody = TrustedProxies::default();
        let said = headers(&["203.0.113.9"]);
        assert_eq!(
            nobody.client([10, 0, 0, 1].into(), &said).to_string(),
            "10.0.0.1"
        );
    }

    #[test]
    fn behind_trusted_proxies_the_last_address_that_is_none_of_theirs_counts() {
        for (lines, expected) in [
            (&[][..], "10.0.0.1"),
            (&["203.0.113.9"], "203.0.113.9"),
            // The first is what the client wrote.
            (&["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (&["1.1.1.1,203.0.113.9 , 10.2.3.4,10.9.9.9"], "203.0.113.9"),
            // It need not be text.
            (&["Zoë, 203.0.113.9"], "203.0.113.9"),
            (&["Zoë", "203.0.113.9", "10.2.3.4"], "203.0.113.9"),
            // Several lines are one list.
            (&["1.1.1.1", "203.0.113.9", "10.2.3.4"], "203.0.113.9"),
            (&["203.0.113.9, 10.0.0.3", "10.2.3.4"], "203.0.113.9"),
            // Of proxies alone the farthest.
            (&["10.0.0.3, 10.2.3.4"], "10.0.0.3"),
            // Malformed: as far as it was understood.
            (&["203.0.113.9, unknown"], "10.0.0.1"),
            (&["203.0.113.9, , 10.2.3.4"], "10.2.3.4"),
            (&["203.0.113.9, 10.2.3"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            // With ports, in brackets, and IPv4 written as IPv6.
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["[2a00::1]:4711, [2001:db8::7]"], "2a00::1"),
            (&["2a00::1"], "2a00::1"),
            (&["1.1.1.1, ::ffff:10.0.0.3"], "1.1.1.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines), expected, "{lines:?}");
            assert_eq!(
                client("::ffff:10.0.0.1", lines),
                expected,
                "{lines:?} over IPv6"
            );
        }
    }

    fn addresses(connections: usize, per_minute: u32, burst: u32) -> Addresses {
        Addresses::new(AddressLimits {
            connections,
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
            unlimited: networks(&["127.0.0.0/8", "::1/128"]),
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_at_a_time_and_gets_back_what_it_gives_up() {
        let addresses = addresses(2, 1000, 1000);
        let first = addresses.enter(ip("192.0.2.1")).unwrap();
        let _second = addresses.enter(ip("::ffff:192.0.2.1")).unwrap();
        let third = addresses.enter(ip("192.0.2.1"));
        assert_eq!(third.unwrap_err(), OverLimit::TooMany);
        assert!(addresses.enter(ip("192.0.2.2")).is_ok(), "another");
        drop(first);
        assert!(addresses.enter(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_client_of_ipv6_is_a_network_of_64_bits() {
        let addresses = addresses(1, 1000, 1000);
        let _one = addresses.enter(ip("2a00:1:2:3::1")).unwrap();
        assert!(addresses.enter(ip("2a00:1:2:3:ffff::2")).is_err());
        assert!(addresses.enter(ip("2a00:1:2:4::1")).is_ok());
    }

    #[test]
    fn an_address_that_comes_too_often_is_told_when_to_come_again() {
        let addresses = addresses(1000, 10, 3);
        for _ in 0..3 {
            assert!(addresses.enter(ip("192.0.2.1")).is_ok());
        }
        let Err(OverLimit::TooOften { again_in }) = addresses.enter(ip("192.0.2.1")) else {
            panic!("a fourth at once")
        };
        // Ten a minute is one in six seconds.
        assert!(again_in <= Duration::from_secs(6), "{again_in:?}");
        assert!(again_in > Duration::from_secs(4), "{again_in:?}");
        assert!(addresses.enter(ip("192.0.2.2")).is_ok(), "another");
        // Who was refused is not counted as open.
        assert_eq!(addresses.open.lock().unwrap().len(), 0);
    }

    #[test]
    fn this_machine_is_not_counted() {
        let addresses = addresses(1, 1, 1);
        for _ in 0..100 {
            assert!(addresses.enter(ip("127.0.0.1")).unwrap().is_none());
            assert!(addresses.enter(ip("::1")).unwrap().is_none());
        }
    }

    #[test]
    fn an_operator_is_warned_once_a_while() {
        let addresses = addresses(1, 1, 1);
        assert!(addresses.should_warn());
        assert!(!addresses.should_warn());
    }

    proptest! {
        /// Whatever a client behind a trusted proxy writes, it is known by what the proxy wrote.
        #[test]
        fn what_a_client_writes_does_not_change_where_it_comes_from(forged in "[ -~é用]{0,60}") {
            let line = format!("{forged}, 203.0.113.9");
            prop_assert_eq!(client("10.0.0.1", &[&line]), "203.0.113.9");
            prop_assert_eq!(client("10.0.0.1", &[&forged, "203.0.113.9"]), "203.0.113.9");
        }
    }
}

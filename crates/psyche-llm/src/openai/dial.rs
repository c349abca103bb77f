//! Which addresses may be dialled (SSRF-01). A host's name says nothing of where it leads, and it may lead elsewhere the next
//! time: so addresses are judged when they are resolved, and exactly those that were judged are dialled.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Finds the addresses of a host. In production the system does.
type Lookup =
    Arc<dyn Fn(String) -> futures_core::future::BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// A host leads only to addresses that may not be dialled.
#[derive(Debug, thiserror::Error)]
#[error("{host} leads to {address}, {why}")]
pub struct Refused {
    host: String,
    address: IpAddr,
    why: &'static str,
}

/// Resolves names to addresses of the public internet alone.
pub struct Public {
    lookup: Lookup,
}

impl Public {
    /// By the system's resolver.
    pub fn new() -> Self {
        Self::with(Arc::new(|host| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect()) })
        }))
    }

    pub fn with(lookup: Lookup) -> Self {
        Self { lookup }
    }
}

impl fmt::Debug for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Public")
    }
}

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let found = (self.lookup)(host.clone());
        Box::pin(async move {
            let (allowed, refused): (Vec<_>, Vec<_>) =
                found.await?.into_iter().partition(|a| refusal(a.ip()).is_none());
            if let (true, Some(address)) = (allowed.is_empty(), refused.first()) {
                let address = address.ip();
                let why = refusal(address).unwrap_or_default();
                return Err(Refused { host, address, why }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

const NOWHERE: &str = "which names no host";
const HERE: &str = "this machine itself";
const LINK: &str = "a link-local address, where clouds keep their metadata";
const PRIVATE: &str = "a private address";
const RESERVED: &str = "a reserved address";
const MULTICAST: &str = "a multicast address";

/// Why an address may not be dialled; nothing when it may.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address),
        IpAddr::V6(address) => refusal_v6(address),
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some(NOWHERE),
        [127, ..] => Some(HERE),
        [169, 254, ..] => Some(LINK),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some(PRIVATE),
        // Inside a provider's network, benchmarks, examples, and what is kept for later.
        [100, 64..=127, ..]
        | [192, 0, 0 | 2, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => Some(RESERVED),
        [224..=239, ..] => Some(MULTICAST),
        _ => None,
    }
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(NOWHERE),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(HERE),
        // IPv4 in other clothes: compatible, mapped, translated (NAT64), 6to4.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            refusal_v4(Ipv4Addr::new(a, b, c, d))
        }
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some(PRIVATE),
        // Tunnels, examples, and what is thrown away.
        [0x2001, 0 | 0xdb8, ..] | [0x100, 0, 0, 0, ..] => Some(RESERVED),
        [0xfe80..=0xfebf, ..] => Some(LINK),
        [0xff00..=0xffff, ..] => Some(MULTICAST),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_may_be_dialled() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in refused {
            assert!(refusal(address.parse().unwrap()).is_some(), "{address}");
        }
        let allowed = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450::1",
        ];
        for address in allowed {
            assert_eq!(refusal(address.parse().unwrap()), None, "{address}");
        }
    }

    async fn resolved(found: &'static [&'static str]) -> Result<Vec<String>, String> {
        let public = Public::with(Arc::new(move |_| {
            let addresses = found.iter().map(|a| SocketAddr::new(a.parse().unwrap(), 0)).collect();
            Box::pin(async move { Ok(addresses) })
        }));
        let addresses = public.resolve("models.example".parse().unwrap()).await.map_err(|e| e.to_string())?;
        Ok(addresses.map(|a| a.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn a_name_leads_to_its_public_addresses_alone() {
        assert_eq!(resolved(&["1.1.1.1", "2606:4700::1"]).await.unwrap(), ["1.1.1.1", "2606:4700::1"]);
        assert_eq!(resolved(&["10.0.0.1", "1.1.1.1", "::1"]).await.unwrap(), ["1.1.1.1"]);
        let refused = resolved(&["::ffff:169.254.169.254", "127.0.0.1"]).await.unwrap_err();
        assert!(refused.starts_with("models.example leads to ::ffff:169.254.169.254"), "{refused}");
        assert_eq!(resolved(&[]).await.unwrap(), [""; 0], "a name without addresses is not ours to judge");
    }
}

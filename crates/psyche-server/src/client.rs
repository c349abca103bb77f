//! Where a request comes from, as far as the network tells.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Networks whose `X-Forwarded-For` counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Networks such as `10.0.0.0/8`, or single addresses. Names the first that is neither.
    pub fn parse(networks: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| {
                format!("trusted_proxies: {text:?} is neither an address nor a network such as 10.0.0.0/8")
            })
        };
        networks.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The client's address: the peer's, or, as long as trusted proxies pass it on, the last that one of them wrote down.
/// What a client wrote itself stands further left and is never reached.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let mut client = peer.to_canonical();
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusted.contain(client) {
            break;
        }
        // Whatever cannot be read was not written by a proxy that is to be trusted further.
        let Some(next) = parse(hop.trim()) else { break };
        client = next;
    }
    client
}

/// Whether a trusted proxy got the request over TLS. It writes its word last, or alone; what others claim does not count.
pub fn came_encrypted(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> bool {
    let lines = headers.get_all("x-forwarded-proto");
    let last = lines.iter().next_back().and_then(|line| line.to_str().ok()?.rsplit(',').next());
    trusted.contain(peer.to_canonical()) && last.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

/// An address as proxies write it, with or without a port.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.parse::<IpAddr>().ok();
    let bracketed = || text.strip_prefix('[')?.split_once(']')?.0.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    bare.or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

/// What limits and blocks count by: an IPv4 address, or the /64 an IPv6 address is in, which is what one household has.
pub fn bucket(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_that_a_trusted_proxy_wrote_counts() {
        let trusted = TrustedProxies::parse(&["10.0.0.0/8".into(), "192.0.2.1".into(), "fd00::/8".into()]).unwrap();
        let cases: [(&str, &[&str], &str); 14] = [
            ("203.0.113.5", &[], "203.0.113.5"),
            // Not a proxy of ours: its header is its own story.
            ("203.0.113.5", &["198.51.100.1"], "203.0.113.5"),
            ("10.1.1.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.1.1.1", &["198.51.100.1"], "198.51.100.1"),
            // What the client claims stands left of what the proxy saw.
            ("10.1.1.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["198.51.100.1, 192.0.2.1"], "198.51.100.1"),
            ("10.1.1.1", &["198.51.100.1, 203.0.113.9, 10.2.2.2"], "203.0.113.9"),
            ("10.1.1.1", &["198.51.100.1, 10.2.2.2, 10.3.3.3"], "198.51.100.1"),
            ("10.1.1.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.1.1.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.1.1.1", &["198.51.100.1, unknown"], "10.1.1.1"),
            ("10.1.1.1", &[""], "10.1.1.1"),
        ];
        for (peer, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            assert_eq!(address(peer.parse().unwrap(), &headers, &trusted).to_string(), expected, "{peer} {lines:?}");
        }
        assert!(TrustedProxies::parse(&["10.0.0.0/33".into()]).is_err());
    }

    #[test]
    fn only_a_trusted_proxy_says_that_a_request_came_encrypted() {
        let trusted = TrustedProxies::parse(&["10.0.0.0/8".into()]).unwrap();
        let cases: [(&str, &[&str], bool); 9] = [
            ("10.1.1.1", &["https"], true),
            ("::ffff:10.1.1.1", &["HTTPS"], true),
            ("10.1.1.1", &["http, https"], true),
            ("10.1.1.1", &[], false),
            ("10.1.1.1", &["http"], false),
            ("10.1.1.1", &["https, http"], false),
            ("10.1.1.1", &["https", "http"], false),
            ("203.0.113.5", &["https"], false),
            ("127.0.0.1", &["https"], false),
        ];
        for (peer, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-proto", line.parse().unwrap());
            }
            assert_eq!(came_encrypted(peer.parse().unwrap(), &headers, &trusted), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_bucket_is_an_address_or_a_64() {
        for (address, expected) in [
            ("203.0.113.5", "203.0.113.5"),
            ("::ffff:203.0.113.5", "203.0.113.5"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(bucket(address.parse().unwrap()).to_string(), expected);
        }
    }
}

//! The address a request comes from, behind trusted proxies too (contract section 7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use actix_web::HttpRequest;

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    /// Bits of an address, counted in IPv6, that must be equal.
    prefix: u32,
}

impl Cidr {
    /// Whether `address` lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & mask(self.prefix) == self.network
    }
}

impl FromStr for Cidr {
    type Err = String;

    /// # Errors
    /// A sentence saying what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a range of addresses, such as 10.0.0.0/8");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length: u32 = length.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if length > most {
            return Err(wrong());
        }
        let prefix = 128 - most + length;
        Ok(Self {
            network: bits(address) & mask(prefix),
            prefix,
        })
    }
}

/// IPv4 addresses as the IPv6 addresses they are mapped to.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

const fn mask(prefix: u32) -> u128 {
    match u128::MAX.checked_shl(128 - prefix) {
        Some(mask) => mask,
        None => 0,
    }
}

/// Who sent the request: the peer of the connection or, when that is a trusted proxy, the last
/// address in `X-Forwarded-For` that is not one.
pub(crate) fn client(request: &HttpRequest, trusted: &[Cidr]) -> IpAddr {
    let peer = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let forwarded: Vec<IpAddr> = request
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map_while(|address| address.trim().parse().ok())
        .collect();
    let mut client = peer;
    for address in forwarded.into_iter().rev() {
        if !is_trusted(client) {
            break;
        }
        client = address;
    }
    client
}

/// What counts as one address: all of IPv4, the network half of IPv6, of which a single host has
/// all the other half.
pub(crate) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & mask(64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn range(text: &str) -> Cidr {
        text.parse().expect("a range")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn ranges() {
        assert!(range("10.0.0.0/8").contains(address("10.255.0.1")));
        assert!(!range("10.0.0.0/8").contains(address("11.0.0.1")));
        assert!(range("10.0.0.0/8").contains(address("::ffff:10.0.0.1")));
        assert!(range("0.0.0.0/0").contains(address("1.2.3.4")));
        assert!(!range("0.0.0.0/0").contains(address("2001:db8::1")));
        assert!(range("::/0").contains(address("2001:db8::1")));
        assert!(range("127.0.0.1").contains(address("127.0.0.1")));
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "::/129", "host/8"] {
            let error = text.parse::<Cidr>().expect_err("refused");
            assert!(error.contains("range of addresses"), "{error}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let request = TestRequest::default()
            .peer_addr(([10, 0, 0, 1], 1).into())
            .insert_header(("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2"))
            .to_http_request();
        assert_eq!(client(&request, &[]), address("10.0.0.1"));
        assert_eq!(client(&request, &[range("10.0.0.0/8")]), address("1.2.3.4"));
    }

    #[test]
    fn an_ipv6_host_counts_once() {
        assert_eq!(
            counted(address("2001:db8::1")),
            counted(address("2001:db8::2"))
        );
        assert_ne!(
            counted(address("2001:db8:1::1")),
            counted(address("2001:db8::1"))
        );
        assert_eq!(counted(address("::ffff:1.2.3.4")), address("1.2.3.4"));
    }
}

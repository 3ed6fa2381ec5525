//! What an address is: public, or one of the many that are not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The class of an address. Everything that is not [`AddressClass::Public`] needs a rule that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Routed on the internet.
    Public,
    /// This machine.
    Loopback,
    /// RFC 1918, and the former site-local fec0::/10.
    Private,
    /// Only this link.
    LinkLocal,
    /// Between a provider and its customers (100.64.0.0/10).
    CarrierShared,
    /// fc00::/7.
    UniqueLocal,
    /// A cloud's metadata service, which hands out credentials.
    Metadata,
    /// Documentation and benchmarks.
    Documentation,
    /// Set aside, or a tunnel that leads elsewhere.
    Reserved,
    /// Many machines at once.
    Multicast,
    /// No machine: 0.0.0.0/8, ::, 255.255.255.255. Linux connects some of them to itself.
    Nowhere,
}

impl AddressClass {
    /// Whether no rule can allow it.
    #[must_use]
    pub const fn is_never(self) -> bool {
        matches!(self, Self::Multicast | Self::Nowhere)
    }

    /// For people: "a private address".
    #[must_use]
    pub const fn described(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "this machine itself",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::CarrierShared => "an address shared by a provider's customers",
            Self::UniqueLocal => "a unique local address",
            Self::Metadata => "a cloud's metadata service",
            Self::Documentation => "an address for documentation",
            Self::Reserved => "a reserved address",
            Self::Multicast => "a multicast address",
            Self::Nowhere => "an address of no machine",
        }
    }
}

/// Metadata services: AWS, GCP, Azure, OpenStack and others; AWS tasks; Alibaba; Oracle; Azure's host.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// Metadata services of AWS and GCP.
const METADATA_V6: [Ipv6Addr; 2] = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// The class of an address, looking through the IPv6 forms that carry an IPv4 address.
#[must_use]
pub fn classify(address: IpAddr) -> AddressClass {
    match address.to_canonical() {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    use AddressClass as C;
    if METADATA_V4.contains(&address) {
        return C::Metadata;
    }
    match address.octets() {
        [0, ..] | [255, 255, 255, 255] => C::Nowhere,
        [127, ..] => C::Loopback,
        [10, ..] | [192, 168, ..] => C::Private,
        [172, second, ..] if second & 0xf0 == 16 => C::Private,
        [100, second, ..] if second & 0xc0 == 64 => C::CarrierShared,
        [169, 254, ..] => C::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => C::Documentation,
        [198, 18 | 19, ..] => C::Documentation,
        [192, 0, 0, _] | [192, 88, 99, _] => C::Reserved,
        [first, ..] if first & 0xf0 == 224 => C::Multicast,
        [first, ..] if first & 0xf0 == 240 => C::Reserved,
        _ => C::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    use AddressClass as C;
    if METADATA_V6.contains(&address) {
        return C::Metadata;
    }
    let s = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    // A tunnel to a public address is no public address; one to a metadata service is that service.
    let tunnel = |inner: Ipv4Addr| match classify_v4(inner) {
        C::Public => C::Reserved,
        other => other,
    };
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => C::Nowhere,
        [0, 0, 0, 0, 0, 0, 0, 1] => C::Loopback,
        // ::a.b.c.d, long withdrawn.
        [0, 0, 0, 0, 0, 0, high, low] => tunnel(embedded(high, low)),
        // ::ffff:0:a.b.c.d, stateless translation.
        [0, 0, 0, 0, 0xffff, 0, high, low] => tunnel(embedded(high, low)),
        // NAT64: how an IPv6-only network reaches the IPv4 internet.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => classify_v4(embedded(high, low)),
        [0x64, 0xff9b, ..] => C::Reserved,
        [0x2001, 0, _, _, _, _, high, low] => tunnel(embedded(!high, !low)),
        [0x2001, 0xdb8, ..] => C::Documentation,
        [0x2001, second, ..] if second < 0x200 => C::Reserved,
        [0x2002, high, low, ..] => tunnel(embedded(high, low)),
        [0x3fff, second, ..] if second < 0x1000 => C::Documentation,
        [first, ..] if first & 0xfe00 == 0xfc00 => C::UniqueLocal,
        [first, ..] if first & 0xffc0 == 0xfe80 => C::LinkLocal,
        [first, ..] if first & 0xffc0 == 0xfec0 => C::Private,
        [first, ..] if first & 0xff00 == 0xff00 => C::Multicast,
        [first, ..] if first & 0xe000 == 0x2000 => C::Public,
        _ => C::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_range_is_known_at_both_its_ends() {
        use AddressClass as C;
        let table: &[(C, &[&str])] = &[
            (
                C::Public,
                &["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "223.255.255.255"],
            ),
            (C::Public, &["2606:4700::1111", "2a00::1", "64:ff9b::1.1.1.1"]),
            (C::Nowhere, &["0.0.0.0", "0.255.255.255", "255.255.255.255", "::", "::ffff:0.0.0.0"]),
            (C::Loopback, &["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"]),
            (
                C::Private,
                &["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.1", "fec0::1", "::ffff:10.0.0.1", "2002:a00:1::1"],
            ),
            (C::CarrierShared, &["100.64.0.0", "100.127.255.255"]),
            (C::LinkLocal, &["169.254.0.1", "fe80::1", "febf::1"]),
            (C::UniqueLocal, &["fc00::1", "fdff::1"]),
            (
                C::Metadata,
                &["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::", "fd00:ec2::254", "100.100.100.200"],
            ),
            (C::Documentation, &["192.0.2.1", "198.51.100.1", "203.0.113.255", "198.18.0.1", "198.19.255.255", "2001:db8::1", "3fff::1"]),
            (
                C::Reserved,
                &["240.0.0.1", "255.255.255.254", "192.0.0.1", "192.88.99.1", "100::1", "64:ff9b:1::1", "2002:101:101::", "4000::1", "2001:1::1"],
            ),
            (C::Multicast, &["224.0.0.1", "239.255.255.255", "ff02::1"]),
        ];
        for (class, addresses) in table {
            for address in *addresses {
                assert_eq!(classify(address.parse().unwrap()), *class, "{address}");
            }
        }
    }

    #[test]
    fn a_teredo_address_is_what_it_hides() {
        // The client's address 169.254.169.254 is stored inverted.
        assert_eq!(classify("2001:0:4136:e378:8000:63bf:5601:5601".parse().unwrap()), AddressClass::Metadata);
        assert_eq!(classify("2001:0:4136:e378:8000:63bf:3fff:fdd2".parse().unwrap()), AddressClass::Documentation);
    }
}

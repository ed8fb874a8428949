/// An address of either family.
///
/// IPv4 addresses are held as `::ffff:0:0/96` (RFC 4291 §2.5.5.2), the form in which a socket for both families shows
/// them. So an address has one value however it came in: `10.0.0.1` and `::ffff:10.0.0.1` are equal, and nobody gets
/// past a rule for the one by the other.
public struct IPAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The first and the second half, in host order.
    public let high: UInt64
    public let low: UInt64

    @inlinable public init(_ address: IPv4Address) {
        high = 0
        low = 0xFFFF_0000_0000 | UInt64(address.bits)
    }

    @inlinable public init(_ address: IPv6Address) {
        high = address.high
        low = address.low
    }

    /// Reads an address of either family, without brackets, port or zone; nil for anything else.
    public init?(parsing text: some StringProtocol) {
        if let address = IPv4Address(parsing: text) {
            self.init(address)
        } else if let address = IPv6Address(parsing: text) {
            self.init(address)
        } else {
            return nil
        }
    }

    /// `127.0.0.1`
    public static let loopback = IPAddress(IPv4Address(127, 0, 0, 1))
    /// `::1`
    public static let loopback6 = IPAddress(IPv6Address(high: 0, low: 1))
    /// `0.0.0.0`: a listener there accepts on every IPv4 address.
    public static let any = IPAddress(IPv4Address(0, 0, 0, 0))
    /// `::`: a listener there accepts on every address of both families.
    public static let any6 = IPAddress(IPv6Address(high: 0, low: 0))

    @inlinable public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }
    @inlinable public var isIPv6: Bool { !isIPv4 }
    /// Nil for an address that is IPv6 only.
    @inlinable public var ipv4: IPv4Address? { isIPv4 ? IPv4Address(bits: UInt32(truncatingIfNeeded: low)) : nil }
    /// Its form in IPv6, mapped where it is IPv4.
    @inlinable public var ipv6: IPv6Address { IPv6Address(high: high, low: low) }
    /// `127.0.0.0/8` and `::1`.
    @inlinable public var isLoopback: Bool { ipv4.map { $0.bits >> 24 == 127 } ?? (high == 0 && low == 1) }

    /// As in a log: `192.0.2.1`, `2001:db8::1` (RFC 5952).
    public var description: String { ipv4?.description ?? ipv6.description }

    /// As in a URL or before a port: IPv6 in brackets (RFC 3986 §3.2.2).
    public var bracketed: String { ipv4?.description ?? "[\(ipv6)]" }

    public static func < (a: IPAddress, b: IPAddress) -> Bool { (a.high, a.low) < (b.high, b.low) }

    /// The first `length` bits, the rest 0.
    ///
    /// - Parameter length: of 128, clamped; an IPv4 address has 96 bits before its own 32.
    public func prefix(_ length: Int) -> IPAddress {
        let bits = min(max(length, 0), 128)
        let high = bits >= 64 ? self.high : bits == 0 ? 0 : self.high & ~(UInt64.max >> UInt64(bits))
        let low = bits <= 64 ? 0 : bits == 128 ? self.low : self.low & ~(UInt64.max >> UInt64(bits - 64))
        return IPAddress(IPv6Address(high: high, low: low))
    }
}

/// One end of a connection, or of a datagram's way: an address and a port.
public struct Endpoint: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let address: IPAddress
    public let port: UInt16

    @inlinable public init(_ address: IPAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }

    @inlinable public init(_ address: IPv4Address, _ port: UInt16) { self.init(IPAddress(address), port) }
    @inlinable public init(_ address: IPv6Address, _ port: UInt16) { self.init(IPAddress(address), port) }

    /// `192.0.2.1:80`, `[2001:db8::1]:80`.
    public var description: String { "\(address.bracketed):\(port)" }
    public static func < (a: Endpoint, b: Endpoint) -> Bool { (a.address, a.port) < (b.address, b.port) }
}

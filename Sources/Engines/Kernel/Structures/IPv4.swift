/// An IPv4 address as one number in host order.
public struct IPv4Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let bits: UInt32

    @inlinable public init(bits: UInt32) { self.bits = bits }
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        bits = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    /// Reads four decimal numbers of 0 to 255 without leading zeros; nil for anything else.
    public init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard let number = UInt8(part), String(number) == part else { return nil }
            bits = bits << 8 | UInt32(number)
        }
        self.bits = bits
    }

    public static let loopback = IPv4Address(127, 0, 0, 1)
    public static let any = IPv4Address(0, 0, 0, 0)

    public var description: String { "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)" }
    public static func < (a: IPv4Address, b: IPv4Address) -> Bool { a.bits < b.bits }
}

/// One end of a connection: an address and a port.
public struct Endpoint: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let address: IPv4Address
    public let port: UInt16

    @inlinable public init(_ address: IPv4Address, _ port: UInt16) {
        self.address = address
        self.port = port
    }

    public var description: String { "\(address):\(port)" }
    public static func < (a: Endpoint, b: Endpoint) -> Bool { (a.address, a.port) < (b.address, b.port) }
}

/// A destination as a person writes it: a host name or address, and a port.
public struct HostPort: Hashable, Sendable, CustomStringConvertible {
    public let host: String
    public let port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port`, or a bare port, which means `localhost`. Nil when the port is missing or not in 1–65535, and
    /// for hosts that can be none: a URL, blanks, a user name, IPv6.
    public init?(parsing text: some StringProtocol) {
        let colon = text.lastIndex(of: ":")
        let host = colon.map { String(text[..<$0]) } ?? "localhost"
        let digits = colon.map { text[text.index(after: $0)...] } ?? text[...]
        guard digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let port = UInt16(digits), port > 0, !host.isEmpty,
            host.utf8.allSatisfy({ $0 > 32 && $0 != 127 && !"/:@?#[]".utf8.contains($0) })
        else { return nil }
        self.init(host: host, port: port)
    }

    public var description: String { unixSocketPath == nil ? "\(host):\(port)" : host }
}

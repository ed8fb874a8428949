import KernelStructures

/// Who a request comes from, when there are proxies in front.
///
/// ## The problem
///
/// Behind a proxy every request has the proxy's address, and one angry client would use up everybody's quota. So
/// proxies add the address they see to `X-Forwarded-For`. But clients can send that field, too: who believes its
/// *first* address, as many limiters do, lets each client be whom it likes, a new one with each request, and has no
/// limit at all.
///
/// ## How
///
/// Only what a trusted proxy wrote is true, and each wrote at the right end. So read from the right: the connection's
/// own address first, and then one entry further left for as long as the one so far is a trusted proxy. The first that
/// is not is the client. Whatever stands left of it is hearsay.
public struct TrustedProxies: Equatable, Sendable {
    public private(set) var networks: [Network] = []

    /// Entries of the field that are read at most, from the right.
    static let hopLimit = 32
    public static let none = TrustedProxies()

    public init(_ networks: [Network] = []) { self.networks = networks }

    /// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single one.
    public struct Network: Equatable, Sendable, CustomStringConvertible {
        let address: IPv6Address
        /// Of 128: an IPv4 network counts as ::ffff:0:0/96 and more.
        let bits: Int
        public let description: String

        public init?(parsing text: String) {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count), let address = ClientAddress(parsing: String(parts[0])) else {
                return nil
            }
            let width = address.isIPv4 ? 32 : 128
            var length = width
            if parts.count == 2 {
                guard let number = Int(parts[1]), String(number) == parts[1], (0...width).contains(number) else {
                    return nil
                }
                length = number
            }
            self.address = address.bits
            bits = length + 128 - width
            description = text
        }

        func contains(_ other: ClientAddress) -> Bool {
            let high = bits >= 64 ? UInt64.max : bits == 0 ? 0 : ~(UInt64.max >> UInt64(bits))
            let low = bits <= 64 ? 0 : bits == 128 ? UInt64.max : ~(UInt64.max >> UInt64(bits - 64))
            return (address.high ^ other.bits.high) & high == 0 && (address.low ^ other.bits.low) & low == 0
        }
    }

    func trusts(_ address: ClientAddress) -> Bool { networks.contains { $0.contains(address) } }

    /// The client.
    ///
    /// - Parameters:
    ///   - peer: whom the connection comes from.
    ///   - forwarded: the values of all `X-Forwarded-For` fields, in their order.
    public func client(peer: ClientAddress, forwarded: [ArraySlice<UInt8>]) -> ClientAddress {
        var client = peer
        var hops = 0
        for value in forwarded.reversed() {
            var end = value.endIndex
            while end >= value.startIndex {
                guard trusts(client), hops < Self.hopLimit else { return client }
                let comma = value[..<end].lastIndex(of: UInt8(ascii: ","))
                let entry = value[(comma.map { $0 + 1 } ?? value.startIndex)..<end]
                end = comma ?? value.startIndex - 1
                // What is no address was not written by a proxy worth its trust: the proxy itself is all that is known.
                guard let next = ClientAddress(parsing: entry) else { return client }
                client = next
                hops += 1
            }
        }
        return client
    }
}

/// An address of a client, IPv4 or IPv6.
public struct ClientAddress: Hashable, Sendable, CustomStringConvertible {
    /// IPv4 addresses as ::ffff:a.b.c.d.
    let bits: IPv6Address

    public init(_ address: IPv4Address) { bits = IPv6Address(mapped: address) }
    init(_ address: IPv6Address) { bits = address }

    /// Reads an address as proxies write it: with blanks around, in brackets, with a port.
    init?(parsing bytes: ArraySlice<UInt8>) {
        guard bytes.count <= 80 else { return nil }
        self.init(parsing: String(decoding: bytes, as: UTF8.self))
    }

    public init?(parsing text: String) {
        var text = text[...]
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" && Self.isPort(rest.dropFirst()) else { return nil }
            guard let address = IPv6Address(parsing: text[text.index(after: text.startIndex)..<end]) else { return nil }
            bits = address
        } else if let address = IPv6Address(parsing: text) {
            bits = address
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let host = parts.first, parts.count == 1 || Self.isPort(parts[1]),
                let address = IPv4Address(parsing: host)
            else { return nil }
            bits = IPv6Address(mapped: address)
        }
    }

    private static func isPort(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.count <= 5 && text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 }
    }

    var isIPv4: Bool { bits.high == 0 && bits.low >> 32 == 0xFFFF }

    /// What stands for it in a key. Who has one IPv6 address mostly has all of its /64, so those share a key.
    ///
    /// - Parameter prefix: of 128 bits, how many tell clients apart.
    package func key(ipv6Prefix prefix: Int) -> String {
        if isIPv4 || prefix >= 128 { return description }
        let high = prefix >= 64 ? bits.high : prefix == 0 ? 0 : bits.high & ~(UInt64.max >> UInt64(prefix))
        let low = prefix <= 64 ? 0 : bits.low & ~(UInt64.max >> UInt64(prefix - 64))
        return "\(IPv6Address(high: high, low: low))/\(prefix)"
    }

    public var description: String {
        isIPv4 ? IPv4Address(bits: UInt32(truncatingIfNeeded: bits.low)).description : bits.description
    }
}

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
        private let block: AddressBlock
        public let description: String

        /// The address may be written as proxies write it.
        public init?(parsing text: String) {
            guard let block = AddressBlock(parsing: text, readAddress: { IPAddress(forwarded: $0) }) else {
                return nil
            }
            self.block = block
            description = text
        }

        func contains(_ other: IPAddress) -> Bool { block.contains(other) }
    }

    package func trusts(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }

    /// The client.
    ///
    /// - Parameters:
    ///   - peer: whom the connection comes from.
    ///   - forwarded: the values of all `X-Forwarded-For` fields, in their order.
    public func client(peer: IPAddress, forwarded: [ArraySlice<UInt8>]) -> IPAddress {
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
                guard let next = IPAddress(forwarded: entry) else { return client }
                client = next
                hops += 1
            }
        }
        return client
    }
}

extension IPAddress {
    /// Reads an address as proxies write it: with blanks around, in brackets, with a port.
    init?(forwarded bytes: ArraySlice<UInt8>) {
        guard bytes.count <= 80 else { return nil }
        self.init(forwarded: String(decoding: bytes, as: UTF8.self))
    }

    package init?(forwarded text: some StringProtocol) {
        var text = text[...]
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" && Self.isPort(rest.dropFirst()) else { return nil }
            guard let address = IPv6Address(parsing: text[text.index(after: text.startIndex)..<end]) else { return nil }
            self.init(address)
        } else if let address = IPv6Address(parsing: text) {
            self.init(address)
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, let host = parts.first, parts.count == 1 || Self.isPort(parts[1]),
                let address = IPv4Address(parsing: host)
            else { return nil }
            self.init(address)
        }
    }

    private static func isPort(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.count <= 5 && text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 }
    }

    /// What stands for it in a key. Who has one IPv6 address mostly has all of its /64, so those share a key.
    ///
    /// - Parameter length: of 128 bits, how many tell clients of IPv6 apart.
    package func key(ipv6Prefix length: Int) -> String {
        isIPv4 || length >= 128 ? description : "\(prefix(length).ipv6)/\(length)"
    }
}

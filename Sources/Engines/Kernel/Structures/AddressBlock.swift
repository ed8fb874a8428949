/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single one (RFC 4632, RFC 4291 section 2.3).
public struct AddressBlock: Equatable, Sendable {
    public let address: IPAddress
    /// Of 128 bits: an IPv4 block counts as `::ffff:0:0/96` and more.
    private let bits: Int

    /// - Parameter readAddress: how the address before the slash is written, if otherwise than alone.
    /// - Returns: nil for what is no block.
    public init?(
        parsing text: some StringProtocol, readAddress: (Substring) -> IPAddress? = { IPAddress(parsing: $0) }
    ) {
        let parts = Substring(text).split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = readAddress(parts[0]) else { return nil }
        let width = address.isIPv4 ? 32 : 128
        var length = width
        if parts.count == 2 {
            guard let number = Int(parts[1]), String(number) == parts[1], (0...width).contains(number) else {
                return nil
            }
            length = number
        }
        self.address = address
        bits = length + 128 - width
    }

    public func contains(_ other: IPAddress) -> Bool { address.prefix(bits) == other.prefix(bits) }
}

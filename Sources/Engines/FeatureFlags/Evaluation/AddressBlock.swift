import KernelStructures

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or a single one.
struct AddressBlock: Sendable {
    private let address: IPAddress
    /// Of 128 bits: an IPv4 block counts as `::ffff:0:0/96` and more.
    private let bits: Int

    /// Nil for what is no block.
    init?(parsing text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let address = IPAddress(parsing: parts[0]) else { return nil }
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

    func contains(_ other: IPAddress) -> Bool { address.prefix(bits) == other.prefix(bits) }
}

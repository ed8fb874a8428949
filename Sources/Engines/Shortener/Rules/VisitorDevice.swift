import KernelStructures

/// What a visitor holds in his hands, by what his browser says.
public enum VisitorDevice: String, CaseIterable, Sendable {
    case android, ios, mobile, windows, macos, linux, chromeos, desktop

    /// All that fit: a telephone is `android` and `mobile`.
    static func all(_ agent: String?) -> Set<VisitorDevice> {
        guard let name = agent?.prefix(1024).lowercased(), !name.isEmpty else { return [] }
        if name.contains("android") { return [.android, .mobile] }
        if ["iphone", "ipad", "ipod"].contains(where: { name.contains($0) }) { return [.ios, .mobile] }
        if name.contains("mobile") { return [.mobile] }
        if name.contains("windows") { return [.windows, .desktop] }
        if name.contains("mac os x") || name.contains("macintosh") { return [.macos, .desktop] }
        if name.contains("cros ") { return [.chromeos, .desktop] }
        if name.contains("linux") || name.contains("x11") { return [.linux, .desktop] }
        return []
    }
}

/// Addresses of visitors: one, a block, or numbers of which some may be anything.
public struct VisitorAddressPattern: Equatable, Sendable, CustomStringConvertible {
    public let description: String
    private let block: AddressBlock?
    /// Of an IPv4 address, nil for a star; empty where it is a block.
    private let numbers: [Int?]

    /// Nil for what is none.
    public init?(_ text: String) {
        description = text
        block = AddressBlock(parsing: text)
        var numbers: [Int?] = []
        if block == nil {
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 4, text.contains("*") else { return nil }
            for part in parts {
                let number = part == "*" ? nil : Int(part)
                guard part == "*" || number.map({ (0...255).contains($0) }) == true else { return nil }
                numbers.append(number)
            }
        }
        self.numbers = numbers
    }

    func contains(_ address: String) -> Bool {
        if let block { return IPAddress(parsing: address).map(block.contains) ?? false }
        let parts = address.split(separator: ".").map { Int($0) }
        return parts.count == 4 && zip(numbers, parts).allSatisfy { $0 == nil || $0 == $1 }
    }
}

/// A mailbox as SMTP has it (RFC 5321 section 4.1.2): `local@domain`, in ASCII.
public struct EmailAddress: Hashable, Sendable, CustomStringConvertible {
    public let local: String
    public let domain: String

    /// Bytes of the whole, of what stands before the @, and of what stands behind it (RFC 5321 section 4.5.3.1).
    static let limits = (whole: 254, local: 64, domain: 253)

    /// Nil for what is no address: also for one with blanks or controls, which could end a line of the protocol early.
    public init?(parsing text: String) {
        guard text.utf8.count <= Self.limits.whole, let at = text.utf8.lastIndex(of: UInt8(ascii: "@")) else {
            return nil
        }
        let local = String(text[..<at])
        let domain = String(text[text.utf8.index(after: at)...])
        guard Self.isLocal(local), Self.isDomain(domain) else { return nil }
        self.local = local
        self.domain = domain
    }

    public var description: String { "\(local)@\(domain)" }

    /// What two spellings of one mailbox have in common: almost every server takes large and small letters for the
    /// same.
    public var folded: String { description.lowercased() }

    private static func isLocal(_ text: String) -> Bool {
        guard (1...limits.local).contains(text.utf8.count) else { return false }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.allSatisfy { part in !part.isEmpty && part.allSatisfy(isAtom) }
    }

    private static func isAtom(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
        }
    }

    private static func isDomain(_ text: String) -> Bool {
        guard (1...limits.domain).contains(text.utf8.count) else { return false }
        let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return labels.allSatisfy { label in
            (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
                && label.allSatisfy {
                    isAtom($0) && ($0 == UInt8(ascii: "-") || !"!#$%&'*+/=?^_`{|}~".utf8.contains($0))
                }
        }
    }
}

import KernelStructures

/// A domain name (RFC 1035 §3.1): labels of 1 to 63 bytes, at most 255 bytes together, always absolute.
///
/// It is held as it travels, `7payment-3api…0`, so that a server neither takes it apart nor puts it together. Letters
/// are equal in either case (RFC 4343), and keep the case in which they came: resolvers that write `PaYmEnt-aPi` to
/// make answers harder to forge (draft-vixie-dnsext-dns0x20) look for exactly that in the answer.
public struct DNSName: Sendable, Hashable, CustomStringConvertible {
    /// Length, bytes, length, bytes …, 0.
    public let wire: [UInt8]

    public static let lengthLimitBytes = 255
    public static let labelLimitBytes = 63

    public static let root = DNSName(unchecked: [0])

    /// Bytes that are known to be a name.
    init(unchecked wire: [UInt8]) { self.wire = wire }

    /// Nil for labels that are empty or too long, and for more bytes than a name may have.
    public init?(labels: some Sequence<some Collection<UInt8>>) {
        var wire: [UInt8] = []
        for label in labels {
            guard (1...Self.labelLimitBytes).contains(label.count) else { return nil }
            wire.append(UInt8(label.count))
            wire.append(contentsOf: label)
        }
        wire.append(0)
        guard wire.count <= Self.lengthLimitBytes else { return nil }
        self.wire = wire
    }

    /// Reads a name as people and zone files write it: `a.example.`, the last dot optional, `\.` for a dot within a
    /// label, `\007` for any byte (RFC 1035 §5.1). Nil for anything else.
    public init?(parsing text: some StringProtocol) {
        if text == "." {
            self = .root
            return
        }
        var labels: [[UInt8]] = [[]]
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.popFirst() {
            switch byte {
            case UInt8(ascii: "."): labels.append([])
            case UInt8(ascii: "\\"):
                guard let escaped = Self.takeEscape(&bytes) else { return nil }
                labels[labels.count - 1].append(escaped)
            default: labels[labels.count - 1].append(byte)
            }
        }
        if labels.count > 1, labels[labels.count - 1].isEmpty { labels.removeLast() }
        self.init(labels: labels)
    }

    /// What follows a backslash: three digits, or the byte itself.
    static func takeEscape(_ bytes: inout ArraySlice<UInt8>) -> UInt8? {
        let digits = bytes.prefix(3)
        if let first = digits.first, first >= 48, first <= 57 {
            guard digits.count == 3, let number = UInt8(String(decoding: digits, as: UTF8.self)) else { return nil }
            bytes = bytes.dropFirst(3)
            return number
        }
        return bytes.popFirst()
    }

    // MARK: Parts

    /// From the left, without the root's.
    public var labels: [ArraySlice<UInt8>] {
        var labels: [ArraySlice<UInt8>] = []
        var position = 0
        while position < wire.count, wire[position] > 0 {
            let end = position + 1 + Int(wire[position])
            labels.append(wire[(position + 1)..<end])
            position = end
        }
        return labels
    }

    /// Labels as text in lower case; what is no UTF-8 is replaced.
    public var words: [String] { labels.map { String(decoding: $0, as: UTF8.self).lowercased() } }

    public var isRoot: Bool { wire.count == 1 }

    /// Whether it is `zone` or below it.
    public func isWithin(_ zone: DNSName) -> Bool {
        var position = 0
        while wire.count - position > zone.wire.count, wire[position] > 0 { position += 1 + Int(wire[position]) }
        return wire.count - position == zone.wire.count
            && zip(wire[position...], zone.wire).allSatisfy { Self.lowered($0) == Self.lowered($1) }
    }

    /// A name below this one; nil if that is too long.
    public func prefixed(by labels: String...) -> DNSName? {
        DNSName(labels: labels.map { Array($0.utf8)[...] } + self.labels)
    }

    /// In presentation form, with the dot at its end.
    public var description: String {
        if isRoot { return "." }
        var text: [UInt8] = []
        for label in labels {
            for byte in label { Self.present(byte, ".;\\\"()@$", into: &text) }
            text.append(UInt8(ascii: "."))
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// A byte, escaped if it is one of those, or cannot be printed.
    static func present(_ byte: UInt8, _ special: StaticString, into text: inout [UInt8]) {
        let isSpecial = special.withUTF8Buffer { $0.contains(byte) }
        if isSpecial {
            text += [UInt8(ascii: "\\"), byte]
        } else if byte > 32, byte < 127 {
            text.append(byte)
        } else {
            text += Array("\\\(padded(Int(byte), 3))".utf8)
        }
    }

    // MARK: Equality

    @inline(__always) static func lowered(_ byte: UInt8) -> UInt8 {
        byte >= 65 && byte <= 90 ? byte | 0x20 : byte
    }

    /// Lengths are below 64, so no length is taken for a letter.
    public static func == (a: DNSName, b: DNSName) -> Bool {
        a.wire.count == b.wire.count && zip(a.wire, b.wire).allSatisfy { lowered($0) == lowered($1) }
    }

    public func hash(into hasher: inout Hasher) { for byte in wire { hasher.combine(Self.lowered(byte)) } }
}

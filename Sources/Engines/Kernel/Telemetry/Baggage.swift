/// What travels with a request for everybody on its way: W3C Baggage, the field `baggage`.
///
/// ```
/// baggage = member { "," member }                          ; at most 64 members, 8,192 bytes
/// member  = key "=" value { ";" property }                 ; key: a token; value: percent-encoded
/// ```
///
/// An everyday picture: a note pinned to the docket of a parcel, `customer=gold`. Everybody may read it, and whoever
/// pins one should know that everybody does.
///
/// Where it is wrong: it grows with every hop that adds to it, and nothing says who may believe it.
public struct Baggage: Equatable, Sendable {
    public struct Member: Equatable, Sendable {
        public let key: String
        /// Decoded.
        public let value: String
        /// As they came, without the first semicolon; empty if there are none.
        public let properties: String
    }

    public private(set) var members: [Member] = []

    public static let memberLimit = 64
    public static let byteLimit = 8192

    public init() {}

    /// Reads the fields of a request, which count as one list. A member that cannot be read is left out, and so are
    /// those beyond the limits: the rest goes on (§3.2 leaves it to the receiver).
    public init(parsing fields: [String]) {
        var byteCount = 0
        for field in fields {
            for part in field.split(separator: ",") {
                byteCount += part.utf8.count + 1
                guard byteCount <= Self.byteLimit + 1, members.count < Self.memberLimit else { return }
                if let member = Self.member(part), self[member.key] == nil { members.append(member) }
            }
        }
    }

    public var isEmpty: Bool { members.isEmpty }
    public subscript(key: String) -> String? { members.first { $0.key == key }?.value }

    /// Sets a member; false where the key is no token, or there is no room for it.
    public mutating func set(_ key: String, _ value: String) -> Bool {
        guard !key.isEmpty, key.utf8.allSatisfy(Self.isTokenByte) else { return false }
        var changed = self
        changed.members.removeAll { $0.key == key }
        changed.members.append(Member(key: key, value: value, properties: ""))
        guard changed.members.count <= Self.memberLimit, changed.fieldValue.utf8.count <= Self.byteLimit else {
            return false
        }
        self = changed
        return true
    }

    /// The field's value.
    public var fieldValue: String {
        members.map { member in
            "\(member.key)=\(Self.encoded(member.value))" + (member.properties.isEmpty ? "" : ";\(member.properties)")
        }.joined(separator: ",")
    }

    // MARK: Grammar

    private static func member(_ text: Substring) -> Member? {
        let parts = text.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        let pair = parts[0].split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard pair.count == 2 else { return nil }
        let key = trimmed(pair[0])
        guard !key.isEmpty, key.utf8.allSatisfy(isTokenByte), let value = decoded(trimmed(pair[1])) else { return nil }
        let properties = parts.count == 2 ? trimmed(parts[1]) : ""
        guard properties.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { return nil }
        return Member(key: String(key), value: value, properties: String(properties))
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var rest = text.drop { $0 == " " || $0 == "\t" }
        while let last = rest.last, last == " " || last == "\t" { rest = rest.dropLast() }
        return rest
    }

    /// RFC 9110 §5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && !"\"(),/:;<=>?@[\\]{}".utf8.contains(byte)
    }

    /// baggage-octet: printable, without blank, quote, comma, semicolon and backslash.
    private static func isValueByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && !"\",;\\".utf8.contains(byte)
    }

    /// Nil for what is no percent-encoded text; what is not UTF-8 becomes U+FFFD (§3.3.1.3).
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard isValueByte(byte) else { return nil }
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        Character(UnicodeScalar(byte)).hexDigitValue.map { UInt8($0) }
    }

    private static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if isValueByte(byte), byte != UInt8(ascii: "%") {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

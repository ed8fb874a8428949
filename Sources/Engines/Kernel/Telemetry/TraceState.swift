/// What systems along the way keep about a trace for themselves: `tracestate` (§3.3), a list of at most 32 members, the
/// newest first.
///
/// ```
/// list   = member { "," member }          ; blanks around members, and empty members, are allowed
/// member = key "=" value
/// key    = lower { char }                 ; at most 256
///        | first { char } "@" lower { char }   ; a tenant of at most 241, and a system of at most 14
/// char   = lower | digit | "_" | "-" | "*" | "/"
/// value  = 1 to 256 printable characters, without "," and "=", the last no blank
/// ```
public struct TraceState: Equatable, Sendable, CustomStringConvertible {
    public private(set) var members: [(key: String, value: String)]

    public static let memberLimit = 32

    public init() { members = [] }

    /// Reads a list that may be spread over several fields, in their order.
    ///
    /// - Throws: `TraceContextError` for a member that is none, a key that stands there twice, or more than 32 members.
    public init(parsing fields: [String]) throws(TraceContextError) {
        members = []
        for field in fields {
            for part in field.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
                let text = Self.trimmed(part)
                if text.isEmpty { continue }
                guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else { throw .badMember(Self.text(text)) }
                let key = text[..<equals]
                let value = text[text.index(after: equals)...]
                guard Self.isKey(key), Self.isValue(value) else { throw .badMember(Self.text(text)) }
                let name = Self.text(key)
                guard self[name] == nil else { throw .duplicateMember(name) }
                guard members.count < Self.memberLimit else { throw .tooManyMembers }
                members.append((name, Self.text(value)))
            }
        }
    }

    public var isEmpty: Bool { members.isEmpty }
    public subscript(key: String) -> String? { members.first { $0.key == key }?.value }

    /// Sets a member, which becomes the first; the last gives way if there are more than 32 then (§3.5).
    ///
    /// - Throws: `badMember`.
    public mutating func set(_ key: String, _ value: String) throws(TraceContextError) {
        guard Self.isKey(key.utf8[...]), Self.isValue(value.utf8[...]) else { throw .badMember("\(key)=\(value)") }
        remove(key)
        members.insert((key, value), at: 0)
        if members.count > Self.memberLimit { members.removeLast() }
    }

    public mutating func remove(_ key: String) { members.removeAll { $0.key == key } }

    public static func == (a: TraceState, b: TraceState) -> Bool { a.description == b.description }

    public var description: String { members.map { "\($0.key)=\($0.value)" }.joined(separator: ",") }

    // MARK: Grammar

    private static func text(_ bytes: Substring.UTF8View) -> String { String(Substring(bytes)) }

    private static func trimmed(_ bytes: Substring.UTF8View) -> Substring.UTF8View {
        let blanks: [UInt8] = [UInt8(ascii: " "), UInt8(ascii: "\t")]
        var rest = bytes.drop { blanks.contains($0) }
        while let last = rest.last, blanks.contains(last) { rest = rest.dropLast() }
        return rest
    }

    private static func isLower(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    private static func isKeyByte(_ byte: UInt8) -> Bool {
        isLower(byte) || isDigit(byte) || "_-*/".utf8.contains(byte)
    }

    private static func isKey(_ key: Substring.UTF8View) -> Bool {
        let parts = key.split(separator: UInt8(ascii: "@"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts[0].first else { return false }
        if parts.count == 1 { return isLower(first) && key.count <= 256 && key.allSatisfy(isKeyByte) }
        guard let system = parts[1].first else { return false }
        return (isLower(first) || isDigit(first)) && parts[0].count <= 241 && parts[0].allSatisfy(isKeyByte)
            && isLower(system) && parts[1].count <= 14 && parts[1].allSatisfy(isKeyByte)
    }

    private static func isValue(_ value: Substring.UTF8View) -> Bool {
        guard let last = value.last, last != UInt8(ascii: " "), value.count <= 256 else { return false }
        return value.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "=") }
    }
}

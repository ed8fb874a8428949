import KernelStructures

/// Cookies as a server sees and sets them: RFC 6265 §4, with the prefixes and `SameSite` of its successor (RFC
/// 6265bis).
///
/// A server reads what clients made of its own cookies, and of others' on the same domain. So reading is forgiving
/// (what is no `name=value` is passed over), and writing is strict: nothing leaves that a client would understand
/// otherwise.
public struct HTTPCookie: Equatable, Sendable {
    public enum SameSite: String, Sendable { case strict = "Strict", lax = "Lax", none = "None" }

    public let name: String
    public let value: String
    /// The directory it is sent to; nil for that of the request it answers.
    public var path: String?
    /// Sent to that domain and all below it; nil for the host that set it, and for none else.
    public var domain: String?
    /// How long it is kept; nil until the browser is closed. Zero deletes it.
    public var lifetime: LabDuration?
    public var isSecure = false
    /// Out of reach of scripts.
    public var isHTTPOnly = false
    public var sameSite: SameSite?

    /// A cookie that no client could read as it was meant.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible { public let description: String }

    /// Bytes of name and value together: RFC 6265 §6.1 promises no more.
    public static let limitBytes = 4096

    /// - Throws: `Malformed` for a name that is no token, and for a value with blanks, quotes, commas, semicolons,
    ///   backslashes, or anything beyond ASCII: encode such a value first.
    public init(_ name: String, _ value: String) throws(Malformed) {
        guard HTTPToken.isValid(name) else { throw Malformed(description: "cookie '\(name)': the name is no token") }
        guard value.utf8.allSatisfy(Self.isOfValue) else {
            throw Malformed(description: "cookie '\(name)': the value has bytes that must be encoded")
        }
        guard name.utf8.count + value.utf8.count <= Self.limitBytes else {
            throw Malformed(description: "cookie '\(name)': longer than \(Self.limitBytes) bytes")
        }
        self.name = name
        self.value = value
    }

    /// RFC 6265 §4.1.1: `cookie-octet`.
    private static func isOfValue(_ byte: UInt8) -> Bool {
        byte > 32 && byte < 127 && byte != 34 && byte != 44 && byte != 59 && byte != 92
    }

    /// The value of a `Set-Cookie` field.
    ///
    /// - Throws: `Malformed` for what clients drop: a path or domain that ends the attribute early, `__Secure-` and
    ///   `__Host-` without what they promise, `SameSite=None` without `Secure`.
    public func fieldValue() throws(Malformed) -> String {
        for (what, text) in [("path", path), ("domain", domain)] {
            guard let text else { continue }
            guard text.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != 59 }) else {
                throw Malformed(description: "cookie '\(name)': its \(what) cannot stand in a field")
            }
        }
        let lowered = name.lowercased()
        if lowered.hasPrefix("__secure-") || lowered.hasPrefix("__host-") || sameSite == .some(.none), !isSecure {
            throw Malformed(description: "cookie '\(name)' must be secure, or no client keeps it")
        }
        if lowered.hasPrefix("__host-"), domain != nil || path != "/" {
            throw Malformed(description: "cookie '\(name)' must have the path / and no domain, or no client keeps it")
        }
        var text = "\(name)=\(value)"
        if let path { text += "; Path=\(path)" }
        if let domain { text += "; Domain=\(domain)" }
        if let lifetime { text += "; Max-Age=\(max(0, lifetime.nanoseconds / 1_000_000_000))" }
        if isSecure { text += "; Secure" }
        if isHTTPOnly { text += "; HttpOnly" }
        if let sameSite { text += "; SameSite=\(sameSite.rawValue)" }
        return text
    }

    /// Reads the value of a `Cookie` field. Of two with one name the first is the closer one (RFC 6265 §5.4), and stays
    /// first here.
    public static func read(_ field: some StringProtocol) -> [(name: String, value: String)] {
        field.split(separator: ";").compactMap { pair in
            guard let equals = pair.firstIndex(of: "=") else { return nil }
            let name = trimmed(pair[..<equals])
            var value = trimmed(pair[pair.index(after: equals)...])
            if value.utf8.count >= 2, value.first == "\"", value.last == "\"" { value = value.dropFirst().dropLast() }
            return HTTPToken.isValid(String(name)) ? (String(name), String(value)) : nil
        }
    }

    private static func trimmed<Text: StringProtocol>(_ text: Text) -> Text.SubSequence
    where Text.SubSequence: StringProtocol, Text.SubSequence.SubSequence == Text.SubSequence {
        var slice = text[...]
        while let first = slice.first, first == " " || first == "\t" { slice = slice.dropFirst() }
        while let last = slice.last, last == " " || last == "\t" { slice = slice.dropLast() }
        return slice
    }
}

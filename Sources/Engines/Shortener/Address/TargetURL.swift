import KernelStructures

/// Where a link leads: an address that a browser understands as we do.
///
/// ## The problem
///
/// A shortener sends browsers to what strangers typed. A browser reads `https:\\example.com` as `https://example.com/`,
/// `http://0x7f.1/` as `http://127.0.0.1/`, and drops a newline in the middle of a word. Whoever checks the text as it
/// was typed and hands it on unread checks something else than what is visited; and a line end that gets into a
/// `Location` header makes two headers of one.
///
/// ## How
///
/// The text is parsed by the rules that browsers follow (WHATWG URL, sections 3.5 and 4.4, as far as they concern
/// `http` and `https` without a base), and written out again from its parts. Only what was understood is stored:
/// characters that have a meaning are kept, all others are percent-encoded, so nothing in it can end a header line.
/// Names outside of ASCII become what is asked of the DNS (`xn--…`), by the tables that browsers use (ICU's).
///
/// ## Where it is wrong
///
/// The tables are those of the installed ICU: a letter that is newer than it is refused. And a name that looks like
/// another one (a Cyrillic `а`) is a good name.
public struct TargetURL: Hashable, Sendable, CustomStringConvertible {
    public enum Scheme: String, Sendable {
        case http, https
        var defaultPort: Int { self == .http ? 80 : 443 }
    }

    public let scheme: Scheme
    public let user: String
    public let password: String
    /// As it is written: a name in lower case, an IPv4 address with four numbers, an IPv6 address in brackets.
    public let host: String
    /// Nil for the scheme's own.
    public let port: Int?
    /// Begins with `/`.
    public let path: String
    /// With `?`; empty if there is none.
    public let query: String
    /// With `#`; empty if there is none.
    public let fragment: String

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
        public let remedy: String

        init(_ description: String, remedy: String = "give an address such as https://example.com/path") {
            self.description = description
            self.remedy = remedy
        }
    }

    /// Bytes of an address; browsers and servers stop at about this.
    public static let limitBytes = 8000

    /// - Throws: what is wrong with it, and how it should be.
    public init(parsing text: String) throws(Malformed) {
        guard text.utf8.count <= Self.limitBytes else {
            throw Malformed("the address has more than \(Self.limitBytes) bytes", remedy: "give a shorter one")
        }
        var rest = Self.cleaned(text)[...]
        scheme = try Self.takeScheme(&rest)
        rest = rest.drop { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
        let authority = rest.prefix { !Self.endsAuthority.contains($0) }
        rest = rest[authority.endIndex...]
        var place = authority
        (user, password) = Self.takeCredentials(&place)
        (host, port) = try Self.hostAndPort(place, scheme)
        let path = rest.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        rest = rest[path.endIndex...]
        self.path = Self.normalized(path)
        let query = rest.prefix { $0 != UInt8(ascii: "#") }
        self.query = Self.part(query, .query)
        fragment = Self.part(rest[query.endIndex...], .fragment)
    }

    public var hasCredentials: Bool { !user.isEmpty || !password.isEmpty }

    public var description: String {
        var text = scheme.rawValue + "://"
        if hasCredentials { text += user + (password.isEmpty ? "" : ":" + password) + "@" }
        return text + host + (port.map { ":\($0)" } ?? "") + path + query + fragment
    }

    /// The same with more of a path and of a query: what the visitor brought is handed on. Of two values of one name
    /// his is the one that counts.
    ///
    /// - Parameter path: begins with a slash, or is empty.
    public func adding(path more: String = "", query brought: String) -> String {
        if more.isEmpty, brought.isEmpty { return description }
        let joined = (path.hasSuffix("/") && !more.isEmpty ? String(path.dropLast()) : path) + more
        let names = Set(brought.split(separator: "&").map(Self.name))
        let kept = query.dropFirst().split(separator: "&").filter { !names.contains(Self.name($0)) }
        let items = kept + (brought.isEmpty ? [] : [brought[...]])
        return replacing(
            path: more.isEmpty ? path : Self.normalized(Array(joined.utf8)[...]),
            query: brought.isEmpty
                ? query : "?" + PercentCoding.encode(items.joined(separator: "&").utf8, .query))
    }

    /// Of an item of a query.
    private static func name(_ item: Substring) -> [UInt8] {
        PercentCoding.decode(Array(item.utf8.prefix { $0 != UInt8(ascii: "=") })[...])
    }

    /// The same at another place of the same host.
    ///
    /// - Parameters:
    ///   - path: as it stands in an address.
    ///   - query: with `?`, as it stands there; or empty.
    func replacing(path: String, query: String) -> String {
        var text = description
        text.removeLast(self.path.utf8.count + self.query.utf8.count + fragment.utf8.count)
        return text + path + query + fragment
    }

    // MARK: Parts

    private static let endsAuthority: Set<UInt8> = Set("/\\?#".utf8)

    /// Without controls and blanks at the ends, and without tabs and line ends anywhere: so browsers read it.
    private static func cleaned(_ text: String) -> [UInt8] {
        let inner = text.utf8.drop { $0 <= 32 }
        let count = inner.count - inner.reversed().prefix { $0 <= 32 }.count
        return inner.prefix(count).filter { $0 != 9 && $0 != 10 && $0 != 13 }
    }

    private static func takeScheme(_ rest: inout ArraySlice<UInt8>) throws(Malformed) -> Scheme {
        func isLetter(_ byte: UInt8) -> Bool { byte | 32 >= 97 && byte | 32 <= 122 }
        let name = rest.prefix { isLetter($0) || (48...57).contains($0) || "+-.".utf8.contains($0) }
        guard let first = name.first, isLetter(first), rest.dropFirst(name.count).first == UInt8(ascii: ":") else {
            throw Malformed("the address has no scheme")
        }
        let word = String(decoding: name, as: UTF8.self).lowercased()
        guard let scheme = Scheme(rawValue: word) else {
            throw Malformed("'\(word.prefix(40)):' is not a scheme to send visitors to", remedy: "use http: or https:")
        }
        rest = rest.dropFirst(name.count + 1)
        return scheme
    }

    private static func takeCredentials(_ place: inout ArraySlice<UInt8>) -> (String, String) {
        guard let at = place.lastIndex(of: UInt8(ascii: "@")) else { return ("", "") }
        let both = place[..<at]
        place = place[(at + 1)...]
        let name = both.prefix { $0 != UInt8(ascii: ":") }
        return (
            PercentCoding.encode(name, .userinfo), PercentCoding.encode(both[name.endIndex...].dropFirst(), .userinfo)
        )
    }

    private static func hostAndPort(
        _ place: ArraySlice<UInt8>, _ scheme: Scheme
    ) throws(Malformed) -> (String, Int?) {
        var name = place
        var port: Int?
        let bracket = place.lastIndex(of: UInt8(ascii: "]")) ?? place.startIndex - 1
        if let colon = place.lastIndex(of: UInt8(ascii: ":")), colon > bracket {
            name = place[..<colon]
            // One colon only: `a:b:80` is no host.
            if name.firstIndex(of: UInt8(ascii: ":")).map({ $0 > bracket }) == true {
                throw Malformed("the host has a ':' in it")
            }
            let digits = place[(colon + 1)...]
            if !digits.isEmpty {
                guard digits.allSatisfy({ (48...57).contains($0) }),
                    let number = Int(
                        String(decoding: digits.drop { $0 == 48 }.prefix(6), as: UTF8.self).isEmpty
                            ? "0" : String(decoding: digits.drop { $0 == 48 }.prefix(6), as: UTF8.self)),
                    number <= 65535
                else { throw Malformed("the port is not a number of 0 to 65535") }
                port = number == scheme.defaultPort ? nil : number
            }
        }
        return (try HostName.parse(name), port)
    }

    /// `.` and `..` are followed; a backslash is a slash.
    private static func normalized(_ path: ArraySlice<UInt8>) -> String {
        var segments: [ArraySlice<UInt8>] = []
        let parts = path.split(omittingEmptySubsequences: false) { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
        // What stands before the first slash is nothing.
        let inner = parts.dropFirst()
        for (offset, part) in inner.enumerated() {
            let isLast = offset == inner.count - 1
            switch String(decoding: part, as: UTF8.self).lowercased().replacing("%2e", with: ".") {
            case "..":
                if !segments.isEmpty { segments.removeLast() }
                if isLast { segments.append([]) }
            case ".": if isLast { segments.append([]) }
            default: segments.append(part)
            }
        }
        return "/" + segments.map { PercentCoding.encode($0, .path) }.joined(separator: "/")
    }

    /// A query or fragment with the sign before it; a lone sign stands for itself.
    private static func part(_ bytes: ArraySlice<UInt8>, _ set: PercentCoding.Set) -> String {
        guard let sign = bytes.first else { return "" }
        return String(UnicodeScalar(sign)) + PercentCoding.encode(bytes.dropFirst(), set)
    }
}

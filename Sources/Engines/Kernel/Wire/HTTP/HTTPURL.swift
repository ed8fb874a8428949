import KernelStructures

/// An `http` or `https` URL, RFC 3986 and RFC 9110 §4.2: whom to ask, and for what.
///
/// What is kept is what is needed to ask: the fragment goes (it is the client's own affair), a missing path is `/`, and
/// dot segments are resolved, as they would be before sending.
public struct HTTPURL: Hashable, Sendable {
    public enum Scheme: String, Sendable {
        case http, https
        public var defaultPort: UInt16 { self == .http ? 80 : 443 }
    }

    public var scheme: Scheme
    /// `user` or `user:password` as it stood before the `@`, still encoded.
    public var user: String?
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    public var host: String
    public var port: UInt16
    /// Whether the port was written, even if it is the usual one.
    public var hasPort: Bool
    /// Path and query, from the first `/` on: the request's target.
    public var target: String

    /// Why a text is no such URL.
    public enum Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        /// Another scheme than `http` and `https`.
        case scheme(String)
        case noHost
        case port(String)
        /// What stands in brackets is no address.
        case address(String)
        /// A host that can be none, or a character that must be percent-encoded.
        case character

        public var description: String {
            switch self {
            case .scheme(let scheme): "'\(scheme)' is not spoken here; use http:// or https://"
            case .noHost: "a URL needs a host: http://localhost:8080/"
            case .port(let text): "'\(text)' is not a port of 1 to 65535"
            case .address(let text): text
            case .character: "blanks, control characters and the like must be percent-encoded in a URL"
            }
        }
    }

    /// Bytes; longer ones are refused.
    static let limitBytes = 1 << 20

    public init(scheme: Scheme = .http, host: String, port: UInt16, target: String = "/") {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target
        hasPort = port != scheme.defaultPort
    }

    /// Reads a URL; one without a scheme is `http`, as people write it.
    ///
    /// - Throws: `Malformed`.
    public init(_ text: some StringProtocol) throws(Malformed) {
        var rest = Substring(text)
        guard rest.utf8.count <= Self.limitBytes else { throw .character }
        scheme = .http
        if let range = rest.firstRange(of: "://"), !rest[..<range.lowerBound].contains(where: { "/?#".contains($0) }) {
            let word = rest[..<range.lowerBound].lowercased()
            guard let known = Scheme(rawValue: word) else { throw .scheme(word) }
            scheme = known
            rest = rest[range.upperBound...]
        }
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        var authority = rest[..<end]
        let tail = rest[end...].prefix { $0 != "#" }
        if let at = authority.lastIndex(of: "@") {
            user = String(authority[..<at])
            authority = authority[authority.index(after: at)...]
        }
        (host, port, hasPort) = try Self.hostAndPort(authority, scheme)
        let isSent = { (byte: UInt8) in byte > 32 && byte != 127 }
        guard tail.utf8.allSatisfy(isSent), (user ?? "").utf8.allSatisfy(isSent) else { throw .character }
        target = Self.withoutDotSegments(tail.hasPrefix("/") ? String(tail) : "/" + tail)
    }

    private static func hostAndPort(_ authority: Substring, _ scheme: Scheme) throws(Malformed)
        -> (host: String, port: UInt16, hasPort: Bool)
    {
        var host = authority
        var digits: Substring?
        if host.hasPrefix("[") {
            guard let close = host.firstIndex(of: "]") else { throw .address("Bad IPv6 address") }
            let rest = host[host.index(after: close)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw .address("Bad IPv6 address") }
            if !rest.isEmpty { digits = rest.dropFirst() }
            host = host[host.index(after: host.startIndex)..<close]
            let address: String
            do throws(HostPort.Malformed) { address = try HostPort.address(inBrackets: host) } catch {
                throw .address(error.description)
            }
            return (address, try Self.port(digits, scheme), !(digits ?? "").isEmpty)
        } else if let colon = host.lastIndex(of: ":") {
            digits = host[host.index(after: colon)...]
            host = host[..<colon]
        }
        let port = try Self.port(digits, scheme)
        if host.isEmpty { throw .noHost }
        let isOfHost = { (byte: UInt8) in byte > 32 && byte != 127 && !"\"<>\\^`{|}[]:".utf8.contains(byte) }
        guard host.utf8.allSatisfy(isOfHost) else { throw .character }
        return (String(host), port, !(digits ?? "").isEmpty)
    }

    /// The digits behind the colon; without any, the usual port.
    private static func port(_ digits: Substring?, _ scheme: Scheme) throws(Malformed) -> UInt16 {
        guard let digits, !digits.isEmpty else { return scheme.defaultPort }
        guard digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let number = UInt16(digits), number > 0 else {
            throw .port(String(digits))
        }
        return number
    }

    // MARK: References

    /// What a reference (a `Location`, a link) means, seen from here: RFC 3986 §5.2.
    ///
    /// - Throws: `Malformed`.
    public func resolving(_ reference: some StringProtocol) throws(Malformed) -> HTTPURL {
        let text = Substring(reference)
        let beginning = text.prefix { !"/?#".contains($0) }
        if beginning.hasSuffix(":"), text[beginning.endIndex...].hasPrefix("//") { return try HTTPURL(text) }
        // A scheme without `//` (`mailto:me`) leads out of HTTP: RFC 3986 §4.2 forbids a colon in a first segment.
        if let colon = beginning.firstIndex(of: ":"), Self.isScheme(beginning[..<colon]) {
            throw .scheme(beginning[..<colon].lowercased())
        }
        if text.hasPrefix("//") { return try HTTPURL("\(scheme.rawValue):\(text)") }
        let path = target.prefix { $0 != "?" }
        var joined: String
        switch text.first {
        case nil, "#": joined = target
        case "/": joined = String(text)
        case "?": joined = String(path) + text
        default: joined = String(path[...(path.lastIndex(of: "/") ?? path.startIndex)]) + text
        }
        joined = String(joined.prefix { $0 != "#" })
        guard joined.utf8.allSatisfy({ $0 > 32 && $0 != 127 }), joined.utf8.count <= Self.limitBytes else {
            throw .character
        }
        var url = self
        url.target = Self.withoutDotSegments(joined)
        return url
    }

    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.first, first.isASCII, first.isLetter else { return false }
        return text.utf8.allSatisfy { byte in
            PercentCoding.isUnreserved(byte) && byte != 95 && byte != 126 || byte == UInt8(ascii: "+")
        }
    }

    /// RFC 3986 §5.2.4 on the path, which begins with `/`; the query stays as it is.
    static func withoutDotSegments(_ target: String) -> String {
        let path = target.prefix { $0 != "?" }
        guard path.contains("/.") else { return target }
        var segments: [Substring] = []
        for segment in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            if segment == ".." { _ = segments.popLast() } else if segment != "." { segments.append(segment) }
        }
        if path.hasSuffix("/.") || path.hasSuffix("/..") { segments.append("") }
        return "/" + segments.joined(separator: "/") + target.dropFirst(path.count)
    }

    // MARK: Writing

    public var destination: HostPort { HostPort(host: host, port: port) }
    /// The path alone.
    public var path: String { String(target.prefix { $0 != "?" }) }
    /// The value of the `Host` field: the usual port is left out.
    public var authority: String { port == scheme.defaultPort ? destination.bracketedHost : destination.description }
    public var text: String {
        "\(scheme.rawValue)://\(hasPort ? destination.description : destination.bracketedHost)\(target)"
    }
    /// Whether cookies and credentials for one may go to the other: scheme, host and port (RFC 6454 §5).
    public func hasSameOrigin(as other: HTTPURL) -> Bool {
        scheme == other.scheme && port == other.port && host.lowercased() == other.host.lowercased()
    }
}

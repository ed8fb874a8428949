import KernelStructures

/// One element of the `Forwarded` field, RFC 7239 §4: what one proxy says about the request that it received.
///
/// `X-Forwarded-For` is a list of addresses by custom; this is the standard that came after it, in which every proxy
/// adds one element with as much as it wants to say:
///
/// ```
/// Forwarded: for=192.0.2.43;proto=http;host=example.com, for="[2001:db8::17]:4711";by=203.0.113.60
/// field   = element *( "," element )         element = pair *( ";" pair )        pair = name "=" value
/// node    = ( IPv4 | "[" IPv6 "]" | "unknown" | "_" name ) [ ":" ( port | "_" name ) ]
/// ```
///
/// The first element is the farthest from whoever reads it, and the least to be believed: all but those of one's own
/// proxies may have been sent by the client.
public struct ForwardedElement: Equatable, Sendable {
    /// `for`: who made the request.
    public var client: ForwardedNode?
    /// `by`: where the proxy received it.
    public var receiver: ForwardedNode?
    /// `host`: the `Host` field as the proxy received it.
    public var host: String?
    /// `proto`: `http` or `https`.
    public var scheme: String?
    /// What else there is, names in lower case, in order.
    public var extensions: [Extension] = []

    /// A parameter that RFC 7239 does not define (§5.5).
    public struct Extension: Equatable, Sendable {
        /// A token, in lower case.
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public init(
        client: ForwardedNode? = nil, receiver: ForwardedNode? = nil, host: String? = nil, scheme: String? = nil,
        extensions: [Extension] = []
    ) {
        self.client = client
        self.receiver = receiver
        self.host = host
        self.scheme = scheme
        self.extensions = extensions
    }

    // MARK: Writing

    /// Writes the element: `for=192.0.2.43;by="10.0.0.1:80";host=example.com;proto=http`. Values that are no tokens are
    /// quoted.
    ///
    /// What cannot be written without harm is left out: a host or scheme that is none, an extension whose name is not a
    /// token in lower case or has a meaning already, and a value with control characters.
    public func append(to out: inout [UInt8]) {
        let start = out.count
        func add(_ name: String, _ value: String) {
            if out.count > start { out.append(UInt8(ascii: ";")) }
            out.append(utf8: name)
            out.append(UInt8(ascii: "="))
            Self.append(value: value, to: &out)
        }
        if let client, client.isValid { add("for", client.description) }
        if let receiver, receiver.isValid { add("by", receiver.description) }
        if let host, Self.isHost(host) { add("host", host) }
        if let scheme, Self.isScheme(scheme) { add("proto", scheme) }
        var names: Set<String> = ["for", "by", "host", "proto"]
        for one in extensions where Self.isName(one.name) && Self.isText(one.value) && names.insert(one.name).inserted {
            add(one.name, one.value)
        }
    }

    private static func append(value: String, to out: inout [UInt8]) {
        if !value.isEmpty, value.utf8.allSatisfy(isToken) { return out.append(utf8: value) }
        out.append(UInt8(ascii: "\""))
        for byte in value.utf8 {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { out.append(UInt8(ascii: "\\")) }
            out.append(byte)
        }
        out.append(UInt8(ascii: "\""))
    }

    // MARK: What is what

    static func isName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { isToken($0) && lowered($0) == $0 }
    }

    /// Nothing that ends a line or confuses a terminal.
    static func isText(_ text: String) -> Bool { text.utf8.allSatisfy(isText) }
    static func isText(_ byte: UInt8) -> Bool { byte >= 32 ? byte != 127 : byte == 9 }

    /// The characters of a host and a port, RFC 3986 §3.2.2; more is not checked, as servers do not either.
    static func isHost(_ host: String) -> Bool {
        !host.isEmpty && host.utf8.allSatisfy { isAlphanumeric($0) || "-._~%!$&'()*+,;=:[]".utf8.contains($0) }
    }

    /// RFC 3986 §3.1.
    static func isScheme(_ scheme: String) -> Bool {
        guard let first = scheme.utf8.first, isAlphanumeric(first), first > 57 else { return false }
        return scheme.utf8.allSatisfy { isAlphanumeric($0) || "+-.".utf8.contains($0) }
    }

    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        byte >= 48 && byte <= 57 || lowered(byte) >= 97 && lowered(byte) <= 122
    }
}

/// Who made or received a request, RFC 7239 §6: an address, nobody known, or a name that only the proxy understands.
public struct ForwardedNode: Hashable, Sendable, CustomStringConvertible {
    public enum Name: Hashable, Sendable {
        case address(IPAddress)
        case unknown
        /// Letters, digits, `.`, `_` and `-`, without the `_` that is written before them; at least one.
        case hidden(String)
    }

    public enum Port: Hashable, Sendable {
        case number(UInt16)
        /// As in `Name`.
        case hidden(String)
    }

    public var name: Name
    public var port: Port?

    public init(_ name: Name, port: Port? = nil) {
        self.name = name
        self.port = port
    }

    /// An end of a connection; a Unix socket is `unknown`, as the field has no words for paths.
    ///
    /// - Parameter withPort: behind translators of addresses, only the port tells clients apart.
    public init(_ endpoint: ProxyEndpoint, withPort: Bool = false) {
        switch endpoint {
        case .internet(let endpoint): name = .address(endpoint.address)
        case .unix: name = .unknown
        }
        port = withPort ? endpoint.port.map { .number($0) } : nil
    }

    /// Reads a node, without quotes: `192.0.2.43`, `[2001:db8::17]:4711`, `unknown`, `_hidden:_p`. Nil for anything
    /// else.
    public init?(parsing text: some StringProtocol) {
        var rest = text[...]
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]"), let address = IPv6Address(parsing: text[..<end].dropFirst())
            else {
                return nil
            }
            name = .address(IPAddress(address))
            rest = text[text.index(after: end)...]
        } else {
            let word = text.prefix { $0 != ":" }
            if let address = IPv4Address(parsing: word) {
                name = .address(IPAddress(address))
            } else if word.utf8.elementsEqual("unknown".utf8, by: { lowered($0) == $1 }) {
                name = .unknown
            } else if let hidden = Self.hidden(word) {
                name = .hidden(hidden)
            } else {
                return nil
            }
            rest = text[word.endIndex...]
        }
        guard !rest.isEmpty else { return }
        guard rest.first == ":" else { return nil }
        rest = rest.dropFirst()
        if let hidden = Self.hidden(rest) {
            port = .hidden(hidden)
        } else {
            guard (1...5).contains(rest.utf8.count), rest.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
                let number = UInt16(rest)
            else { return nil }
            port = .number(number)
        }
    }

    private static func hidden(_ text: some StringProtocol) -> String? {
        guard text.first == "_", isHidden(text.dropFirst()) else { return nil }
        return String(text.dropFirst())
    }

    private static func isHidden(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { ForwardedElement.isAlphanumeric($0) || "._-".utf8.contains($0) }
    }

    /// Whether hidden names consist of what they may.
    var isValid: Bool {
        if case .hidden(let text) = name, !Self.isHidden(text) { return false }
        if case .hidden(let text)? = port, !Self.isHidden(text) { return false }
        return true
    }

    public var description: String {
        let host =
            switch name {
            case .address(let address): address.bracketed
            case .unknown: "unknown"
            case .hidden(let text): "_" + text
            }
        switch port {
        case .number(let number): return "\(host):\(number)"
        case .hidden(let text): return "\(host):_\(text)"
        case nil: return host
        }
    }
}

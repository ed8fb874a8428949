/// A destination as a person writes it: a host's name or address, and a port.
///
/// ```
/// destination = [ host ":" ] port          8081, users:80, 10.0.0.1:80, [::1]:8081
/// host        = name | IPv4 | "[" IPv6 "]"
/// port        = 1 … 65535
/// ```
///
/// This is the one grammar for it: flags, files and URLs all read it here.
public struct HostPort: Hashable, Sendable, CustomStringConvertible {
    /// A name as it was written, or an address in its shortest form, IPv6 without brackets.
    public let host: String
    public let port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    public init(_ endpoint: Endpoint) { self.init(host: endpoint.address.description, port: endpoint.port) }

    /// Reads `host:port`, or a bare port, which means `localhost`. Nil for anything else.
    public init?(parsing text: some StringProtocol) {
        guard let read = try? Self(reading: text) else { return nil }
        self = read
    }

    /// Reads `host:port`, or a bare port, which means `localhost`.
    ///
    /// - Throws: `Malformed`, which says what is wrong with it and how it should look.
    public init(reading text: some StringProtocol) throws(Malformed) {
        let (host, rest) = try Self.splitHost(text)
        guard let host else {
            // Digits alone.
            self.init(host: "localhost", port: try Self.port(text[...], of: text))
            return
        }
        guard let digits = rest, !digits.isEmpty else {
            throw Malformed("'\(shown(text))' has no port; write \(HostPort(host: host, port: 8081))")
        }
        self.init(host: host, port: try Self.port(digits, of: text))
    }

    /// Why a text is no destination, with a remedy.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
        init(_ description: String) { self.description = description }
    }

    /// Bytes of the longest name that DNS has (RFC 1035 §2.3.4), a final dot included.
    static let hostLimitBytes = 254

    /// The host, and what stands behind the colon after it: nil if there is no colon. No host: `text` is all digits.
    private static func splitHost<T: StringProtocol>(_ text: T) throws(Malformed) -> (String?, T.SubSequence?) {
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else {
                throw Malformed("'\(shown(text))' has no ] at the end of its address; write [::1]:8081")
            }
            let host = try address(inBrackets: text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if rest.isEmpty { return (host, nil) }
            guard rest.first == ":" else {
                throw Malformed("'\(shown(text))': only a colon and a port can follow ]; write [\(host)]:8081")
            }
            return (host, rest.dropFirst())
        }
        guard let colon = text.lastIndex(of: ":") else {
            if text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), !text.isEmpty { return (nil, nil) }
            return (try name(text[...], of: text), nil)
        }
        let host = text[..<colon]
        if host.contains(":") {
            let isAddress = IPv6Address(parsing: text) != nil || IPv6Address(parsing: host) != nil
            guard isAddress else { throw Malformed("'\(shown(text))' has more than one colon; write HOST:PORT") }
            throw Malformed("'\(shown(text))': an IPv6 address stands in brackets before a port; write [::1]:8081")
        }
        return (try name(host, of: text), text[text.index(after: colon)...])
    }

    private static func name(_ host: some StringProtocol, of text: some StringProtocol) throws(Malformed) -> String {
        guard !host.isEmpty, host.utf8.count <= hostLimitBytes,
            host.utf8.allSatisfy({ $0 > 32 && $0 != 127 && !"/:@?#[]%".utf8.contains($0) })
        else { throw Malformed("'\(shown(text))' is not HOST:PORT, such as localhost:8081 or [::1]:8081") }
        return String(host)
    }

    /// What stands between brackets, in its shortest form.
    ///
    /// - Throws: `Malformed`. A zone (RFC 4007 §11) names an interface of the machine that wrote it, and the lab has
    ///   none.
    public static func address(inBrackets text: some StringProtocol) throws(Malformed) -> String {
        if let zone = text.firstIndex(of: "%") {
            let address = shown(text[..<zone])
            throw Malformed("'[\(shown(text))]': zones (%…) are not supported; write [\(address)]")
        }
        guard let address = IPv6Address(parsing: text) else {
            throw Malformed("'[\(shown(text))]' is no IPv6 address such as [::1]")
        }
        return address.description
    }

    private static func port(_ digits: some StringProtocol, of text: some StringProtocol) throws(Malformed) -> UInt16 {
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }),
            let port = UInt16(digits), port > 0
        else { throw Malformed("'\(shown(text))': a port is a number from 1 to 65535") }
        return port
    }

    /// `users:80`, `[::1]:80`.
    public var description: String { unixSocketPath == nil ? "\(bracketedHost):\(port)" : host }

    /// The host as it stands in a URL or a `Host` field: an IPv6 address in brackets.
    public var bracketedHost: String { host.contains(":") ? "[\(host)]" : host }
}

/// At most 80 characters, none that a terminal would act upon.
private func shown(_ text: some StringProtocol) -> String {
    let clean = String(
        String.UnicodeScalarView(text.unicodeScalars.prefix(80).map { $0.value < 32 || $0.value == 127 ? "?" : $0 }))
    return text.unicodeScalars.count > 80 ? clean + "…" : clean
}

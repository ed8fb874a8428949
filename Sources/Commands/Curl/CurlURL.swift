import KernelStructures

/// A URL as curl reads it.
package struct CurlURL: Equatable {
    package var scheme = "http"
    package var user: String?
    package var host: String
    package var port: UInt16
    package var path: String
    package var hasPort = false

    package struct Malformed: Error { package let text: String; package let status: Int }

    package init(_ text: String) throws(Malformed) {
        var rest = text[...]
        if let range = rest.firstRange(of: "://") {
            scheme = rest[..<range.lowerBound].lowercased()
            rest = rest[range.upperBound...]
        }
        switch scheme {
        case "http": port = 80
        case "https": port = 443
        default: throw Malformed(text: "Protocol \"\(scheme)\" not supported or disabled in libcurl", status: 1)
        }
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        var authority = rest[..<end]
        var tail = rest[end...].prefix { $0 != "#" }
        if let at = authority.lastIndex(of: "@") {
            user = String(authority[..<at])
            authority = authority[authority.index(after: at)...]
        }
        let address = try Self.takeAddress(&authority)
        if let colon = authority.lastIndex(of: ":") {
            let digits = authority[authority.index(after: colon)...]
            guard digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let number = UInt16(digits), number > 0 else {
                throw Malformed(
                    text: "URL rejected: Port number was not a decimal number between 1 and 65535", status: 3)
            }
            port = number
            hasPort = true
            authority = authority[..<colon]
        }
        if let address { authority = address[...] }
        guard !authority.isEmpty else { throw Malformed(text: "URL rejected: No host part in the URL", status: 3) }
        guard authority.utf8.allSatisfy({ $0 > 32 && $0 != 127 }), tail.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else {
            throw Malformed(text: "URL rejected: Malformed input to a URL function", status: 3)
        }
        host = String(authority)
        if !tail.hasPrefix("/") { tail = "/" + tail }
        path = Self.squashed(String(tail))
    }

    /// Takes an IPv6 address in brackets off the front; nil if there is none.
    private static func takeAddress(_ authority: inout Substring) throws(Malformed) -> String? {
        guard authority.first == "[" else { return nil }
        let inner = authority.dropFirst().prefix { $0 != "]" }
        let rest = authority[inner.endIndex...].dropFirst()
        guard inner.endIndex != authority.endIndex, rest.isEmpty || rest.first == ":" else {
            throw Malformed(text: "URL rejected: Bad IPv6 address", status: 3)
        }
        do throws(HostPort.Malformed) {
            let address = try HostPort.address(inBrackets: inner)
            authority = rest
            return address
        } catch {
            throw Malformed(text: "URL rejected: \(error)", status: 3)
        }
    }

    /// Resolves `.` and `..` in the path, as curl does before it sends it.
    private static func squashed(_ target: String) -> String {
        let path = target.prefix { $0 != "?" }
        guard path.contains("/.") else { return target }
        var parts: [Substring] = []
        for part in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            if part == ".." { _ = parts.popLast() } else if part != "." { parts.append(part) }
        }
        if path.hasSuffix("/.") || path.hasSuffix("/..") { parts.append("") }
        return "/" + parts.joined(separator: "/") + target.dropFirst(path.count)
    }

    /// What a `Location` refers to, seen from here.
    package func resolving(_ location: String) throws(Malformed) -> CurlURL {
        if location.contains("://") { return try CurlURL(location) }
        if location.hasPrefix("//") { return try CurlURL("\(scheme):\(location)") }
        var base = "\(scheme)://\(authority)"
        if location.hasPrefix("/") { return try CurlURL(base + location) }
        if location.hasPrefix("?") { return try CurlURL(base + path.prefix { $0 != "?" } + location) }
        let directory = path.prefix { $0 != "?" }
        base += directory[...(directory.lastIndex(of: "/") ?? directory.startIndex)]
        return try CurlURL(base + location)
    }

    /// For the Host field and messages.
    package var authority: String {
        hasPort && port != (isSecure ? 443 : 80) ? destination.description : destination.bracketedHost
    }
    package var isSecure: Bool { scheme == "https" }
    package var text: String { "\(scheme)://\(hasPort ? destination.description : destination.bracketedHost)\(path)" }
    package var destination: HostPort { HostPort(host: host, port: port) }
}

import KernelRegularExpressions
import KernelStructures

/// What servers are asked for in place of the client's path.
public enum PathRewrite: Equatable, Sendable {
    /// Takes whole segments off the beginning: `/api` makes `/api/users` to `/users`.
    case strip(String)
    /// Puts something in the place of the prefix by which the route was found.
    case prefix(String)
    /// Puts something in the place of all of it.
    case whole(String)
    /// Replaces what the expression matches, once: `$1` is its first group.
    case expression(RegularExpression, RegularExpressionReplacement, template: String)

    public static func == (a: PathRewrite, b: PathRewrite) -> Bool {
        switch (a, b) {
        case (.strip(let a), .strip(let b)), (.prefix(let a), .prefix(let b)), (.whole(let a), .whole(let b)): a == b
        case (.expression(let a, _, let from), .expression(let b, _, let to)): a.pattern == b.pattern && from == to
        default: false
        }
    }

    /// The path that a server sees; it begins with a slash.
    ///
    /// - Parameters:
    ///   - path: without the version before it.
    ///   - prefixLength: bytes of the prefix by which the route was found.
    public func apply(to path: ArraySlice<UInt8>, prefixLength: Int) -> [UInt8] {
        switch self {
        case .strip(let prefix):
            guard path.starts(with: prefix.utf8) else { return Array(path) }
            let rest = path.dropFirst(prefix.utf8.count)
            // Whole segments only.
            guard rest.isEmpty || rest.first == UInt8(ascii: "/") || prefix.hasSuffix("/") else { return Array(path) }
            return Self.rooted(Array(rest))
        case .prefix(let replacement):
            let beginning = replacement.hasSuffix("/") ? replacement.dropLast() : replacement[...]
            return Self.rooted(Array(beginning.utf8) + path.dropFirst(min(prefixLength, path.count)))
        case .whole(let replacement): return Array(replacement.utf8)
        case .expression(let expression, let replacement, _):
            let result = expression.replacing(in: Array(path), with: replacement, limit: 1)
            // What was put in must not end the request line, and must be a path.
            let isSafe = result.allSatisfy {
                $0 > 32 && $0 != 127 && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#")
            }
            return isSafe ? Self.rooted(result) : Array(path)
        }
    }

    private static func rooted(_ path: [UInt8]) -> [UInt8] {
        path.first == UInt8(ascii: "/") ? path : [UInt8(ascii: "/")] + path
    }
}

extension RouteRedirection {
    /// Where a request is sent to.
    ///
    /// - Parameters:
    ///   - host: whom the client asked, without a port.
    ///   - isSecure: whether it asked over TLS.
    ///   - query: of the request, without its mark; it is kept.
    public func location(
        host asked: String, port askedPort: UInt16, isSecure: Bool, path: ArraySlice<UInt8>, prefixLength: Int,
        query: ArraySlice<UInt8>
    ) -> String {
        let scheme = scheme ?? (isSecure ? "https" : "http")
        let usual: UInt16 = scheme == "https" ? 443 : 80
        // A scheme that is changed brings its own port with it.
        let port = port ?? (self.scheme == nil ? askedPort : usual)
        let path = rewrite?.apply(to: path, prefixLength: prefixLength) ?? Array(path)
        var text = "\(scheme)://\(host ?? asked)"
        if port != usual { text += ":\(port)" }
        text += String(decoding: path, as: UTF8.self)
        if !query.isEmpty { text += "?" + String(decoding: query, as: UTF8.self) }
        return text
    }
}

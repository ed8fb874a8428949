import KernelStructures

/// Fields behind a chunked body, RFC 9110 §6.5: what a sender knows only at the end, such as a checksum or a status.
///
/// They have passed everybody who had to decide something by then. So nothing may stand there that decides: where the
/// message ends, where it goes, who asks, what it is. A recipient that merged such a field into the head would read
/// another message than the one before it did.
public enum HTTPTrailers {
    /// Appends those of the lines (`HTTPReader.trailers`) that may be passed on: not those that concern one connection,
    /// and none of the kinds that RFC 9110 §6.5.1 keeps out of trailers.
    ///
    /// - Parameter head: of the message that they belong to; its `Connection` may name some of them.
    public static func append(forwarding lines: [UInt8], of head: HTTPHead, to out: inout [UInt8]) {
        var start = 0
        while let end = lines[start...].firstIndex(of: 10) {
            let line = lines[start...end]
            start = end + 1
            let name = String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self).lowercased()
            if isForbidden(name) || head.namesFields && head.listContains(.connection, name) { continue }
            out.append(contentsOf: line)
        }
    }

    /// Whether a field of that name, in lower case, may not stand behind a body.
    static func isForbidden(_ name: String) -> Bool {
        name.hasPrefix("if-") || name.hasPrefix("x-forwarded-") || name.hasPrefix("proxy-") || forbidden.contains(name)
    }

    private static let forbidden: Set<String> = [
        // Framing and the connection.
        "connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
        // Routing, and who asks.
        "authorization", "cookie", "forwarded", "host", "set-cookie", "via", "www-authenticate",
        // What is asked, and how the answer is to be treated.
        "age", "cache-control", "date", "expect", "expires", "location", "max-forwards", "pragma", "range",
        "retry-after", "vary", "warning",
        // What the content is.
        "content-encoding", "content-range", "content-type",
    ]
}

import KernelStructures
import KernelWire
import LoadBalancerEngine

/// Rewrites heads for the other side of a proxy: fields that concern one connection are taken out (RFC 9110 §7.6.1),
/// the client's address is added, everything else passes as it came.
enum ForwardedHead {
    /// The lines that tell a server for whom the balancer asks: the same for every request of a connection.
    static func fields(_ kinds: LoadBalancerConfiguration.ForwardedFields, for client: String, isSecure: Bool)
        -> [UInt8]
    {
        var lines: [UInt8] = []
        if kinds == .xForwardedFor || kinds == .both {
            HTTPWriter.field("X-Forwarded-For", client, into: &lines)
            // What a server needs to know for its links and redirects.
            if isSecure { HTTPWriter.field("X-Forwarded-Proto", "https", into: &lines) }
        }
        if kinds == .forwarded || kinds == .both {
            // RFC 7239 §6: an IPv6 address stands in brackets, and those in quotes.
            let node = client.contains(":") ? "\"[\(client)]\"" : client
            HTTPWriter.field("Forwarded", "for=\(node);proto=\(isSecure ? "https" : "http")", into: &lines)
        }
        return lines
    }

    /// A request for a server. Its body keeps its framing.
    ///
    /// - Parameter cookie: one that is between the client and the balancer only.
    static func append(
        request head: HTTPHead, _ forwardedFields: [UInt8], without cookie: CookieMark?, to out: inout [UInt8]
    ) {
        out.append(contentsOf: head.methodBytes)
        out.append(32)
        let url = absoluteTarget(head)
        if let url { append(pathOf: url, head.method, to: &out) } else { out.append(contentsOf: head.targetBytes) }
        out.append(utf8: " HTTP/1.1\r\n")
        if let url {
            out.append(utf8: "Host: ")
            out.append(contentsOf: url.authority)
            out.append(utf8: "\r\n")
        }
        for field in head.fields {
            switch field.name {
            // Its own list of options went with it; `chunked` is said anew below.
            case let name where name.isHopByHop: continue
            case .host where url != nil: continue
            case .cookie where cookie != nil: cookie?.appendOthers(of: head.valueBytes(of: field), to: &out)
            case .other where head.isNamedByConnection(field): continue
            default: out.append(contentsOf: head.line(of: field))
            }
        }
        if head.minorVersion == 0, url == nil, head.value(of: .host) == nil { out.append(utf8: "Host: \r\n") }
        if head.body == .chunked { out.append(utf8: "Transfer-Encoding: chunked\r\n") }
        if head.asksForUpgrade, let protocols = head.value(of: .upgrade) {
            HTTPWriter.field("Connection", "upgrade", into: &out)
            HTTPWriter.field("Upgrade", protocols, into: &out)
        }
        out.append(contentsOf: forwardedFields)
        HTTPWriter.endHead(&out)
    }

    /// RFC 9112 §3.2.2: a target in absolute form is sent on as a path, and its authority decides over `Host`.
    private static func absoluteTarget(_ head: HTTPHead) -> AbsoluteTarget? {
        let target = head.targetBytes
        guard target.first != UInt8(ascii: "/"), target.first != UInt8(ascii: "*") else { return nil }
        let authority = head.authorityOfTarget
        return (authority, target[authority.endIndex...])
    }

    private typealias AbsoluteTarget = (authority: ArraySlice<UInt8>, path: ArraySlice<UInt8>)

    private static func append(pathOf url: AbsoluteTarget, _ method: HTTPMethod, to out: inout [UInt8]) {
        if url.path.isEmpty, method == .options {
            // RFC 9112 §3.2.4: without a path, it is the server as a whole that is asked.
            out.append(UInt8(ascii: "*"))
        } else {
            if url.path.first != UInt8(ascii: "/") { out.append(UInt8(ascii: "/")) }
            out.append(contentsOf: url.path)
        }
    }

    /// A response for the client, without framing and connection fields: `beginRawResponse` adds them.
    static func append(response head: HTTPHead, isForHead: Bool, to out: inout [UInt8]) {
        HTTPWriter.statusLine(head.status, reason: head.reasonBytes, into: &out)
        for field in head.fields {
            switch field.name {
            case let name where name.isHopByHop: continue
            // The answer to HEAD says how long the body would have been.
            case .contentLength where !isForHead && head.status != 304: continue
            case .other where head.isNamedByConnection(field): continue
            default: out.append(contentsOf: head.line(of: field))
            }
        }
    }

    /// A 101, whole.
    static func append(switching head: HTTPHead, to out: inout [UInt8]) {
        HTTPWriter.statusLine(101, into: &out)
        for field in head.fields where !field.name.isHopByHop || field.name == .upgrade {
            out.append(contentsOf: head.line(of: field))
        }
        HTTPWriter.field("Connection", "upgrade", into: &out)
        HTTPWriter.endHead(&out)
    }
}

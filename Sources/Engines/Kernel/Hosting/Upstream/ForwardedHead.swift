import KernelStructures
import KernelWire

/// Rewrites heads for the other side of a proxy: fields that concern one connection are taken out (RFC 9110 §7.6.1),
/// the policy adds its own, everything else passes as it came.
enum ForwardedHead {
    // MARK: Requests

    /// A request for a server, but for the empty line at its end. Its body keeps its framing.
    ///
    /// - Parameter exchange: asked about each field if it says that it rewrites any.
    static func append(request head: HTTPHead, of exchange: UpstreamExchange, to out: inout [UInt8]) {
        head.appendMethod(to: &out)
        out.append(32)
        let url = absoluteTarget(head)
        if let target = exchange.target {
            out.append(contentsOf: target)
        } else if let url {
            append(pathOf: url, head.method, to: &out)
        } else {
            head.appendTarget(to: &out)
        }
        out.append(utf8: " HTTP/1.1\r\n")
        if let url {
            out.append(utf8: "Host: ")
            out.append(contentsOf: url.authority)
            out.append(utf8: "\r\n")
        }
        let rewrites = exchange.rewritesFields
        let span = exchange.span
        var saysTrace = false
        for field in head.fields {
            switch field.name {
            // Its own list of options went with it; `chunked` is said anew below.
            case let name where name.isHopByHop: continue
            case .host where url != nil: continue
            case .trailer where head.body != .chunked: continue
            // RFC 9110 §10.1.1: a client of HTTP/1.0 does not wait for leave, and would not understand it.
            case .expect where head.minorVersion == 0: continue
            case _ where head.isNamedByConnection(field): continue
            case _ where span != nil && head.isNamed(field, "traceparent"):
                if !saysTrace { HTTPWriter.field("traceparent", span!.context.traceparent, into: &out) }
                saysTrace = true
            case _ where rewrites && exchange.rewrite(field, of: head, to: &out): continue
            default: head.append(lineOf: field, to: &out)
            }
        }
        if let span, !saysTrace { HTTPWriter.field("traceparent", span.context.traceparent, into: &out) }
        if head.minorVersion == 0, url == nil, head.value(of: .host) == nil { out.append(utf8: "Host: \r\n") }
        if head.body == .chunked { out.append(utf8: "Transfer-Encoding: chunked\r\n") }
        if head.asksForUpgrade, let protocols = head.value(of: .upgrade) {
            HTTPWriter.field("Connection", "upgrade", into: &out)
            HTTPWriter.field("Upgrade", protocols, into: &out)
        }
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

    // MARK: Responses

    /// A response for the client, without framing and connection fields: `beginRawResponse` adds them.
    ///
    /// - Parameter exchange: asked about each field if it says that it rewrites any.
    static func append(response head: HTTPHead, of exchange: UpstreamExchange, to out: inout [UInt8]) {
        let isForHead = exchange.client.method == .head
        let takesChunks = exchange.client.isCurrent
        let rewrites = exchange.rewritesResponseFields
        HTTPWriter.statusLine(head.status, reason: head.reasonBytes, into: &out)
        for field in head.fields {
            switch field.name {
            case let name where name.isHopByHop: continue
            case .contentLength: continue
            case .trailer where head.body != .chunked || !takesChunks: continue
            case _ where head.isNamedByConnection(field): continue
            case _ where rewrites && exchange.rewrite(responseField: field, of: head, to: &out): continue
            default: head.append(lineOf: field, to: &out)
            }
        }
        // The answer to HEAD says how long the body would have been; once, however often its server has said it.
        if isForHead || head.status == 304, let length = head.statedLength {
            HTTPWriter.field("Content-Length", length, into: &out)
        }
    }

    /// An interim response (RFC 9110 §15.2), whole.
    static func append(interim head: HTTPHead, to out: inout [UInt8]) {
        HTTPWriter.statusLine(head.status, reason: head.reasonBytes, into: &out)
        for field in head.fields {
            switch field.name {
            case let name where name.isHopByHop: continue
            // Such a response has no body whose length could be told (RFC 9110 §8.6).
            case .contentLength, .trailer: continue
            case _ where head.isNamedByConnection(field): continue
            default: head.append(lineOf: field, to: &out)
            }
        }
        HTTPWriter.endHead(&out)
    }

    /// A 101, whole.
    static func append(switching head: HTTPHead, to out: inout [UInt8]) {
        HTTPWriter.statusLine(101, into: &out)
        for field in head.fields {
            switch field.name {
            case .upgrade: head.append(lineOf: field, to: &out)
            case let name where name.isHopByHop: continue
            case .contentLength, .trailer: continue
            case _ where head.isNamedByConnection(field): continue
            default: head.append(lineOf: field, to: &out)
            }
        }
        HTTPWriter.field("Connection", "upgrade", into: &out)
        HTTPWriter.endHead(&out)
    }
}

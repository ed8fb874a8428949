import KernelStructures
import KernelWire

/// Heads rewritten for the other side: what concerns one connection goes (RFC 9110 §7.6.1), the client's address is
/// added, the rest passes as it came.
enum ForwardedMessage {
    static func append(request head: HTTPHead, from client: String, to out: inout [UInt8]) {
        out.append(utf8: head.methodText)
        out.append(32)
        let target = head.targetBytes
        let isAbsolute = target.first != UInt8(ascii: "/") && target.first != UInt8(ascii: "*")
        let authority = isAbsolute ? head.authorityOfTarget : []
        if isAbsolute {
            // RFC 9112 §3.2.2: sent on as a path, and the authority decides over `Host`.
            let path = target[authority.endIndex...]
            if path.isEmpty, head.method == .options {
                out.append(UInt8(ascii: "*"))
            } else {
                if path.first != UInt8(ascii: "/") { out.append(UInt8(ascii: "/")) }
                out.append(contentsOf: path)
            }
        } else {
            out.append(contentsOf: target)
        }
        out.append(utf8: " HTTP/1.1\r\n")
        if isAbsolute {
            out.append(utf8: "Host: ")
            out.append(contentsOf: authority)
            out.append(utf8: "\r\n")
        } else if head.minorVersion == 0, head.value(of: .host) == nil {
            out.append(utf8: "Host: \r\n")
        }
        appendFields(of: head, to: &out) { isAbsolute && $0 == .host }
        if head.body == .chunked { out.append(utf8: "Transfer-Encoding: chunked\r\n") }
        if head.asksForUpgrade, let protocols = head.value(of: .upgrade) {
            HTTPWriter.field("Connection", "upgrade", into: &out)
            HTTPWriter.field("Upgrade", protocols, into: &out)
        }
        HTTPWriter.field("X-Forwarded-For", client, into: &out)
        HTTPWriter.endHead(&out)
    }

    /// Without framing and connection fields: the client's connection adds its own.
    static func append(response head: HTTPHead, isForHead: Bool, to out: inout [UInt8]) {
        HTTPWriter.statusLine(head.status, reason: head.reason, into: &out)
        // The answer to HEAD says how long the body would have been.
        appendFields(of: head, to: &out) { $0 == .contentLength && !isForHead && head.status != 304 }
    }

    static func append(switching head: HTTPHead, to out: inout [UInt8]) {
        HTTPWriter.statusLine(101, into: &out)
        appendFields(of: head, to: &out) { _ in false }
        if let protocols = head.value(of: .upgrade) { HTTPWriter.field("Upgrade", protocols, into: &out) }
        HTTPWriter.field("Connection", "upgrade", into: &out)
        HTTPWriter.endHead(&out)
    }

    private static func appendFields(of head: HTTPHead, to out: inout [UInt8], except isLeftOut: (KnownField) -> Bool) {
        let namesFields = head.fields.contains { $0.name == .connection }
        for field in head.fields where !field.name.isHopByHop && !isLeftOut(field.name) {
            // Further names that `Connection` says are for one connection only.
            if namesFields, field.name == .other,
                head.listContains(.connection, head.name(of: field).lowercased())
            {
                continue
            }
            out.append(contentsOf: head.line(of: field))
        }
    }
}

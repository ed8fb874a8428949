import KernelStructures
import KernelWire

/// What routes are looked up by: a request's head, and its path in the one form that counts.
public struct RouteRequest: Sendable {
    public let head: HTTPHead
    /// See `CanonicalPath`.
    public let path: [UInt8]
    /// What a preflight asks leave for, in place of `OPTIONS`.
    public let preflightMethod: String?

    public init(_ head: HTTPHead, path: [UInt8]) {
        self.head = head
        self.path = path
        preflightMethod =
            head.method == .options && head.value(of: "Origin") != nil
            ? head.value(of: "Access-Control-Request-Method") : nil
    }

    /// Brings the path into its form.
    public init(_ head: HTTPHead, allowsEncodedSlash: Bool = false) throws(CanonicalPath.Refusal) {
        let path = head.targetPath
        self.init(
            head, path: try CanonicalPath.canonical(path, allowsEncodedSlash: allowsEncodedSlash) ?? Array(path))
    }

    /// Whether what it says of that can be a host: RFC 9112 §3.2 has 400 for all else. A request of HTTP/1.0 need not
    /// say it.
    public var hasHost: Bool {
        guard let bytes = head.valueBytes(of: .host) else { return true }
        // An empty one is that of a target without an authority (RFC 9112 §3.2).
        return bytes.first != UInt8(ascii: ":")
            && bytes.allSatisfy { $0 > 32 && $0 < 127 && !Self.isForeignToHosts($0) }
    }

    private static func isForeignToHosts(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "@"), UInt8(ascii: "\\"),
            UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: ","):
            true
        default: false
        }
    }

    /// Whom it is for, without a port and in small letters; empty if it does not say.
    public var host: String {
        let target = head.targetBytes
        var text: String
        if let first = target.first, first != UInt8(ascii: "/"), first != UInt8(ascii: "*") {
            text = String(decoding: head.authorityOfTarget, as: UTF8.self)
        } else {
            text = head.value(of: .host) ?? ""
        }
        if text.hasPrefix("[") {
            if let end = text.firstIndex(of: "]") { text = String(text[...end]) }
        } else if let colon = text.firstIndex(of: ":") {
            text = String(text[..<colon])
        }
        if text.hasSuffix(".") { text.removeLast() }
        return text.lowercased()
    }

    /// All fields of that name as one, as RFC 9110 §5.3 has it; nil without any.
    func field(_ name: String) -> String? {
        let values = head.values(of: name)
        return values.isEmpty ? nil : values.joined(separator: ",")
    }

    /// The query without its mark.
    var queryBytes: ArraySlice<UInt8> {
        let target = head.targetBytes
        return target.firstIndex(of: UInt8(ascii: "?")).map { target[($0 + 1)...] } ?? []
    }

    /// The first value of each name; nil where it cannot be read.
    var query: HTTPQuery? { try? HTTPQuery(parsing: queryBytes) }

    /// Whether the client asks for that version: `v2` by `v2` or `2`.
    func asks(forVersion version: String, by name: String) -> Bool {
        guard let asked = head.value(of: name) else { return false }
        return asked == version || "v" + asked == version
    }

    func hasMethod(_ method: String) -> Bool {
        if let preflightMethod { return preflightMethod == method }
        return head.methodBytes.elementsEqual(method.utf8)
    }
}

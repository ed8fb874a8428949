import KernelStructures

/// The head of an HTTP/1 message: start line and fields, kept as the bytes that arrived.
///
/// Everything is a range into `bytes`; nothing becomes a `String` until somebody asks. A reader reuses one head for
/// all messages of a connection, so the hot path allocates nothing; whoever keeps a copy owns it (arrays are values).
public struct HTTPHead: Sendable {
    /// Start line, field lines and the empty line, each with its CRLF, also where a server had left the CR out.
    public internal(set) var bytes: [UInt8] = []
    public internal(set) var fields: [Field] = []
    /// What the request asks for; `.other` for methods without a case of their own (see `methodText`).
    public internal(set) var method = HTTPMethod.other
    /// 100–599 in a response, 0 in a request.
    public internal(set) var status = 0
    /// 0 or 1: the second number of HTTP/1.x.
    public internal(set) var minorVersion = 1
    public internal(set) var body = BodyFraming.none
    /// What a response's `Content-Length` says; an answer to HEAD and a 304 have one without having a body.
    public internal(set) var statedLength: Int?
    /// Whether the sender is willing to go on with this connection after this message.
    public internal(set) var keepsAlive = true
    public internal(set) var expectsContinue = false
    /// A `Connection: upgrade` with an `Upgrade` field, to whatever protocol but HTTP/2.
    public internal(set) var asksForUpgrade = false
    /// Whether `Connection` lists anything but what concerns the connection itself: names of fields, then.
    var namesFields = false
    var methodRange = ByteRange.empty
    var targetRange = ByteRange.empty
    var reasonRange = ByteRange.empty

    public init() {}

    /// Half-open, in bytes of the head.
    struct ByteRange: Sendable {
        var start: Int32
        var end: Int32
        static let empty = ByteRange(start: 0, end: 0)
        var range: Range<Int> { Int(start)..<Int(end) }
        var count: Int { Int(end - start) }
    }

    public struct Field: Sendable {
        let nameRange: ByteRange
        let valueRange: ByteRange
        /// Where the line ends, its CRLF included.
        let lineEnd: Int32
        public let name: KnownField
    }

    mutating func reset() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
        method = .other
        status = 0
        minorVersion = 1
        body = .none
        statedLength = nil
        keepsAlive = true
        expectsContinue = false
        asksForUpgrade = false
        namesFields = false
        methodRange = .empty
        targetRange = .empty
        reasonRange = .empty
    }

    // MARK: Reading

    public var methodText: String { text(methodRange) }
    public var methodBytes: ArraySlice<UInt8> { bytes[methodRange.range] }
    /// The request target as it stood in the request line: `/path?query`, a URL, `host:port` or `*`.
    public var target: String { text(targetRange) }
    public var targetBytes: ArraySlice<UInt8> { bytes[targetRange.range] }
    public var reason: String { text(reasonRange) }
    public var reasonBytes: ArraySlice<UInt8> { bytes[reasonRange.range] }
    /// The target up to its query.
    public var path: String {
        let target = targetBytes
        return String(decoding: target.prefix { $0 != UInt8(ascii: "?") }, as: UTF8.self)
    }

    public func name(of field: Field) -> String { text(field.nameRange) }
    public func value(of field: Field) -> String { text(field.valueRange) }
    public func valueBytes(of field: Field) -> ArraySlice<UInt8> { bytes[field.valueRange.range] }
    /// `Name: value` with its CRLF, as it arrived.
    public func line(of field: Field) -> ArraySlice<UInt8> { bytes[Int(field.nameRange.start)..<Int(field.lineEnd)] }
    /// The same, put behind other bytes: on a proxy's way it is worth not to hold the head's bytes for each of its
    /// lines.
    public func append(lineOf field: Field, to out: inout [UInt8]) {
        append(Int(field.nameRange.start)..<Int(field.lineEnd), to: &out)
    }
    public func appendMethod(to out: inout [UInt8]) { append(methodRange.range, to: &out) }
    public func appendTarget(to out: inout [UInt8]) { append(targetRange.range, to: &out) }

    private func append(_ range: Range<Int>, to out: inout [UInt8]) {
        bytes.withUnsafeBytes { out.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// The first field of that name, without regard to case.
    public func value(of name: String) -> String? {
        fields.first { isNamed($0, name) }.map { value(of: $0) }
    }

    public func value(of name: KnownField) -> String? {
        fields.first { $0.name == name }.map { value(of: $0) }
    }

    /// The same as bytes, which stay where they are.
    public func valueBytes(of name: String) -> ArraySlice<UInt8>? {
        fields.first { isNamed($0, name) }.map { valueBytes(of: $0) }
    }

    public func valueBytes(of name: KnownField) -> ArraySlice<UInt8>? {
        fields.first { $0.name == name }.map { valueBytes(of: $0) }
    }

    /// All fields of that name, in order.
    public func values(of name: String) -> [String] {
        fields.filter { isNamed($0, name) }.map { value(of: $0) }
    }

    /// Whether a field has that name, without regard to case.
    public func isNamed(_ field: Field, _ name: String) -> Bool {
        guard field.nameRange.count == name.utf8.count else { return false }
        return zip(bytes[field.nameRange.range], name.utf8).allSatisfy { lowered($0) == lowered($1) }
    }

    private func text(_ range: ByteRange) -> String { String(decoding: bytes[range.range], as: UTF8.self) }

    /// Whether `Connection` says that this field is for one connection only (RFC 9110 §7.6.1). Never true of those
    /// without which the message would be another one, or somebody else's.
    public func isNamedByConnection(_ field: Field) -> Bool {
        namesFields && !field.name.isForEverybody && listContains(.connection, name(of: field).lowercased())
    }

    /// Whether a field that lists tokens contains this one; `token` must be in lower case.
    public func listContains(_ name: KnownField, _ token: String) -> Bool {
        fields.contains { field in
            field.name == name
                && valueBytes(of: field).split(separator: UInt8(ascii: ",")).contains {
                    $0.trimmingBlanks.elementsEqual(token.utf8) { lowered($0) == $1 }
                }
        }
    }
}

/// How the end of a body is found, RFC 9112 §6.3.
public enum BodyFraming: Equatable, Sendable {
    case none
    /// Exactly this many bytes; may be 0.
    case length(Int)
    case chunked
    /// All bytes until the connection ends; responses only.
    case untilClose
}

public enum HTTPMethod: Sendable {
    case get, head, post, put, delete, options, patch, trace, connect, other

    /// Whether asking twice does no more than asking once, RFC 9110 §9.2.2.
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }
}

/// The field names that the codec and the proxies act upon.
public enum KnownField: UInt8, Sendable {
    case other, host, connection, contentLength, transferEncoding, expect, upgrade, keepAlive, te, trailer
    case proxyConnection, contentType, cookie, location, date, server, forwarded, xForwardedFor, via, setCookie
    case authorization, userAgent, accept, contentEncoding

    /// Fields that concern one connection only and are not forwarded, RFC 9110 §7.6.1.
    public var isHopByHop: Bool {
        switch self {
        case .connection, .keepAlive, .te, .transferEncoding, .upgrade, .proxyConnection: true
        default: false
        }
    }

    /// Fields that `Connection` may not name (RFC 9110 §7.6.1): who is asked, how long it is, and who asks.
    var isForEverybody: Bool {
        switch self {
        case .host, .contentLength, .transferEncoding, .expect, .xForwardedFor, .forwarded, .via: true
        default: false
        }
    }
}

@inline(__always) func lowered(_ byte: UInt8) -> UInt8 { byte >= 65 && byte <= 90 ? byte | 0x20 : byte }

extension ArraySlice where Element == UInt8 {
    var trimmingBlanks: ArraySlice<UInt8> {
        var slice = self
        while let first = slice.first, first == 32 || first == 9 { slice.removeFirst() }
        while let last = slice.last, last == 32 || last == 9 { slice.removeLast() }
        return slice
    }
}

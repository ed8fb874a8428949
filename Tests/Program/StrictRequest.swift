/// One request as the recording origin has understood it. Text is Latin-1: each byte a character, none lost.
struct StrictRequest: Sendable {
    var method = ""
    var target = ""
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []

    /// The value of a field that occurs once at most.
    func value(_ name: String) -> String? { fields.first { $0.name.lowercased() == name }?.value }

    /// `POST /case @host body`: what a case compares.
    var summary: String {
        let shown = body.count <= 100 ? Latin1.text(body) : "(\(body.count) bytes)"
        return "\(method) \(target) @\(value("host") ?? "") \(shown)"
    }
}

/// Text whose characters are bytes.
enum Latin1 {
    static func text(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        text.unicodeScalars.append(contentsOf: bytes.map { Unicode.Scalar($0) })
        return text
    }

    static func bytes(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }
}

/// Why a request is not strictly one, and nothing else.
struct Doubt: Error {
    let text: String
    init(_ text: String) { self.text = text }
}

/// Reads requests by the letter of RFC 9112 and RFC 9110, and forgives nothing. It is the second opinion on what a
/// proxy sends, and therefore shares no code with the proxy: it is written for clarity, and slow.
struct StrictRequestReader {
    private var bytes: [UInt8] = []
    private var position = 0

    mutating func append(_ more: some Sequence<UInt8>) { bytes += more }

    /// Whether bytes have arrived that belong to no complete request.
    var isInsideRequest: Bool { !bytes.isEmpty }

    /// The next complete request; nil as long as there is none.
    mutating func next() throws(Doubt) -> StrictRequest? {
        position = 0
        guard let startLine = try line() else { return nil }
        var request = try Self.startLine(startLine)
        guard let fields = try fieldLines() else { return nil }
        request.fields = fields
        try Self.checkHost(request)
        guard let body = try body(of: request) else { return nil }
        request.body = body
        bytes.removeFirst(position)
        return request
    }

    // MARK: Lines

    /// The next line without its CRLF; nil if it has not arrived whole.
    private mutating func line() throws(Doubt) -> ArraySlice<UInt8>? {
        let rest = bytes[position...]
        guard let end = rest.firstIndex(where: { $0 == 13 || $0 == 10 }) else {
            if rest.contains(0) { throw Doubt("NUL") }
            return nil
        }
        guard bytes[end] == 13 else { throw Doubt("a line that ends in LF alone (RFC 9112 §2.2)") }
        guard end + 1 < bytes.count else { return nil }
        guard bytes[end + 1] == 10 else { throw Doubt("a bare CR (RFC 9112 §2.2)") }
        let line = rest[..<end]
        position = end + 2
        return line
    }

    private static func isToken(_ bytes: some Sequence<UInt8>) -> Bool {
        var isEmpty = true
        for byte in bytes {
            isEmpty = false
            let isAlphanumeric =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            guard isAlphanumeric || "!#$%&'*+-.^_`|~".utf8.contains(byte) else { return false }
        }
        return !isEmpty
    }

    private static func startLine(_ line: ArraySlice<UInt8>) throws(Doubt) -> StrictRequest {
        let parts = line.split(separator: 32, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw Doubt("a request line of \(parts.count) parts: \(Latin1.text(line))") }
        guard isToken(parts[0]) else { throw Doubt("a method that is no token (RFC 9110 §9.1)") }
        guard parts[2].elementsEqual("HTTP/1.1".utf8) else { throw Doubt("the version \(Latin1.text(parts[2]))") }
        let target = Latin1.text(parts[1])
        // Octets above 127 are no URI either, but everybody passes them on as they are.
        guard target.unicodeScalars.allSatisfy({ $0.value > 32 && $0.value != 127 && $0 != "#" }) else {
            throw Doubt("a target that is none: \(target)")
        }
        guard target.hasPrefix("/") || (target == "*" && parts[0].elementsEqual("OPTIONS".utf8)) else {
            throw Doubt("a target in a form that an origin should not get: \(target)")
        }
        return StrictRequest(method: Latin1.text(parts[0]), target: target)
    }

    /// Field lines and the empty line behind them.
    private mutating func fieldLines() throws(Doubt) -> [(name: String, value: String)]? {
        var fields: [(name: String, value: String)] = []
        while let line = try line() {
            if line.isEmpty { return fields }
            guard let colon = line.firstIndex(of: 58) else { throw Doubt("no colon: \(Latin1.text(line))") }
            guard Self.isToken(line[..<colon]) else { throw Doubt("a field name that is no token (RFC 9110 §5.1)") }
            let value = line[(colon + 1)...]
            guard value.allSatisfy({ $0 == 9 || ($0 >= 32 && $0 != 127) }) else {
                throw Doubt("a control character in \(Latin1.text(line[..<colon])) (RFC 9110 §5.5)")
            }
            let blank: (UInt8) -> Bool = { $0 == 32 || $0 == 9 }
            let trimmed = value.drop(while: blank).reversed().drop(while: blank).reversed()
            fields.append((Latin1.text(line[..<colon]), Latin1.text(trimmed)))
        }
        return nil
    }

    private static func checkHost(_ request: StrictRequest) throws(Doubt) {
        let hosts = request.fields.filter { $0.name.lowercased() == "host" }
        guard hosts.count == 1 else { throw Doubt("\(hosts.count) Host fields (RFC 9112 §3.2)") }
        let host = hosts[0].value
        guard !host.contains(where: { " \t/@?#\\\"<>^`{|}".contains($0) }) else { throw Doubt("the Host \(host)") }
    }

    // MARK: Bodies

    private mutating func body(of request: StrictRequest) throws(Doubt) -> [UInt8]? {
        let lengths = request.fields.filter { $0.name.lowercased() == "content-length" }.map(\.value)
        let codings = request.fields.filter { $0.name.lowercased() == "transfer-encoding" }.map(\.value)
        if !codings.isEmpty {
            guard lengths.isEmpty else { throw Doubt("Content-Length and Transfer-Encoding (RFC 9112 §6.1)") }
            guard codings.count == 1, codings[0].lowercased() == "chunked" else {
                throw Doubt("the codings \(codings) (RFC 9112 §6.1)")
            }
            return try chunks()
        }
        guard let text = lengths.first else { return [] }
        guard lengths.count == 1 else { throw Doubt("\(lengths.count) lengths (RFC 9112 §6.3)") }
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let length = Int(text) else {
            throw Doubt("the length '\(text)' (RFC 9110 §8.6)")
        }
        guard bytes.count - position >= length else { return nil }
        position += length
        return Array(bytes[(position - length)..<position])
    }

    private mutating func chunks() throws(Doubt) -> [UInt8]? {
        var body: [UInt8] = []
        while let line = try line() {
            let digits = Latin1.text(line)
            let isHexadecimal = digits.unicodeScalars.allSatisfy {
                $0.properties.isASCIIHexDigit
            }
            guard isHexadecimal, !digits.isEmpty, digits.count <= 16, let size = Int(digits, radix: 16) else {
                throw Doubt("the chunk size '\(digits)' (RFC 9112 §7.1)")
            }
            if size == 0 {
                guard let trailers = try fieldLines() else { return nil }
                let framing = ["content-length", "transfer-encoding", "host"]
                guard !trailers.contains(where: { framing.contains($0.name.lowercased()) }) else {
                    throw Doubt("framing in a trailer (RFC 9110 §6.5.1)")
                }
                return body
            }
            guard bytes.count - position >= size else { return nil }
            body += bytes[position..<(position + size)]
            position += size
            guard let end = try self.line() else { return nil }
            guard end.isEmpty else { throw Doubt("a chunk that is longer than its size (RFC 9112 §7.1)") }
        }
        return nil
    }
}

import KernelStructures

// Rules of this file:
//   1. It works on a complete head whose lines all end in CRLF; `HTTPReader` sees to that.
//   2. It is strict towards clients. Where RFC 9112 lets a recipient be lenient (bare LF, folded lines, blanks before
//      the colon, many lengths), two recipients that are lenient in different ways are the raw material of request
//      smuggling. Of a server, folded lines, equal lengths, a length beside chunks and (in the reader) bare LF are
//      borne with, as HAProxy does: what is sent on is written anew.
//   3. Where the reader is its own last recipient, and wants to see what others see, it may read answers as curl
//      reads them: `HTTPLimits.readsAsCurl`.
//   4. One pass, no allocation beyond the field table.

/// RFC 9110 §5.6.2 token characters as two bit sets over ASCII.
private let tokenBitsLow: UInt64 = 0x03FF_6CFA_0000_0000
private let tokenBitsHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE

/// Names of methods, fields and cookies.
public enum HTTPToken {
    /// Whether a text is a token: RFC 9110 §5.6.2.
    public static func isValid(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy(isToken) }
}

@inline(__always) func isToken(_ byte: UInt8) -> Bool {
    if byte < 64 { return tokenBitsLow >> UInt64(byte) & 1 == 1 }
    return byte < 128 && tokenBitsHigh >> UInt64(byte - 64) & 1 == 1
}

extension HTTPHead {
    /// Parses `bytes` as a request.
    mutating func parseRequest(_ limits: HTTPLimits) throws(HTTPError) {
        var position = try parseRequestLine()
        try parseFields(&position, limits)
        try judgeRequest(limits)
    }

    /// Parses `bytes` as the response to a request of the given method.
    mutating func parseResponse(to method: HTTPMethod, _ limits: HTTPLimits) throws(HTTPError) {
        var position = try parseStatusLine(asCurl: limits.readsAsCurl)
        try parseFields(&position, limits)
        try judgeResponse(to: method, asCurl: limits.readsAsCurl)
    }

    // MARK: Start lines

    private mutating func parseRequestLine() throws(HTTPError) -> Int {
        let bytes = self.bytes
        let span = bytes.span
        var position = 0
        while isToken(span[position]) { position += 1 }
        guard position > 0, span[position] == 32 else { throw HTTPError(400, "the method is not a token") }
        methodRange = ByteRange(start: 0, end: Int32(position))
        method = Self.method(span, position)
        position += 1
        let targetStart = position
        // A fragment is the client's own affair (RFC 9112 §3.2.1): with `#`, one program's path is another's whole.
        while span[position] > 32, span[position] != 127, span[position] != UInt8(ascii: "#") { position += 1 }
        guard position > targetStart, span[position] == 32 else { throw HTTPError(400, "malformed request target") }
        targetRange = ByteRange(start: Int32(targetStart), end: Int32(position))
        try checkTarget(first: span[targetStart])
        let version = position + 1
        guard version + 10 <= span.count, span[version + 8] == 13, span[version + 9] == 10, Self.isHTTP(span, version)
        else {
            throw HTTPError(400, "the request line does not end in an HTTP version")
        }
        guard span[version + 5] == 49 else { throw HTTPError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here") }
        // RFC 9110 §2.5: a higher minor version is read as the highest that is known.
        minorVersion = span[version + 7] == 48 ? 0 : 1
        return version + 10
    }

    /// RFC 9112 §3.2: origin form, absolute form, authority form for CONNECT, `*` for OPTIONS.
    private func checkTarget(first: UInt8) throws(HTTPError) {
        if first == UInt8(ascii: "/") || method == .connect { return }
        if first == UInt8(ascii: "*"), targetRange.count == 1, method == .options { return }
        let scheme = targetBytes.prefix(8).map(lowered)
        guard scheme.starts(with: "http://".utf8) || scheme.starts(with: "https://".utf8) else {
            throw HTTPError(400, "the request target is neither a path nor a URL")
        }
        let authority = authorityOfTarget
        guard let length = hostLength(authority.startIndex..<authority.endIndex), length > 0 else {
            throw HTTPError(400, "the request target is a URL without a proper host")
        }
    }

    /// What lies between `//` and the path in a target in absolute form.
    public var authorityOfTarget: ArraySlice<UInt8> {
        let rest = targetBytes.drop { $0 != UInt8(ascii: ":") }.dropFirst(3)
        return rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
    }

    private mutating func parseStatusLine(asCurl: Bool) throws(HTTPError) -> Int {
        let bytes = self.bytes
        let span = bytes.span
        // Where the status stands.
        let start: Int
        if span.count >= 14, Self.isHTTP(span, 0), span[5] == 49, span[8] == 32 {
            minorVersion = span[7] == 48 ? 0 : 1
            start = 9
        } else if asCurl, let place = Self.statusOfHTTP2(span) {
            start = place
        } else {
            throw HTTPError(502, "the answer does not begin with an HTTP/1 status line")
        }
        var code = 0
        for index in start..<start + 3 {
            guard span[index] >= 48, span[index] <= 57 else { throw HTTPError(502, "the status is not a number") }
            code = code * 10 + Int(span[index] - 48)
        }
        let codeEnd = start + 3
        guard (100...999).contains(code), span[codeEnd] == 32 || span[codeEnd] == 13 else {
            throw HTTPError(502, "malformed status line")
        }
        status = code
        var position = codeEnd
        while span[position] != 13 {
            guard Self.isFieldByte(span[position]) else { throw HTTPError(502, "malformed reason phrase") }
            position += 1
        }
        guard span[position + 1] == 10 else { throw HTTPError(502, "stray CR in the status line") }
        reasonRange = ByteRange(start: Int32(min(codeEnd + 1, position)), end: Int32(position))
        return position + 2
    }

    /// Some servers say `HTTP/2 200` in the old protocol's form, and some `HTTP/2.0 200`: where the status begins.
    private static func statusOfHTTP2(_ span: Span<UInt8>) -> Int? {
        guard span.count >= 14, span[0] == 72, span[1] == 84, span[2] == 84, span[3] == 80, span[4] == 47, span[5] == 50
        else { return nil }
        if span[6] == 32 { return 7 }
        return span[6] == 46 && span[7] == 48 && span[8] == 32 ? 9 : nil
    }

    /// `HTTP/d.d` at `start`.
    private static func isHTTP(_ span: Span<UInt8>, _ start: Int) -> Bool {
        span[start] == 72 && span[start + 1] == 84 && span[start + 2] == 84 && span[start + 3] == 80
            && span[start + 4] == 47 && span[start + 6] == 46 && isDigit(span[start + 5]) && isDigit(span[start + 7])
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }

    /// HTAB, visible characters, blanks, and the upper half that older texts called obs-text.
    @inline(__always) private static func isFieldByte(_ byte: UInt8) -> Bool {
        byte >= 32 ? byte != 127 : byte == 9
    }

    private static func method(_ span: Span<UInt8>, _ count: Int) -> HTTPMethod {
        func matches(_ text: StaticString) -> Bool { equals(span, 0, count, text, ignoringCase: false) }
        switch (count, span[0]) {
        case (3, UInt8(ascii: "G")): return matches("GET") ? .get : .other
        case (3, UInt8(ascii: "P")): return matches("PUT") ? .put : .other
        case (4, UInt8(ascii: "P")): return matches("POST") ? .post : .other
        case (4, UInt8(ascii: "H")): return matches("HEAD") ? .head : .other
        case (5, UInt8(ascii: "P")): return matches("PATCH") ? .patch : .other
        case (5, UInt8(ascii: "T")): return matches("TRACE") ? .trace : .other
        case (6, UInt8(ascii: "D")): return matches("DELETE") ? .delete : .other
        case (7, UInt8(ascii: "O")): return matches("OPTIONS") ? .options : .other
        case (7, UInt8(ascii: "C")): return matches("CONNECT") ? .connect : .other
        default: return .other
        }
    }

    // MARK: Fields

    private mutating func parseFields(_ cursor: inout Int, _ limits: HTTPLimits) throws(HTTPError) {
        var position = cursor
        let fault = isResponse ? 502 : 400
        while bytes.span[position] != 13 {
            guard fields.count < limits.fieldCount else {
                throw HTTPError(isResponse ? 502 : 431, "more than \(limits.fieldCount) fields")
            }
            if isResponse, !fields.isEmpty, Self.isBlank(bytes.span[position]) {
                try unfold(&position, asCurl: limits.readsAsCurl)
            } else if isResponse, limits.readsAsCurl {
                fields.append(try Self.parseLooseField(bytes.span, &position))
            } else {
                fields.append(try Self.parseField(bytes.span, &position, fault))
            }
        }
        guard bytes.span[position + 1] == 10 else { throw HTTPError(fault, "stray CR in the head") }
        cursor = position + 2
    }

    var isResponse: Bool { status != 0 }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

    /// RFC 9112 §5.2: lines of a *response* that begin with a blank go on with the field before them, and become one
    /// line with it, blanks in place of the line ends. A request with such lines is refused.
    private mutating func unfold(_ cursor: inout Int, asCurl: Bool) throws(HTTPError) {
        var position = cursor
        while Self.isBlank(bytes[position]) {
            bytes[position - 2] = 32
            bytes[position - 1] = 32
            while bytes[position] != 13 { position += 1 }
            guard bytes[position + 1] == 10 else { throw HTTPError(502, "stray CR in a folded field line") }
            position += 2
        }
        cursor = Int(fields.removeLast().nameRange.start)
        if asCurl {
            fields.append(try Self.parseLooseField(bytes.span, &cursor))
        } else {
            fields.append(try Self.parseField(bytes.span, &cursor, 502))
        }
    }

    /// A field of an answer as curl reads it: whatever stands before the first colon is its name, a blank behind it
    /// included, which makes it another name; and a value may have any byte but NUL.
    private static func parseLooseField(_ span: Span<UInt8>, _ cursor: inout Int) throws(HTTPError) -> Field {
        let start = cursor
        var position = start
        while span[position] != UInt8(ascii: ":") {
            guard span[position] != 13 else { throw HTTPError(502, "a field line without a colon") }
            guard span[position] != 0 else { throw HTTPError(502, "a NUL in a field") }
            position += 1
        }
        let nameEnd = position
        position += 1
        while isBlank(span[position]) { position += 1 }
        let valueStart = position
        while span[position] != 13, span[position] != 0 { position += 1 }
        guard span[position] == 13 else { throw HTTPError(502, "a NUL in a field") }
        guard span[position + 1] == 10 else { throw HTTPError(502, "a stray CR in a field") }
        var valueEnd = position
        while valueEnd > valueStart, isBlank(span[valueEnd - 1]) { valueEnd -= 1 }
        cursor = position + 2
        return Field(
            nameRange: ByteRange(start: Int32(start), end: Int32(nameEnd)),
            valueRange: ByteRange(start: Int32(valueStart), end: Int32(valueEnd)), lineEnd: Int32(cursor),
            name: known(span, start, nameEnd - start))
    }

    private static func parseField(_ span: Span<UInt8>, _ cursor: inout Int, _ fault: Int) throws(HTTPError) -> Field {
        let start = cursor
        var position = start
        while isToken(span[position]) { position += 1 }
        guard position > start, span[position] == UInt8(ascii: ":") else {
            let isFolded = span[start] == 32 || span[start] == 9
            throw HTTPError(fault, isFolded ? "a folded field line" : "a field name is not a token followed by a colon")
        }
        let nameEnd = position
        position += 1
        while span[position] == 32 || span[position] == 9 { position += 1 }
        let valueStart = position
        while isFieldByte(span[position]) { position += 1 }
        guard span[position] == 13, span[position + 1] == 10 else {
            throw HTTPError(fault, "a control character in a field value")
        }
        var valueEnd = position
        while valueEnd > valueStart, span[valueEnd - 1] == 32 || span[valueEnd - 1] == 9 { valueEnd -= 1 }
        cursor = position + 2
        return Field(
            nameRange: ByteRange(start: Int32(start), end: Int32(nameEnd)),
            valueRange: ByteRange(start: Int32(valueStart), end: Int32(valueEnd)), lineEnd: Int32(cursor),
            name: known(span, start, nameEnd - start))
    }

    /// Names by length first, so that most are told apart by one comparison.
    private static func known(_ span: Span<UInt8>, _ start: Int, _ count: Int) -> KnownField {
        func named(_ text: StaticString, _ field: KnownField) -> KnownField {
            equals(span, start, count, text, ignoringCase: true) ? field : .other
        }
        let first = lowered(span[start])
        switch (count, first) {
        case (2, UInt8(ascii: "t")): return named("te", .te)
        case (3, UInt8(ascii: "v")): return named("via", .via)
        case (4, UInt8(ascii: "h")): return named("host", .host)
        case (4, UInt8(ascii: "d")): return named("date", .date)
        case (6, UInt8(ascii: "a")): return named("accept", .accept)
        case (6, UInt8(ascii: "c")): return named("cookie", .cookie)
        case (6, UInt8(ascii: "e")): return named("expect", .expect)
        case (6, UInt8(ascii: "s")): return named("server", .server)
        case (7, UInt8(ascii: "u")): return named("upgrade", .upgrade)
        case (7, UInt8(ascii: "t")): return named("trailer", .trailer)
        case (8, UInt8(ascii: "l")): return named("location", .location)
        case (9, UInt8(ascii: "f")): return named("forwarded", .forwarded)
        case (10, UInt8(ascii: "c")): return named("connection", .connection)
        case (10, UInt8(ascii: "k")): return named("keep-alive", .keepAlive)
        case (10, UInt8(ascii: "s")): return named("set-cookie", .setCookie)
        case (10, UInt8(ascii: "u")): return named("user-agent", .userAgent)
        case (12, UInt8(ascii: "c")): return named("content-type", .contentType)
        case (13, UInt8(ascii: "a")): return named("authorization", .authorization)
        case (14, UInt8(ascii: "c")): return named("content-length", .contentLength)
        case (15, UInt8(ascii: "x")): return named("x-forwarded-for", .xForwardedFor)
        case (16, UInt8(ascii: "p")): return named("proxy-connection", .proxyConnection)
        case (16, UInt8(ascii: "c")): return named("content-encoding", .contentEncoding)
        case (17, UInt8(ascii: "t")): return named("transfer-encoding", .transferEncoding)
        default: return .other
        }
    }

    @inline(__always)
    private static func equals(
        _ span: Span<UInt8>, _ start: Int, _ count: Int, _ text: StaticString, ignoringCase: Bool
    )
        -> Bool
    {
        guard count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { expected in
            for index in 0..<count {
                let byte = ignoringCase ? lowered(span[start + index]) : span[start + index]
                if byte != expected[index] { return false }
            }
            return true
        }
    }
}

import Glibc
import KernelStructures

/// What a reader found next in its input.
public enum HTTPEvent: Equatable, Sendable {
    /// The input is used up.
    case needMore
    /// `reader.head` is complete.
    case head
    /// A piece of the body: this range of the input.
    case body(Range<Int>)
    /// The message is complete; the next call begins another.
    case end
    /// The message is malformed, or too large. Nothing more can be read from this connection.
    case failed(HTTPError)
}

/// Reads a sequence of HTTP/1.1 requests or responses from bytes, however they are cut (RFC 9112).
///
/// The reader does no input or output and copies no body: it is given a buffer and says which ranges of it are body.
/// Call `next` with the same buffer until it answers `.needMore`, then with the next buffer and position 0.
///
/// ```
/// var position = 0
/// while true {
///     switch reader.next(buffer, &position) {
///     case .head: …            // reader.head
///     case .body(let range): … // buffer[range]
///     case .end: …
///     case .needMore: return
///     case .failed(let error): …
///     }
/// }
/// ```
public struct HTTPReader: Sendable {
    public enum Kind: Sendable { case requests, responses }

    public let kind: Kind
    public var limits: HTTPLimits
    /// The message that is being read, from its `.head` event on.
    public private(set) var head = HTTPHead()
    /// The method of the request whose response comes next; a response to HEAD has no body.
    public var requestMethod = HTTPMethod.get

    private var state = State.head
    /// A head that came in pieces, and how far it has been looked at.
    private var partial: [UInt8] = []
    private var lineStart = 0
    private var searched = 0
    /// A line of the head that is being looked at ends in LF alone.
    private var hasBareLines = false
    private var bodyBytes = 0
    /// Heads that were complete enough to be parsed.
    private var headCount = 0
    private var chunk = ChunkReader()

    private enum State: Equatable {
        case head
        case length(remaining: Int)
        case chunked
        case untilClose
        case ended
        case failed(HTTPError)
    }

    public init(_ kind: Kind, limits: HTTPLimits = HTTPLimits()) {
        self.kind = kind
        self.limits = limits
    }

    /// Gives away the memory of the last message's head, which is over: for one who reads many connections, most of
    /// them idle. `head` is empty until the next message.
    public mutating func releaseHead() -> HTTPHead {
        forgetTrailers()
        var released = HTTPHead()
        swap(&released, &head)
        return released
    }

    /// Takes such memory for the next message.
    public mutating func adoptHead(_ spare: consuming HTTPHead) { head = spare }

    /// The field lines behind a chunked body, each with its CRLF, from the message's `.end` on; see `HTTPTrailers`.
    public var trailers: [UInt8] { chunk.trailers }

    private mutating func forgetTrailers() { if !chunk.trailers.isEmpty { chunk = ChunkReader() } }

    /// What has arrived of a head that is not whole yet.
    public var partialHead: [UInt8] { partial }

    /// Whether a message has begun and not ended.
    public var isInsideMessage: Bool { state != .head || !partial.isEmpty }

    public mutating func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> HTTPEvent {
        switch state {
        case .head:
            let parsed = headCount
            do throws(HTTPError) {
                return try readHead(input, &position) ? .head : .needMore
            } catch {
                // What could not even be taken for a head must not be answered as the message before it.
                if parsed == headCount { head.reset() }
                return fail(error)
            }
        case .length(let remaining):
            if remaining == 0 { return finish() }
            if position == input.count { return .needMore }
            let count = min(remaining, input.count - position)
            position += count
            state = .length(remaining: remaining - count)
            return .body(position - count..<position)
        case .chunked:
            return nextChunked(input, &position)
        case .untilClose:
            if position == input.count { return .needMore }
            let start = position
            position = input.count
            return .body(start..<position)
        case .ended:
            return finish()
        case .failed(let error):
            return .failed(error)
        }
    }

    /// The connection has ended: what that means for the message that is being read.
    ///
    /// - Returns: `.end` if it is complete by that, `.needMore` if there was none, `.failed` if it was cut short.
    public mutating func inputEnded() -> HTTPEvent {
        switch state {
        case .head where partial.isEmpty: return .needMore
        case .untilClose: return finish()
        case .failed(let error): return .failed(error)
        default: return fail(HTTPError(kind == .requests ? 400 : 502, "the connection ended within a message"))
        }
    }

    private mutating func finish() -> HTTPEvent {
        state = .head
        return .end
    }

    private mutating func fail(_ error: HTTPError) -> HTTPEvent {
        state = .failed(error)
        partial = []
        return .failed(error)
    }

    // MARK: Heads

    private mutating func readHead(_ input: UnsafeRawBufferPointer, _ position: inout Int) throws(HTTPError) -> Bool {
        if partial.isEmpty {
            if kind == .requests { skipEmptyLines(input, &position) }
            let rest = UnsafeRawBufferPointer(rebasing: input[position...])
            guard let length = try findEnd(rest) else {
                partial.append(contentsOf: rest)
                position = input.count
                return false
            }
            try takeHead(UnsafeRawBufferPointer(rebasing: rest[..<length]))
            position += length
            return true
        }
        if kind == .requests, partial.count == 1, partial[0] == 13, position < input.count, input[position] == 10 {
            // An empty line before the request line that came in two pieces.
            partial.removeAll(keepingCapacity: true)
            searched = 0
            position += 1
            return try readHead(input, &position)
        }
        let before = partial.count
        // Only as much as a head may be long: the rest of the buffer is most likely body.
        let taken = min(input.count - position, limits.headBytes + 1)
        partial.append(contentsOf: UnsafeRawBufferPointer(rebasing: input[position..<position + taken]))
        var failure: HTTPError?
        let length = partial.withUnsafeBytes { bytes -> Int? in
            do throws(HTTPError) {
                return try findEnd(bytes)
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        guard let length else {
            position += taken
            return false
        }
        position += length - before
        partial.removeLast(partial.count - length)
        let whole = partial
        partial.removeAll(keepingCapacity: false)
        var parseFailure: HTTPError?
        whole.withUnsafeBytes { bytes in
            do throws(HTTPError) { try takeHead(bytes) } catch { parseFailure = error }
        }
        if let parseFailure { throw parseFailure }
        return true
    }

    /// RFC 9112 §2.2: a server should ignore an empty line before a request line.
    private func skipEmptyLines(_ input: UnsafeRawBufferPointer, _ position: inout Int) {
        while position + 1 < input.count, input[position] == 13, input[position + 1] == 10 { position += 2 }
    }

    /// The length of the head at the start of `bytes`, its empty line included; nil while it is incomplete.
    /// Goes on where the last call stopped.
    ///
    /// RFC 9112 §2.2 lets a recipient take a single LF for a line's end. Of a client that would be a second way of
    /// reading its request; of a server it is borne with, as what goes on from here is written anew.
    private mutating func findEnd(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) -> Int? {
        while searched < bytes.count, let found = memchr(bytes.baseAddress! + searched, 10, bytes.count - searched) {
            let newline = UnsafeRawPointer(found) - bytes.baseAddress!
            // The limits first: had the line come in pieces, they would have been hit before its end was seen.
            if lineStart == 0, newline + 1 > limits.startLineBytes { throw tooLong(isStartLine: true) }
            if newline + 1 > limits.headBytes { throw tooLong(isStartLine: false) }
            let isBare = newline == lineStart || bytes[newline - 1] != 13
            if isBare {
                guard kind == .responses else { throw HTTPError(400, "a line ends without CR") }
                hasBareLines = true
            }
            searched = newline + 1
            if newline == (isBare ? lineStart : lineStart + 1), lineStart > 0 {
                searched = 0
                lineStart = 0
                return newline + 1
            }
            lineStart = newline + 1
        }
        searched = bytes.count
        if lineStart == 0, bytes.count > limits.startLineBytes { throw tooLong(isStartLine: true) }
        if bytes.count > limits.headBytes { throw tooLong(isStartLine: false) }
        return nil
    }

    private func tooLong(isStartLine: Bool) -> HTTPError {
        if kind == .responses { return HTTPError(502, "the response head is longer than \(limits.headBytes) bytes") }
        return isStartLine
            ? HTTPError(414, "the request line is longer than \(limits.startLineBytes) bytes")
            : HTTPError(431, "the request head is longer than \(limits.headBytes) bytes")
    }

    private mutating func takeHead(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        headCount &+= 1
        head.reset()
        if hasBareLines { append(completing: bytes) } else { head.bytes.append(contentsOf: bytes) }
        switch kind {
        case .requests: try head.parseRequest(limits)
        case .responses: try head.parseResponse(to: requestMethod, limits)
        }
        bodyBytes = 0
        forgetTrailers()
        switch head.body {
        case .none: state = .ended
        case .length(let length): state = .length(remaining: length)
        case .untilClose: state = .untilClose
        case .chunked:
            state = .chunked
            chunk = ChunkReader(isLenient: kind == .responses)
        }
    }

    /// Takes a head with the CRs that its lines lack, so that nobody behind this place meets such a line.
    private mutating func append(completing bytes: UnsafeRawBufferPointer) {
        hasBareLines = false
        var last: UInt8 = 0
        for byte in bytes {
            if byte == 10, last != 13 { head.bytes.append(13) }
            head.bytes.append(byte)
            last = byte
        }
    }

    // MARK: Chunked bodies

    private mutating func nextChunked(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> HTTPEvent {
        do throws(HTTPError) {
            guard let range = try chunk.next(input, &position, limits) else {
                return chunk.isComplete ? finish() : .needMore
            }
            bodyBytes += range.count
            if bodyBytes > limits.bodyBytes {
                throw HTTPError(413, "the body is larger than \(limits.bodyBytes) bytes")
            }
            return .body(range)
        } catch {
            return fail(kind == .requests ? error : HTTPError(502, error.text))
        }
    }
}

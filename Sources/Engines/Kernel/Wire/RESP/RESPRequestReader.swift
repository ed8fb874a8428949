import Glibc
import KernelStructures

/// Reads the requests of a client, however their bytes are cut: arrays of bulk strings, and lines as a person types
/// them (redis.io, "RESP protocol spec").
///
/// ## An everyday picture
///
/// A postal clerk who reads addresses through the window of the envelope. As long as a letter has come whole, he
/// needs no copy of it: he notes where each line stands, and passes the letter on. Only of a letter that comes in
/// pieces does he lay the pieces together on his desk, and goes on where he had stopped reading.
///
/// ```
///  *3 CRLF $3 CRLF SET CRLF $1 CRLF k CRLF $5 CRLF hello CRLF
///                  └─────┘          └─┘            └───┘      spans, counted from the `*`
/// ```
///
/// Call `next` with the same buffer until it answers `.needMore`, then with the next buffer and position 0. What has
/// been understood of an unfinished request is never read twice, so a value of 100 MB in small pieces costs what its
/// bytes cost. A length that was announced reserves no memory: only what has come takes any.
public final class RESPRequestReader {
    public enum Event: Equatable, Sendable {
        /// The input is used up.
        case needMore
        /// `arguments` is complete.
        case request
        case failed(RESPError)
    }

    public var limits: RESPLimits
    /// The words of the last request; valid until the next call of `next`.
    public private(set) var arguments: RESPArguments

    private enum Stage { case start, inline, count, headers, failed }
    private var stage = Stage.start
    private var failure = RESPError("")
    /// Bytes of the present request that are understood, counted from its start.
    private var cursor = 0
    private var expectedCount = 0
    /// Bytes of the bulk string that comes next; nil while its header has not been read.
    private var bulkCount: Int?
    private var spans: UnsafeMutablePointer<RESPSpan>
    private var spanCapacity = 8
    private var spanCount = 0
    /// The bytes of a request that came in pieces.
    private var held = RawBytes()
    private var isHeldSpent = false
    /// The words of a line, without their quotes.
    private var inlineBytes = RawBytes()

    public init(limits: RESPLimits = RESPLimits()) {
        self.limits = limits
        spans = .allocate(capacity: spanCapacity)
        arguments = RESPArguments(base: UnsafeRawPointer(spans), spans: spans, count: 0)
    }

    deinit { spans.deallocate() }

    /// Whether a request has begun and not ended.
    public var isInsideRequest: Bool { stage != .failed && held.count > 0 && !isHeldSpent }
    /// Bytes kept of an unfinished request.
    public var heldByteCount: Int { isHeldSpent ? 0 : held.count }

    public func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Event {
        if isHeldSpent {
            held.removeAll()
            isHeldSpent = false
        }
        while true {
            if stage == .failed { return .failed(failure) }
            if held.count > 0 {
                guard let event = nextHeld(input, &position) else { continue }
                return event
            }
            guard position < input.count else { return .needMore }
            let rest = UnsafeRawBufferPointer(rebasing: input[position...])
            guard parse(rest) else {
                if stage == .failed { continue }
                held.append(rest)
                position = input.count
                if held.count > limits.requestBytes { fail("the request is longer than \(limits.requestBytes) bytes") }
                continue
            }
            position += cursor
            if finish(rest.baseAddress!) { return .request }
        }
    }

    /// Goes on with a request that came in pieces. Nil: look again.
    private func nextHeld(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Event? {
        guard position < input.count else { return .needMore }
        let before = held.count
        // Of a long string only what belongs to it; of anything else what there is, and the rest is given back.
        let wanted = bulkCount.map { max(1, cursor + $0 + 2 - before) } ?? Int.max
        let taken = min(input.count - position, wanted)
        held.append(UnsafeRawBufferPointer(rebasing: input[position..<position + taken]))
        guard parse(held.all) else {
            position += taken
            if held.count > limits.requestBytes { fail("the request is longer than \(limits.requestBytes) bytes") }
            return nil
        }
        position += cursor - before
        isHeldSpent = true
        if finish(held.all.baseAddress!) { return .request }
        held.removeAll()
        isHeldSpent = false
        return nil
    }

    /// A request is complete; false for one without words, which asks for nothing.
    private func finish(_ base: UnsafeRawPointer) -> Bool {
        let isInline = stage == .inline
        stage = .start
        cursor = 0
        if spanCount == 0 { return false }
        // A line of nothing but empty words has no bytes to point to; any address will do.
        let start = isInline ? inlineBytes.all.baseAddress ?? UnsafeRawPointer(spans) : base
        arguments = RESPArguments(base: start, spans: spans, count: spanCount)
        return true
    }

    private func fail(_ text: String) {
        failure = RESPError(text)
        stage = .failed
        held.removeAll()
    }

    // MARK: Parsing

    /// Goes on parsing the request that begins with `bytes`, from `cursor`. True when it is complete.
    private func parse(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if stage == .start {
            spanCount = 0
            bulkCount = nil
            stage = bytes[0] == UInt8(ascii: "*") ? .count : .inline
        }
        switch stage {
        case .inline: return parseLine(bytes)
        case .count:
            guard parseCount(bytes) else { return false }
            stage = .headers
            return parseWords(bytes)
        case .headers: return parseWords(bytes)
        case .start, .failed: return false
        }
    }

    private func parseCount(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var place = 1
        switch Self.number(bytes, &place) {
        case .incomplete: return false
        case .malformed: break
        case .value(let count) where count <= limits.argumentCount:
            expectedCount = max(0, count)
            cursor = place
            return true
        case .value: break
        }
        fail("invalid multibulk length")
        return false
    }

    private func parseWords(_ bytes: UnsafeRawBufferPointer) -> Bool {
        while spanCount < expectedCount {
            if bulkCount == nil {
                guard cursor < bytes.count else { return false }
                guard bytes[cursor] == UInt8(ascii: "$") else {
                    fail("expected '$', got '\(Self.shown(bytes[cursor]))'")
                    return false
                }
                var place = cursor + 1
                switch Self.number(bytes, &place) {
                case .incomplete: return false
                case .value(let length) where length >= 0 && length <= limits.bulkBytes:
                    bulkCount = length
                    cursor = place
                default:
                    fail("invalid bulk length")
                    return false
                }
            }
            guard let length = bulkCount, bytes.count - cursor > length else { return false }
            guard bytes[cursor + length] == 13 else { return failBulkEnd() }
            guard bytes.count - cursor > length + 1 else { return false }
            guard bytes[cursor + length + 1] == 10 else { return failBulkEnd() }
            append(RESPSpan(offset: cursor, count: length))
            cursor += length + 2
            bulkCount = nil
        }
        return true
    }

    private func failBulkEnd() -> Bool {
        fail("a bulk string is not followed by CRLF")
        return false
    }

    private func append(_ span: RESPSpan) {
        if spanCount == spanCapacity {
            let wider = UnsafeMutablePointer<RESPSpan>.allocate(capacity: spanCapacity * 2)
            wider.update(from: spans, count: spanCount)
            spans.deallocate()
            spans = wider
            spanCapacity *= 2
        }
        spans[spanCount] = span
        spanCount += 1
    }

    private enum Number { case value(Int), incomplete, malformed }

    /// A decimal number with its CRLF, from `place` on. Judged byte by byte, so that the verdict is the same however
    /// the bytes were cut.
    private static func number(_ bytes: UnsafeRawBufferPointer, _ place: inout Int) -> Number {
        var index = place
        var value = 0
        var isNegative = false
        if index < bytes.count, bytes[index] == UInt8(ascii: "-") {
            isNegative = true
            index += 1
        }
        let first = index
        while index < bytes.count {
            let digit = bytes[index] &- 48
            if digit > 9 { break }
            if index - first >= 18 || (index == first + 1 && value == 0) { return .malformed }
            value = value &* 10 &+ Int(digit)
            index += 1
        }
        guard index < bytes.count else { return .incomplete }
        guard index > first, bytes[index] == 13 else { return .malformed }
        guard index + 1 < bytes.count else { return .incomplete }
        guard bytes[index + 1] == 10 else { return .malformed }
        place = index + 2
        return .value(isNegative ? -value : value)
    }

    private func parseLine(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let rest = min(bytes.count, limits.inlineBytes) - cursor
        guard rest > 0, let found = memchr(bytes.baseAddress! + cursor, 10, rest) else {
            cursor = min(bytes.count, limits.inlineBytes)
            if bytes.count >= limits.inlineBytes { fail("too big inline request") }
            return false
        }
        let newline = UnsafeRawPointer(found) - bytes.baseAddress!
        let end = newline > 0 && bytes[newline - 1] == 13 ? newline - 1 : newline
        guard let words = InlineRequest.words(UnsafeRawBufferPointer(rebasing: bytes[..<end])) else {
            fail("unbalanced quotes in request")
            return false
        }
        guard words.count <= limits.argumentCount else {
            fail("invalid multibulk length")
            return false
        }
        inlineBytes.removeAll()
        for word in words {
            append(RESPSpan(offset: inlineBytes.count, count: word.count))
            word.withUnsafeBytes { inlineBytes.append($0) }
        }
        cursor = newline + 1
        return true
    }

    /// As Redis shows it: line ends as blanks. What is not ASCII stands there as a number.
    private static func shown(_ byte: UInt8) -> String {
        if byte == 10 || byte == 13 { return " " }
        return byte < 128 ? String(UnicodeScalar(byte)) : "\\x" + hexadecimal(UInt64(byte), 2)
    }
}

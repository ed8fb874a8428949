/// Cuts a stream of bytes into messages: lines, or as many bytes as a number in front says.
///
/// TCP knows no messages. RFC 6587 has two ways of cutting: `non-transparent`, a line feed behind each, which a message
/// with a line feed in it breaks, and `octet counting`, the length in front: `32 <34>1 …`. Senders use either, so the
/// first byte of a message decides: a digit begins a length, anything else a line.
public struct LineFraming {
    private var pending: [UInt8] = []
    private var scanned = 0
    private let limitBytes: Int
    /// Whether lengths in front are understood.
    private let countsOctets: Bool
    /// Bytes of a message that is too long, and left out up to its end.
    private var isSkippingLine = false
    private var skipBytes = 0
    /// Messages that were too long.
    public private(set) var tooLongCount = 0

    /// The longest number in front.
    private static let digitLimit = 9

    public init(limitBytes: Int, countsOctets: Bool) {
        self.limitBytes = limitBytes
        self.countsOctets = countsOctets
    }

    public enum Outcome: Equatable, Sendable {
        case open
        /// What should be a length is none: where the next message begins, nobody knows.
        case lost
    }

    /// Calls `body` with each whole message, without its line end. It returns false to be given no more for now: the
    /// rest waits for `resume`.
    public mutating func feed(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool
    ) -> Outcome {
        pending.append(contentsOf: bytes)
        return resume(body)
    }

    public var pendingBytes: Int { pending.count }

    public mutating func resume(_ body: (UnsafeRawBufferPointer) -> Bool) -> Outcome {
        var start = 0
        var outcome = Outcome.open
        loop: while start < pending.count {
            if skipBytes > 0 {
                let count = min(skipBytes, pending.count - start)
                skipBytes -= count
                start += count
                continue
            }
            switch frame(from: start) {
            case .more: break loop
            case .lost:
                outcome = .lost
                break loop
            case .skip(let next): start = next
            case .message(let range, let next):
                let goesOn = pending.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
                start = next
                scanned = 0
                if !goesOn { break loop }
            }
        }
        if start > 0 {
            pending.removeFirst(start)
            scanned = max(0, scanned - start)
        }
        return outcome
    }

    /// The end has come: what is left is a line without an end.
    public mutating func finish(_ body: (UnsafeRawBufferPointer) -> Void) {
        if !pending.isEmpty, !isSkippingLine, skipBytes == 0 {
            pending.withUnsafeBytes { body($0) }
        }
        pending = []
        scanned = 0
    }

    private enum Frame {
        case more
        case lost
        case skip(to: Int)
        case message(Range<Int>, next: Int)
    }

    private mutating func frame(from start: Int) -> Frame {
        if countsOctets, !isSkippingLine, scanned == 0, pending[start] &- 49 < 9 { return counted(from: start) }
        var end = start + scanned
        while end < pending.count, pending[end] != 10 { end += 1 }
        guard end < pending.count else {
            scanned = end - start
            guard end - start > limitBytes else { return .more }
            if !isSkippingLine { tooLongCount += 1 }
            isSkippingLine = true
            scanned = 0
            return .skip(to: end)
        }
        scanned = 0
        if isSkippingLine {
            isSkippingLine = false
            return .skip(to: end + 1)
        }
        if end - start > limitBytes {
            tooLongCount += 1
            return .skip(to: end + 1)
        }
        let isWithReturn = end > start && pending[end - 1] == 13
        let last = isWithReturn ? end - 1 : end
        return last == start ? .skip(to: end + 1) : .message(start..<last, next: end + 1)
    }

    private mutating func counted(from start: Int) -> Frame {
        var place = start
        var length = 0
        while place < pending.count, pending[place] &- 48 < 10, place - start < Self.digitLimit {
            length = length * 10 + Int(pending[place] - 48)
            place += 1
        }
        guard place < pending.count else { return .more }
        guard pending[place] == 0x20 else { return .lost }
        place += 1
        if length > limitBytes {
            tooLongCount += 1
            skipBytes = length
            return .skip(to: place)
        }
        guard pending.count - place >= length else { return .more }
        // Some senders put a line end behind it all the same.
        var next = place + length
        if next < pending.count, pending[next] == 10 { next += 1 }
        var last = place + length
        while last > place, pending[last - 1] == 10 || pending[last - 1] == 0 { last -= 1 }
        return last == place ? .skip(to: next) : .message(place..<last, next: next)
    }
}

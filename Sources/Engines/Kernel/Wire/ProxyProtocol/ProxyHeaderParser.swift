import KernelStructures

// Rules of this file:
//   1. The verdict depends on the bytes alone, never on how they were cut: up to the point where the length is known
//      they are judged one by one.
//   2. Nothing beyond the header is taken, and nothing is decoded before the header is complete (§2.1, §2.2).
//   3. What the specification allows is accepted, and nothing else: two receivers that are lenient in different ways
//      see two different clients.

/// What a parser makes of its input.
public enum ProxyHeaderEvent: Equatable, Sendable {
    /// The input is used up, the header is not complete.
    case needMore
    /// The header is complete; the connection's own bytes begin at the position.
    case header(ProxyHeader)
    /// This is no header; the connection is to be aborted.
    case failed(ProxyHeaderError)
}

/// Reads the one PROXY header at the start of a connection, of either version, from bytes however they are cut.
///
/// ```
/// var position = 0
/// switch parser.next(buffer, &position) {
/// case .needMore: return                // all of the buffer was taken
/// case .header(let header): …           // buffer[position...] is the connection's own
/// case .failed(let error): …            // abort
/// }
/// ```
///
/// It holds at most `byteLimit` bytes, and takes from its input at most what the header has.
public struct ProxyHeaderParser: Sendable {
    /// Bytes of the longest header of version 2 that is accepted, all included. A line of version 1 has a limit of its
    /// own, `ProxyHeader.lineByteLimit`.
    public let byteLimit: Int
    /// Bytes taken so far; after `.header`, the header's length.
    public private(set) var byteCount = 0

    private var held: [UInt8] = []
    /// The header's length, once it is known.
    private var total: Int?
    private var outcome = ProxyHeaderEvent.needMore

    /// What nginx accepts; HAProxy sends a few hundred bytes at most.
    public static let defaultByteLimit = 4096

    /// - Parameter byteLimit: at least 16 (the part before the addresses); at most 65,551 can occur.
    public init(byteLimit: Int = Self.defaultByteLimit) {
        precondition(byteLimit >= ProxyHeader.fixedByteCount, "a header has at least 16 bytes")
        self.byteLimit = byteLimit
    }

    /// Reads on, from `position`, which it moves. After `.header` and `.failed` it takes nothing more, and says the
    /// same again.
    public mutating func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> ProxyHeaderEvent {
        guard outcome == .needMore else { return outcome }
        let start = position
        do throws(ProxyHeaderError) {
            if let header = try read(input, &position) { outcome = .header(header) }
        } catch {
            outcome = .failed(error)
        }
        byteCount += position - start
        if outcome != .needMore { held = [] }
        return outcome
    }

    private mutating func read(_ input: UnsafeRawBufferPointer, _ position: inout Int) throws(ProxyHeaderError)
        -> ProxyHeader?
    {
        while position < input.count {
            if let total {
                let count = min(total - held.count, input.count - position)
                held.append(contentsOf: UnsafeRawBufferPointer(rebasing: input[position..<position + count]))
                position += count
            } else {
                held.append(input[position])
                position += 1
                if held[0] == UInt8(ascii: "P") {
                    if try takeIntoLine() { return try ProxyHeader(line: held[...]) }
                } else {
                    try takeIntoBlock()
                }
            }
            if held.count == total { return try ProxyHeader(block: held) }
        }
        return nil
    }

    /// Judges the newest byte of a line; true if the line is complete.
    private func takeIntoLine() throws(ProxyHeaderError) -> Bool {
        let newest = held.count - 1
        let byte = held[newest]
        if newest < ProxyHeader.lineStart.count {
            guard byte == ProxyHeader.lineStart[newest] else { throw .notAHeader }
            return false
        }
        let followsCR = held[newest - 1] == 13
        if byte == 10, followsCR { return true }
        // A line that ends in one of the two alone would end elsewhere for somebody else.
        if byte == 10 || followsCR { throw .malformed("the line does not end in CRLF") }
        if held.count == ProxyHeader.lineByteLimit { throw .tooLong(limitBytes: ProxyHeader.lineByteLimit) }
        return false
    }

    /// Judges the newest of the first 16 bytes of a block; sets the length with the last of them.
    private mutating func takeIntoBlock() throws(ProxyHeaderError) {
        let newest = held.count - 1
        let byte = held[newest]
        switch newest {
        case ..<12:
            guard byte == ProxyHeader.signature[newest] else { throw .notAHeader }
        case 12:
            guard byte >> 4 == 2 else { throw .malformed("version \(byte >> 4)") }
            guard byte & 15 <= 1 else { throw .malformed("command \(byte & 15)") }
        case 13 where held[12] & 15 == 1:
            guard byte >> 4 <= 3 else { throw .malformed("address family \(byte >> 4)") }
            guard byte & 15 <= 2 else { throw .malformed("transport \(byte & 15)") }
        case 15:
            let total = ProxyHeader.fixedByteCount + Int(held[14]) << 8 + Int(byte)
            guard total <= byteLimit else { throw .tooLong(limitBytes: byteLimit) }
            self.total = total
        // A LOCAL's family is not looked at (§2.2), and half a length says nothing.
        default: break
        }
    }
}

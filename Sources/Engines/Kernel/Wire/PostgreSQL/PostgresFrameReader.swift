import KernelStructures

/// What a reader accepts, in bytes.
public struct PostgresLimits: Sendable {
    /// The first message of a connection: `MAX_STARTUP_PACKET_LENGTH`.
    public var startupBytes = 10_000
    /// Any other. PostgreSQL's own limit is 1 GB.
    public var messageBytes = 256 << 20

    public init() {}
}

/// Cuts a stream into messages, however its bytes come: a letter, a length that counts itself, a body. The first
/// messages of a client have no letter.
///
/// ```
///  'Q' 00 00 00 0d  s e l e c t ␠ 1 00          00 00 00 08  04 d2 16 2f
///  └letter └length   └body                        └length      └body: SSLRequest
/// ```
///
/// A message that has come whole is shown in place; only one that comes in pieces is laid together. A length that was
/// announced reserves no memory. Call `next` with the same buffer until it answers `.needMore`.
public final class PostgresFrameReader {
    public enum Event {
        /// The input is used up.
        case needMore
        /// One message. The bytes are valid until the next call of `next`.
        case frame(PostgresFrame)
        /// Where the next message begins can no longer be known.
        case failed(PostgresError)
    }

    public var limits: PostgresLimits
    /// Whether the next message has no letter: how each client begins, and goes on after SSLRequest.
    public var expectsStartup: Bool
    /// The bytes of a message that came in pieces.
    private var held = RawBytes()
    /// The message in pieces has been shown: the next call forgets it.
    private var isHeldSpent = false
    private var failure: PostgresError?

    public init(expectsStartup: Bool, limits: PostgresLimits = PostgresLimits()) {
        self.expectsStartup = expectsStartup
        self.limits = limits
    }

    /// Bytes kept of an unfinished message.
    public var heldByteCount: Int { isHeldSpent ? 0 : held.count }

    public func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Event {
        if let failure { return .failed(failure) }
        if isHeldSpent {
            held.removeAll()
            isHeldSpent = false
        }
        let head = expectsStartup ? 4 : 5
        if held.count == 0 {
            let rest = UnsafeRawBufferPointer(rebasing: input[position...])
            if rest.count >= head {
                guard let whole = length(rest) else { return .failed(failure!) }
                if rest.count >= whole {
                    position += whole
                    return .frame(frame(UnsafeRawBufferPointer(rebasing: rest[..<whole]), head))
                }
            }
            held.append(rest)
            position = input.count
            return .needMore
        }
        take(head, input, &position)
        guard held.count >= head else { return .needMore }
        guard let whole = length(held.all) else { return .failed(failure!) }
        take(whole, input, &position)
        guard held.count == whole else { return .needMore }
        isHeldSpent = true
        return .frame(frame(held.all, head))
    }

    /// The bytes of the whole message that begins here; nil if there is none like it.
    private func length(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let letter = expectsStartup ? 0 : 1
        let count = Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: letter, as: Int32.self)))
        if expectsStartup {
            guard count >= 8, count <= limits.startupBytes else {
                return fail("invalid length of startup packet")
            }
        } else {
            guard count >= 4, count <= limits.messageBytes else { return fail("invalid message length") }
        }
        return count + letter
    }

    private func fail(_ message: String) -> Int? {
        failure = .violation(message)
        held.removeAll()
        return nil
    }

    /// Lays together up to `count` bytes of the message in pieces.
    private func take(_ count: Int, _ input: UnsafeRawBufferPointer, _ position: inout Int) {
        let taken = min(count - held.count, input.count - position)
        guard taken > 0 else { return }
        held.append(UnsafeRawBufferPointer(rebasing: input[position..<position + taken]))
        position += taken
    }

    private func frame(_ bytes: UnsafeRawBufferPointer, _ head: Int) -> PostgresFrame {
        PostgresFrame(letter: head == 5 ? bytes[0] : 0, bytes: bytes)
    }
}

/// One message, not yet understood.
public struct PostgresFrame {
    /// What it is; 0 for one without a letter.
    public let letter: UInt8
    /// All of it, with letter and length: to be passed on.
    public let bytes: UnsafeRawBufferPointer

    /// - Parameter bytes: one whole message, which begins with the letter.
    public init(letter: UInt8, bytes: UnsafeRawBufferPointer) {
        self.letter = letter
        self.bytes = bytes
    }

    /// What follows the length.
    public var body: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[(letter == 0 ? 4 : 5)...]) }
}

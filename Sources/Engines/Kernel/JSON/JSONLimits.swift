/// How much of a document is read before it is refused.
public struct JSONLimits: Sendable {
    /// The greatest length in bytes.
    public var bytes: Int
    /// How many objects and arrays may be open at a time, at most `deepest`.
    public var depth: Int
    /// How many values there may be, elements and members' values included.
    public var values: Int
    public var duplicates: Duplicates
    /// Whether a number with a point or an exponent stays as it was written (`decimal`), instead of becoming a
    /// `Double`.
    public var keepsDecimals = false

    /// What becomes of an object that names a member twice.
    public enum Duplicates: Sendable {
        /// It is refused: two readers could take different ones for valid (RFC 8259, section 4).
        case rejected
        /// The last value stands, in the place of the first.
        case lastWins
    }

    /// Comparing and writing a value call themselves once for each level; this many fit any thread's stack.
    public static let deepest = 1_000

    /// - Parameters: what is not given is what a request's body may have.
    public init(
        bytes: Int = 16 << 20, depth: Int = 256, values: Int = 1_000_000, duplicates: Duplicates = .rejected
    ) {
        self.bytes = bytes
        self.depth = min(depth, Self.deepest)
        self.values = values
        self.duplicates = duplicates
    }
}

/// Why bytes are no JSON, or more of it than is wanted.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, and what would have been right: `expected ',' or ']'`.
    public let problem: String
    /// From 1.
    public let line: Int
    /// From 1, in characters.
    public let column: Int
    /// From 0, in bytes.
    public let offset: Int

    init(_ problem: String, at offset: Int, in bytes: UnsafeRawBufferPointer) {
        self.problem = problem
        self.offset = min(offset, bytes.count)
        let before = bytes[..<self.offset]
        line = 1 + before.count { $0 == UInt8(ascii: "\n") }
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        // Continuation bytes of UTF-8 begin no character.
        column = 1 + before[lineStart...].count { $0 & 0xC0 != 0x80 }
    }

    public var description: String { "line \(line), column \(column) (byte \(offset)): \(problem)" }
}

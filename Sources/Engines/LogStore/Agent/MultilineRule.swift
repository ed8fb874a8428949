import KernelRegularExpressions

/// Which lines belong together: a stack trace is one message, not forty.
public struct MultilineRule: Sendable {
    private let start: RegularExpression
    /// Lines of a message at most.
    public let lineLimit: Int

    /// - Parameter start: a line that it matches begins a message; others go on with the one before.
    /// - Throws: `RegularExpressionError`.
    public init(start: String, lineLimit: Int = 500) throws(RegularExpressionError) {
        self.start = try RegularExpression(start)
        self.lineLimit = lineLimit
    }

    public func begins(_ line: UnsafeRawBufferPointer) -> Bool { start.matches(line, .anywhere) }
}

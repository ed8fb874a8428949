/// A metric's name: `[a-zA-Z_:][a-zA-Z0-9_:]*`, at most 255 bytes.
public struct MetricName: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let text: String

    static let byteLimit = 255

    /// - Throws: `MetricError.badName`.
    public init(_ text: String) throws(MetricError) {
        guard Self.isValid(text) else { throw .badName(text) }
        self.text = text
    }

    /// A name in the program's text must be one.
    public init(stringLiteral text: StaticString) {
        self.text = text.description
        precondition(Self.isValid(self.text), "'\(text)' is no name of a metric")
    }

    public var description: String { text }

    static func isValid(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= byteLimit else { return false }
        return !isDigit(first) && bytes.allSatisfy { isWordByte($0) || $0 == UInt8(ascii: ":") }
    }
}

/// A label's name: `[a-zA-Z_][a-zA-Z0-9_]*`, at most 255 bytes; names that begin with `__` are the monitoring system's.
public struct LabelName: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let text: String

    /// - Throws: `MetricError.badLabel`.
    public init(_ text: String) throws(MetricError) {
        guard Self.isValid(text) else { throw .badLabel(text) }
        self.text = text
    }

    /// A name in the program's text must be one.
    public init(stringLiteral text: StaticString) {
        self.text = text.description
        precondition(Self.isValid(self.text), "'\(text)' is no name of a label")
    }

    public var description: String { text }

    static func isValid(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, bytes.count <= MetricName.byteLimit else { return false }
        return !isDigit(first) && bytes.allSatisfy(isWordByte) && !text.hasPrefix("__")
    }
}

private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

private func isWordByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte == UInt8(ascii: "_")
        || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
}

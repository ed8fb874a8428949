/// The text of a log line with its arguments still typed.
///
/// Written as an interpolated string: `"Backend \(port: 8082) failed (\(3) consecutive failures)"`. The recorder of
/// transcripts and the tests of a room ask for the arguments' types; the terminal asks for the text.
public struct LogMessage: ExpressibleByStringInterpolation, Equatable, Sendable {
    public enum Piece: Sendable, Equatable {
        case text(String)
        case value(LogValue)
    }

    public private(set) var pieces: [Piece]

    public init(stringLiteral value: String) { pieces = [.text(value)] }
    public init(stringInterpolation: StringInterpolation) { pieces = stringInterpolation.pieces }

    public struct StringInterpolation: StringInterpolationProtocol {
        var pieces: [Piece] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            pieces.reserveCapacity(interpolationCount * 2 + 1)
        }

        public mutating func appendLiteral(_ literal: String) {
            if !literal.isEmpty { pieces.append(.text(literal)) }
        }

        /// A word that belongs to the template: a name the user chose, a fixed phrase.
        public mutating func appendInterpolation(_ word: String) { pieces.append(.value(.word(word))) }
        public mutating func appendInterpolation(_ number: Int) { pieces.append(.value(.integer(number))) }
        public mutating func appendInterpolation(_ duration: LabDuration) { pieces.append(.value(.duration(duration))) }
        public mutating func appendInterpolation(port: UInt16) { pieces.append(.value(.port(port))) }
        public mutating func appendInterpolation(address: IPAddress) { pieces.append(.value(.address(address))) }
        /// An identifier that differs from run to run.
        public mutating func appendInterpolation(id: String) { pieces.append(.value(.identifier(id))) }
        /// A share of 0…1, printed as a percentage with one decimal.
        public mutating func appendInterpolation(share: Double) { pieces.append(.value(.percentage(share * 100))) }
        public mutating func appendInterpolation(time: LabTime) { pieces.append(.value(.time(time))) }
    }
}

/// An argument of a log line. Words may come from outside, and are shown so that they cannot steer a terminal or begin
/// a line of their own: see `printable`.
public enum LogValue: Sendable, Equatable, CustomStringConvertible {
    case word(String)
    case integer(Int)
    case duration(LabDuration)
    case port(UInt16)
    case address(IPAddress)
    case identifier(String)
    case percentage(Double)
    case time(LabTime)

    public var description: String {
        switch self {
        case .word(let word), .identifier(let word): printable(word, keeping: "\t")
        case .integer(let number): String(number)
        case .duration(let duration): duration.description
        case .port(let port): String(port)
        case .address(let address): address.description
        case .percentage(let percentage): fixedDecimal(percentage, places: 1) + "%"
        case .time(let time): time.description
        }
    }

    /// The hole that stands for this value in a recorded transcript, or nil where the value itself should stand: counts
    /// and names follow from the case, measurements and identifiers differ from run to run.
    public var hole: String? {
        switch self {
        case .word, .port, .integer: nil
        case .duration: "<dur>"
        case .address: "<ip>"
        case .identifier: "<id>"
        case .percentage: "<pct>"
        case .time: "<ts>"
        }
    }
}

extension LogMessage: CustomStringConvertible {
    public var description: String {
        pieces.reduce(into: "") { text, piece in
            switch piece {
            case .text(let part): text += part
            case .value(let value): text += value.description
            }
        }
    }

    /// The text with a hole in place of each argument whose value may differ in another run.
    public var template: String {
        pieces.reduce(into: "") { text, piece in
            switch piece {
            case .text(let part): text += part
            case .value(let value): text += value.hole ?? value.description
            }
        }
    }
}

/// How much a log line matters; `log level` shows a tag's lines from one level upward.
public enum LogLevel: Int, Comparable, Sendable, CaseIterable {
    case debug, info, warning, error
    public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// One line that an engine logged: `[LB] Removed 8082 from pool`.
public struct LogLine: Sendable {
    public let tag: String
    public let level: LogLevel
    public let message: LogMessage

    public init(tag: String, level: LogLevel = .info, message: LogMessage) {
        self.tag = tag
        self.level = level
        self.message = message
    }

    public var text: String { "[\(tag)] \(message)" }
}

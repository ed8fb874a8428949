import KernelStructures
import TimeSeriesEngine

/// Reads a page of metrics: text 0.0.4 or OpenMetrics 1.0, entry by entry.
///
/// ```
/// text         { comment | "# HELP" name text | "# TYPE" name kind | sample }   ; blanks are free
/// openMetrics  the same, one blank everywhere, "# UNIT", exemplars, "# EOF" at the end
/// sample       name [ "{" label { "," label } [ "," ] "}" ] value [ timestamp ] [ exemplar ]
/// exemplar     "#" labels value [ timestamp ]
/// ```
///
/// A page of ten thousand series comes every fifteen seconds, and all but the numbers is the same as last time. So the
/// reader does not take names and labels apart: it finds where they begin and end, and whoever has seen that text
/// before knows which series it is. `labels(of:)` reads what is new, and checks it. All positions are byte offsets.
struct ExpositionReader {
    enum Entry: Equatable {
        case help(name: Range<Int>, text: Range<Int>)
        case type(name: Range<Int>, kind: Range<Int>)
        case unit(name: Range<Int>, unit: Range<Int>)
        case sample(Sample)
    }

    struct Sample: Equatable {
        /// Name and labels as they stand there.
        let series: Range<Int>
        let value: Double
        /// Milliseconds since 1970.
        let timestamp: Int64?
        /// Where an exemplar's labels stand, with its numbers.
        let exemplar: Exemplar?
    }

    struct Exemplar: Equatable {
        let labels: Range<Int>
        let value: Double
        let timestamp: Int64?
    }

    enum Format { case text, openMetrics }

    private let bytes: UnsafeRawBufferPointer
    private let format: Format
    private(set) var position = 0
    private(set) var line = 1
    private var hasEnded = false

    /// - Parameter bytes: must stay valid while the reader is used.
    init(_ bytes: UnsafeRawBufferPointer, _ format: Format) {
        self.bytes = bytes
        self.format = format
    }

    func slice(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[range]) }
    func text(_ range: Range<Int>) -> String { String(decoding: slice(range), as: UTF8.self) }

    private func failure(_ text: String) -> ExpositionError { ExpositionError(line: line, text: text) }

    /// The next entry; nil at the end of the page.
    ///
    /// - Throws: `ExpositionError`.
    mutating func next() throws(ExpositionError) -> Entry? {
        while position < bytes.count {
            if hasEnded { throw failure("something stands behind # EOF") }
            if format == .text { skipBlanks() }
            guard position < bytes.count else { break }
            switch bytes[position] {
            case UInt8(ascii: "\n"):
                if format == .openMetrics { throw failure("an empty line") }
                endLine()
            case UInt8(ascii: "#"): if let entry = try comment() { return entry }
            default: return .sample(try sample())
            }
        }
        if format == .openMetrics, !hasEnded { throw failure("the page ends without # EOF: it may be a part of one") }
        return nil
    }

    // MARK: Lines

    private mutating func skipBlanks() {
        while position < bytes.count, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
    }

    private mutating func endLine() {
        position += 1
        line += 1
    }

    /// To the end of the line, past it; returns what stands there.
    private mutating func restOfLine() -> Range<Int> {
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
        let range = start..<position
        if position < bytes.count { endLine() }
        return range
    }

    /// The one blank of OpenMetrics, or any number of them.
    private mutating func gap() throws(ExpositionError) {
        guard position < bytes.count, bytes[position] == 0x20 || (format == .text && bytes[position] == 0x09) else {
            throw failure("a blank is missing at \(place)")
        }
        position += 1
        if format == .text { skipBlanks() }
    }

    /// What stands here, for errors.
    private var place: String {
        guard position < bytes.count else { return "the end" }
        let end = min(bytes.count, position + 12)
        let part = bytes[position..<end].prefix { $0 != UInt8(ascii: "\n") }
        return part.isEmpty ? "the line's end" : "'\(String(decoding: part, as: UTF8.self))'"
    }

    private mutating func comment() throws(ExpositionError) -> Entry? {
        position += 1
        let isBlank = position < bytes.count && (bytes[position] == 0x20 || bytes[position] == 0x09)
        guard isBlank else {
            if format == .openMetrics { throw failure("a comment is HELP, TYPE, UNIT or EOF") }
            _ = restOfLine()
            return nil
        }
        try gap()
        let start = position
        let word = token()
        let keyword = text(word)
        switch keyword {
        case "HELP", "TYPE", "UNIT":
            if keyword == "UNIT", format == .text { break }
            guard position < bytes.count, bytes[position] != UInt8(ascii: "\n") else { break }
            try gap()
            return try metadata(keyword)
        case "EOF" where format == .openMetrics:
            hasEnded = true
            guard restOfLine().isEmpty else { throw failure("something stands behind # EOF") }
            return nil
        default: break
        }
        if format == .openMetrics { throw failure("a comment is HELP, TYPE, UNIT or EOF") }
        position = start
        _ = restOfLine()
        return nil
    }

    private mutating func metadata(_ keyword: String) throws(ExpositionError) -> Entry {
        let name = token()
        guard Self.isMetricName(slice(name)) else { throw failure("'\(text(name).prefix(64))' is no metric's name") }
        let isAtEnd = position >= bytes.count || bytes[position] == UInt8(ascii: "\n")
        if isAtEnd, keyword != "HELP" {
            if keyword == "TYPE" { throw failure("the kind of \(text(name)) is missing") }
            return .unit(name: name, unit: restOfLine())
        }
        if !isAtEnd { try gap() }
        let rest = restOfLine()
        switch keyword {
        case "HELP": return .help(name: name, text: rest)
        case "UNIT": return .unit(name: name, unit: rest)
        default:
            let kind = trimmed(rest)
            guard MetricType(exposition: text(kind), isOpenMetrics: format == .openMetrics) != nil else {
                throw failure("'\(text(kind).prefix(64))' is no kind of metric")
            }
            return .type(name: name, kind: kind)
        }
    }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        var end = range.upperBound
        while format == .text, end > range.lowerBound, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        return range.lowerBound..<end
    }

    /// Up to a blank or the line's end.
    private mutating func token() -> Range<Int> {
        let start = position
        while position < bytes.count, bytes[position] > 0x20 { position += 1 }
        return start..<position
    }

    // MARK: Samples

    private mutating func sample() throws(ExpositionError) -> Sample {
        let start = position
        while position < bytes.count, Self.isNameByte(bytes[position]) { position += 1 }
        guard position > start, !Self.isDigit(bytes[start]) else { throw failure("no metric's name at \(place)") }
        var end = position
        if format == .text { skipBlanks() }
        if position < bytes.count, bytes[position] == UInt8(ascii: "{") {
            try skipLabels()
            end = position
            if format == .text { skipBlanks() } else { try gap() }
        } else if format == .openMetrics {
            try gap()
        } else if position == end {
            throw failure("a value is missing at \(place)")
        }
        let value = try number("value")
        var timestamp: Int64?
        var exemplar: Exemplar?
        if format == .text {
            skipBlanks()
            if !isAtLineEnd { timestamp = try milliseconds() }
            skipBlanks()
        } else {
            if !isAtLineEnd {
                try gap()
                if bytes.count > position, bytes[position] != UInt8(ascii: "#") {
                    timestamp = try seconds()
                    if !isAtLineEnd { try gap() }
                }
                if !isAtLineEnd { exemplar = try readExemplar() }
            }
        }
        guard isAtLineEnd else { throw failure("the line should end at \(place)") }
        if position < bytes.count { endLine() }
        return Sample(series: start..<end, value: value, timestamp: timestamp, exemplar: exemplar)
    }

    private var isAtLineEnd: Bool { position >= bytes.count || bytes[position] == UInt8(ascii: "\n") }

    private mutating func number(_ what: String) throws(ExpositionError) -> Double {
        let range = token()
        guard let value = NumberText.double(slice(range)) else {
            throw failure("'\(text(range).prefix(40))' is no \(what)")
        }
        return value
    }

    private mutating func milliseconds() throws(ExpositionError) -> Int64 {
        let range = token()
        guard let time = NumberText.integer(slice(range)), SampleTime.range.contains(time) else {
            throw failure("'\(text(range).prefix(40))' is no time in milliseconds")
        }
        return time
    }

    private mutating func seconds() throws(ExpositionError) -> Int64 {
        let time = try number("time in seconds") * 1000
        guard let milliseconds = Int64(exactly: time.rounded(.towardZero)), SampleTime.range.contains(milliseconds)
        else {
            throw failure("\(time / 1000) is no time in seconds")
        }
        return milliseconds
    }

    private mutating func readExemplar() throws(ExpositionError) -> Exemplar {
        guard bytes[position] == UInt8(ascii: "#") else { throw failure("an exemplar begins with #, not \(place)") }
        position += 1
        try gap()
        let start = position
        guard position < bytes.count, bytes[position] == UInt8(ascii: "{") else {
            throw failure("an exemplar has labels; here is \(place)")
        }
        try skipLabels()
        let labels = start..<position
        try gap()
        let value = try number("exemplar's value")
        var timestamp: Int64?
        if !isAtLineEnd {
            try gap()
            timestamp = try seconds()
        }
        return Exemplar(labels: labels, value: value, timestamp: timestamp)
    }

    /// From `{` past `}`; quotation marks are respected, the rest is read when somebody asks.
    private mutating func skipLabels() throws(ExpositionError) {
        var isQuoted = false
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if isQuoted {
                if byte == UInt8(ascii: "\\") { position += 1 } else if byte == UInt8(ascii: "\"") { isQuoted = false }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isQuoted = true
            case UInt8(ascii: "}"): return
            case UInt8(ascii: "\n"): throw failure("the labels do not end on their line")
            default: break
            }
        }
        position = bytes.count
        throw failure("the page ends within labels")
    }

    // MARK: Letters

    static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    static func isNameByte(_ byte: UInt8) -> Bool { isLabelByte(byte) || byte == UInt8(ascii: ":") }

    static func isLabelByte(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- UInt8(ascii: "a") < 26 || isDigit(byte) || byte == UInt8(ascii: "_")
    }

    static func isMetricName(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first, !isDigit(first) else { return false }
        return bytes.allSatisfy(isNameByte)
    }
}

/// A page that is none: where and why.
public struct ExpositionError: Error, Equatable, Sendable, CustomStringConvertible {
    public let line: Int
    public let text: String
    public var description: String { "line \(line): \(text)" }
}

/// What a metric is, as exposition formats name it.
public enum MetricType: String, Sendable, CaseIterable {
    case counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown

    init?(exposition word: String, isOpenMetrics: Bool) {
        if word == "untyped", !isOpenMetrics {
            self = .unknown
        } else if let kind = MetricType(rawValue: word) {
            self = kind
        } else {
            return nil
        }
    }
}

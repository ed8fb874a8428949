import KernelRegularExpressions
import TimeSeriesEngine

/// Reads a selector of series: `up`, `{job=~"a|b"}`, `up{job="node",instance!=""}`.
public enum SelectorReader {
    /// - Throws: `SelectorError`.
    public static func matchers(_ text: String) throws(SelectorError) -> [LabelMatcher] {
        var reader = Reader(bytes: Array(text.utf8))
        return try reader.read()
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0
        var matchers: [LabelMatcher] = []

        var byte: UInt8? { position < bytes.count ? bytes[position] : nil }

        mutating func skip() { while let byte, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 } }

        func fail(_ text: String) -> SelectorError { SelectorError(position: position, text: text) }

        mutating func word(_ isPart: (UInt8) -> Bool) -> String {
            let start = position
            while let byte, isPart(byte) { position += 1 }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }

        mutating func read() throws(SelectorError) -> [LabelMatcher] {
            skip()
            let name = word(ExpositionReader.isNameByte)
            if let first = name.utf8.first {
                if ExpositionReader.isDigit(first) { throw fail("a metric's name does not begin with a digit") }
                matchers.append(.equal(Labels.metricNameLabel, name))
            }
            skip()
            if byte == UInt8(ascii: "{") {
                position += 1
                try conditions()
                skip()
            }
            guard position == bytes.count else { throw fail("this is no selector of series") }
            guard matchers.contains(where: { !$0.matchesEmpty }) else {
                throw fail("match[] must contain at least one non-empty matcher")
            }
            return matchers
        }

        mutating func conditions() throws(SelectorError) {
            skip()
            while byte != UInt8(ascii: "}") {
                try condition()
                skip()
                if byte == UInt8(ascii: ",") {
                    position += 1
                    skip()
                } else if byte != UInt8(ascii: "}") {
                    throw fail("between conditions stands a comma, behind them }")
                }
            }
            position += 1
        }

        mutating func condition() throws(SelectorError) {
            let name = word(ExpositionReader.isLabelByte)
            guard RelabelRule.isLabelName(name) else { throw fail("a label's name is missing") }
            skip()
            let sign = word { [UInt8(ascii: "="), UInt8(ascii: "!"), UInt8(ascii: "~")].contains($0) }
            guard let kind = LabelMatcher.Kind(rawValue: sign) else { throw fail("'\(sign)' is none of = != =~ !~") }
            skip()
            let value = try quoted()
            do throws(RegularExpressionError) {
                matchers.append(try LabelMatcher(name, kind, value))
            } catch {
                throw fail("\(error)")
            }
        }

        mutating func quoted() throws(SelectorError) -> String {
            guard let mark = byte, mark == UInt8(ascii: "\"") || mark == UInt8(ascii: "'") || mark == UInt8(ascii: "`")
            else { throw fail("a value stands in quotation marks") }
            position += 1
            var value: [UInt8] = []
            while let byte {
                position += 1
                if byte == mark { return String(decoding: value, as: UTF8.self) }
                guard byte == UInt8(ascii: "\\"), mark != UInt8(ascii: "`"), let next = self.byte else {
                    value.append(byte)
                    continue
                }
                position += 1
                value.append(next == UInt8(ascii: "n") ? 10 : next)
            }
            throw fail("the value does not end")
        }
    }
}

/// A selector that is none.
public struct SelectorError: Error, Equatable, Sendable, CustomStringConvertible {
    /// In bytes, from 0.
    public let position: Int
    public let text: String
    public var description: String { "1:\(position + 1): parse error: \(text)" }
}

import TimeSeriesEngine

/// The name and the labels of a series as a page writes them, taken apart and checked.
///
/// `http_requests_total{method="GET",path="/a\"b"}`; the labels of an exemplar are the same without a name.
enum SeriesText {
    struct Malformed: Error {
        let text: String
    }

    /// Labels of one series.
    static let labelLimit = 1024

    /// - Parameter isOpenMetrics: no blanks between.
    static func labels(_ text: UnsafeRawBufferPointer, isOpenMetrics: Bool) throws(Malformed) -> [(String, String)] {
        var reader = Reader(text: text, skipsBlanks: !isOpenMetrics)
        return try reader.read()
    }

    private struct Reader {
        let text: UnsafeRawBufferPointer
        let skipsBlanks: Bool
        var position = 0
        var pairs: [(String, String)] = []

        var byte: UInt8? { position < text.count ? text[position] : nil }

        mutating func skip() {
            while skipsBlanks, let byte, byte == 0x20 || byte == 0x09 { position += 1 }
        }

        mutating func name() -> String {
            let start = position
            while let byte, ExpositionReader.isLabelByte(byte) || (byte == UInt8(ascii: ":") && start == 0) {
                position += 1
            }
            return String(decoding: text[start..<position], as: UTF8.self)
        }

        mutating func read() throws(Malformed) -> [(String, String)] {
            let metric = name()
            if !metric.isEmpty { pairs.append((Labels.metricNameLabel, metric)) }
            skip()
            guard byte == UInt8(ascii: "{") else { return pairs }
            position += 1
            skip()
            while byte != UInt8(ascii: "}") {
                try label()
                skip()
                if byte == UInt8(ascii: ",") {
                    position += 1
                    skip()
                } else if byte != UInt8(ascii: "}") {
                    throw Malformed(text: "between labels stands a comma")
                }
            }
            return pairs
        }

        mutating func label() throws(Malformed) {
            let name = name()
            guard let first = name.utf8.first, !ExpositionReader.isDigit(first) else {
                throw Malformed(text: "a label's name is missing")
            }
            guard pairs.count < SeriesText.labelLimit else {
                throw Malformed(text: "more than \(SeriesText.labelLimit) labels")
            }
            skip()
            guard byte == UInt8(ascii: "=") else { throw Malformed(text: "after the label's name \(name) stands no =") }
            position += 1
            skip()
            guard byte == UInt8(ascii: "\"") else {
                throw Malformed(text: "the value of \(name) has no quotation marks")
            }
            position += 1
            let value = try value(of: name)
            if pairs.contains(where: { byteOrder($0.0, name) == 0 }) {
                throw Malformed(text: "the label \(name) stands there twice")
            }
            pairs.append((name, value))
        }

        /// What stands between the quotation marks. A backslash before anything else than `\`, `"` and `n` is itself.
        mutating func value(of name: String) throws(Malformed) -> String {
            var value: [UInt8] = []
            while let byte {
                position += 1
                switch byte {
                case UInt8(ascii: "\""):
                    guard let text = String(validating: value, as: UTF8.self) else {
                        throw Malformed(text: "the value of \(name) is no UTF-8")
                    }
                    return text
                case UInt8(ascii: "\\"):
                    guard let next = self.byte else { break }
                    position += 1
                    switch next {
                    case UInt8(ascii: "n"): value.append(10)
                    case UInt8(ascii: "\\"), UInt8(ascii: "\""): value.append(next)
                    default: value += [byte, next]
                    }
                default: value.append(byte)
                }
            }
            throw Malformed(text: "the value of \(name) does not end")
        }
    }
}

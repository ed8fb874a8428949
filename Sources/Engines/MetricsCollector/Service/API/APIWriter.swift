import KernelJSON
import KernelStructures
import TimeSeriesEngine

/// Writes answers of the API straight into bytes: a range query may have a million numbers.
struct APIWriter {
    fileprivate(set) var bytes: [UInt8] = []

    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// `{"a":"b"}`
    mutating func append(_ labels: Labels) {
        bytes.append(UInt8(ascii: "{"))
        var isFirst = true
        for (name, value) in labels.pairs {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            append(text: name)
            bytes.append(UInt8(ascii: ":"))
            append(text: value)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    mutating func append(text: String) { JSONValue.string(text).write(to: &bytes) }

    /// `[1703084400,"1847"]`
    mutating func appendPoint(_ time: Int64, _ value: Double) {
        bytes.append(UInt8(ascii: "["))
        append(time: time)
        append(",\"")
        appendSampleText(value, to: &bytes)
        append("\"]")
    }

    /// Seconds with as many of three digits behind the point as there are.
    mutating func append(time: Int64) {
        if time < 0 { bytes.append(UInt8(ascii: "-")) }
        let size = time.magnitude
        append(String(size / 1000))
        var rest = size % 1000
        guard rest > 0 else { return }
        bytes.append(UInt8(ascii: "."))
        // 1703084400.05 is 50 milliseconds: three digits as Prometheus writes them.
        for place: UInt64 in [100, 10, 1] {
            bytes.append(UInt8(ascii: "0") + UInt8(rest / place))
            rest %= place
        }
    }

    /// The whole answer around some data.
    static func success(_ data: (inout APIWriter) -> Void, warnings: [String] = []) -> [UInt8] {
        var writer = APIWriter()
        writer.append("{\"status\":\"success\",\"data\":")
        data(&writer)
        if !warnings.isEmpty {
            writer.append(",\"warnings\":")
            writer.append(JSONValue.array(warnings.map { .string($0) }).text(.compact))
        }
        writer.append("}\n")
        return writer.bytes
    }

    static func success(_ value: JSONValue) -> [UInt8] {
        success { value.write(to: &$0.bytes) }
    }

    static func failure(_ error: APIError) -> [UInt8] {
        var writer = APIWriter()
        writer.append("{\"status\":\"error\",\"errorType\":")
        writer.append(text: error.type)
        writer.append(",\"error\":")
        writer.append(text: error.text)
        writer.append("}\n")
        return writer.bytes
    }
}

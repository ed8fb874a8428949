import KernelOTLP
import KernelProtobuf
import TimeSeriesEngine

// The other form of a push, which Loki's own clients send (packed with snappy, `Content-Type: application/x-protobuf`).
extension LokiPush {
    /// ```
    /// push   = { 1: stream }
    /// stream = 1: labels as text, { 2: entry }
    /// entry  = 1: { 1: seconds, 2: nanoseconds }, 2: line, { 3: { 1: name, 2: value } }
    /// ```
    ///
    /// - Throws: `ProtobufError`; `LabelText.Malformed`.
    public init(protobuf bytes: [UInt8]) throws {
        self.init()
        var reader = ProtobufReader(bytes[...])
        while let field = try reader.next() {
            if field.number == 1 { streams.append(try Self.stream(try field.message())) }
        }
    }

    private static func stream(_ message: ProtobufReader) throws -> Stream {
        var reader = message
        var stream = Stream(labels: Labels())
        while let field = try reader.next() {
            switch field.number {
            case 1: stream.labels = try LabelText.parse(try field.text())
            case 2: stream.entries.append(try entry(try field.message()))
            default: break
            }
        }
        return stream
    }

    private static func entry(_ message: ProtobufReader) throws -> Entry {
        var reader = message
        var entry = Entry(time: 0, line: [])
        var metadata: [(String, String)] = []
        while let field = try reader.next() {
            switch field.number {
            case 1: entry.time = try moment(try field.message())
            case 2: entry.line = Array(try field.bytes())
            case 3: metadata.append(try pair(try field.message()))
            default: break
            }
        }
        entry.metadata = Labels(metadata)
        return entry
    }

    private static func moment(_ message: ProtobufReader) throws -> Int64 {
        var reader = message
        var seconds: Int64 = 0
        var nanoseconds: Int64 = 0
        while let field = try reader.next() {
            switch field.number {
            case 1: seconds = Int64(bitPattern: try field.integer())
            case 2: nanoseconds = Int64(bitPattern: try field.integer())
            default: break
            }
        }
        // Beyond what there is of time it is too old or too new, whatever it was.
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = product.addingReportingOverflow(nanoseconds)
        return overflow || carry ? (seconds < 0 ? .min : .max) : sum
    }

    private static func pair(_ message: ProtobufReader) throws -> (String, String) {
        var reader = message
        var pair = ("", "")
        while let field = try reader.next() {
            switch field.number {
            case 1: pair.0 = try field.text()
            case 2: pair.1 = try field.text()
            default: break
            }
        }
        return pair
    }
}

import KernelStructures
import TimeSeriesEngine

/// What a log's records say, as Prometheus encodes them (`tsdb/record`).
///
/// ```
/// series     = 1 { reference(8) count(uvarint) { name value } }         ; texts: length(uvarint) bytes
/// samples    = 2 reference(8) time(8) { Δreference(varint) Δtime(varint) value(8) }  ; Δ to the first
/// tombstones = 3 { reference(8) from(varint) through(varint) }
/// exemplars  = 4 reference(8) time(8) { Δreference(varint) Δtime(varint) value(8) count(uvarint) { name value } }
/// histograms = 7 reference(8) time(8) { Δreference(varint) Δtime(varint) histogram }       ; with whole counts
///            | 8 reference(8) time(8) { Δreference(varint) Δtime(varint) histogram }       ; with others
/// histogram  = reset(1) schema(varint) threshold(8) zeros count sum(8) spans spans buckets buckets
/// ```
///
/// Whole counts are `uvarint`s, and buckets the `varint` of their difference to the one before; others take 8 bytes.
enum WALRecord {
    case series([(reference: UInt64, labels: Labels)])
    case samples([(reference: UInt64, time: Int64, value: Double)])
    case tombstones([(reference: UInt64, range: ClosedRange<Int64>)])
    case exemplars([LoggedExemplar])
    case histograms([LoggedHistogram])
    /// Metadata: of Prometheus's, and read over.
    case other(UInt8)

    /// An exemplar of a series, by its number in this log.
    struct LoggedExemplar: Equatable {
        let reference: UInt64
        let time: Int64
        let value: Double
        let labels: Labels
    }

    // MARK: Writing

    static func series(_ all: [(UInt64, Labels)]) -> [UInt8] {
        var out = RecordWriter()
        out.append(byte: 1)
        for (reference, labels) in all {
            out.append(bigEndian: reference)
            out.append(labels)
        }
        return out.bytes
    }

    static func exemplars(_ all: ArraySlice<LoggedExemplar>) -> [UInt8] {
        var out = RecordWriter()
        out.append(byte: 4)
        guard let first = all.first else { return out.bytes }
        out.append(bigEndian: first.reference)
        out.append(bigEndian: UInt64(bitPattern: first.time))
        for exemplar in all {
            out.append(Int64(bitPattern: exemplar.reference &- first.reference))
            out.append(exemplar.time &- first.time)
            out.append(bigEndian: exemplar.value.bitPattern)
            out.append(exemplar.labels)
        }
        return out.bytes
    }

    /// - Parameter all: at least one.
    static func samples(_ all: ArraySlice<(reference: UInt64, time: Int64, value: Double)>) -> [UInt8] {
        var out = RecordWriter()
        out.append(byte: 2)
        guard let first = all.first else { return out.bytes }
        out.append(bigEndian: first.reference)
        out.append(bigEndian: UInt64(bitPattern: first.time))
        for sample in all {
            out.append(Int64(bitPattern: sample.reference &- first.reference))
            out.append(sample.time - first.time)
            out.append(bigEndian: sample.value.bitPattern)
        }
        return out.bytes
    }

    static func tombstones(_ all: [(UInt64, ClosedRange<Int64>)]) -> [UInt8] {
        var out = RecordWriter()
        out.append(byte: 3)
        for (reference, range) in all {
            out.append(bigEndian: reference)
            out.append(range.lowerBound)
            out.append(range.upperBound)
        }
        return out.bytes
    }

    // MARK: Reading

    /// - Throws: `RecordReader.Malformed`.
    init(_ bytes: [UInt8]) throws(RecordReader.Malformed) {
        var reader = RecordReader(bytes)
        switch try reader.byte() {
        case 1: self = .series(try Self.readSeries(&reader))
        case 2: self = .samples(try Self.readSamples(&reader))
        case 3: self = .tombstones(try Self.readTombstones(&reader))
        case 4: self = .exemplars(try Self.readExemplars(&reader))
        case 7: self = .histograms(try Self.readHistograms(&reader, areWhole: true))
        case 8: self = .histograms(try Self.readHistograms(&reader, areWhole: false))
        case let type: self = .other(type)
        }
    }

    private static func readSeries(_ reader: inout RecordReader) throws(RecordReader.Malformed)
        -> [(reference: UInt64, labels: Labels)]
    {
        var all: [(reference: UInt64, labels: Labels)] = []
        while !reader.isAtEnd {
            all.append((try reader.bigEndian(), try reader.labels()))
        }
        return all
    }

    private static func readExemplars(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> [LoggedExemplar] {
        var all: [LoggedExemplar] = []
        if reader.isAtEnd { return all }
        let reference = try reader.bigEndian()
        let time = Int64(bitPattern: try reader.bigEndian())
        while !reader.isAtEnd {
            all.append(
                LoggedExemplar(
                    reference: reference &+ UInt64(bitPattern: try reader.signed()),
                    time: time &+ (try reader.signed()), value: Double(bitPattern: try reader.bigEndian()),
                    labels: try reader.labels()))
        }
        return all
    }

    private static func readSamples(_ reader: inout RecordReader) throws(RecordReader.Malformed)
        -> [(reference: UInt64, time: Int64, value: Double)]
    {
        var all: [(reference: UInt64, time: Int64, value: Double)] = []
        if reader.isAtEnd { return all }
        let reference = try reader.bigEndian()
        let time = Int64(bitPattern: try reader.bigEndian())
        while !reader.isAtEnd {
            let own = reference &+ UInt64(bitPattern: try reader.signed())
            all.append((own, time &+ (try reader.signed()), Double(bitPattern: try reader.bigEndian())))
        }
        return all
    }

    private static func readTombstones(_ reader: inout RecordReader) throws(RecordReader.Malformed)
        -> [(reference: UInt64, range: ClosedRange<Int64>)]
    {
        var all: [(reference: UInt64, range: ClosedRange<Int64>)] = []
        while !reader.isAtEnd {
            let reference = try reader.bigEndian()
            let from = try reader.signed()
            let through = try reader.signed()
            guard from <= through else { throw RecordReader.Malformed(position: reader.position) }
            all.append((reference, from...through))
        }
        return all
    }
}

extension RecordWriter {
    mutating func append(bigEndian number: UInt64) {
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            append(byte: UInt8(truncatingIfNeeded: number >> shift))
        }
    }

    mutating func append(_ labels: Labels) {
        append(UInt64(labels.count))
        for (name, value) in labels.pairs {
            append(name)
            append(value)
        }
    }
}

extension RecordReader {
    mutating func bigEndian() throws(Malformed) -> UInt64 {
        var number: UInt64 = 0
        for _ in 0..<8 { number = number << 8 | UInt64(try byte()) }
        return number
    }

    mutating func labels() throws(Malformed) -> Labels {
        let count = try unsigned()
        // A name and a value take two bytes at least.
        guard count <= UInt64(remaining / 2) else { throw Malformed(position: position) }
        var pairs: [(String, String)] = []
        for _ in 0..<count { pairs.append((try text(), try text())) }
        return Labels(pairs)
    }
}

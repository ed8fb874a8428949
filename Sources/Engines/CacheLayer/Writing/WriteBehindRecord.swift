import KernelStructures

/// What is written down of the queue of writes, so that it outlives a crash.
///
/// ```
/// journal = record*
/// record  = length(4) crc(4) body            ; both little-endian; crc is CRC-32C of the body
/// body    = 1 sequence since key present value      ; a write
///         | 2 count sequence*                       ; writes that the source has confirmed
/// ```
///
/// The end of a journal may be torn: a crash in the middle of an append leaves a piece of a record, of which nobody was
/// told that it is safe. What stands behind the first record that cannot be read is not looked at.
public enum WriteBehindRecord: Equatable, Sendable {
    case write(sequence: UInt64, since: LabTime, key: String, value: [UInt8]?)
    case confirmed([UInt64])

    /// Bytes of one record's body.
    public static let limitBytes = 64 << 20

    public var encoded: [UInt8] {
        var body = RecordWriter()
        switch self {
        case .write(let sequence, let since, let key, let value):
            body.append(byte: 1)
            body.append(sequence)
            body.append(since.nanoseconds)
            body.append(key)
            body.append(value != nil)
            body.append(value ?? [])
        case .confirmed(let numbers):
            body.append(byte: 2)
            body.append(numbers) { writer, number in writer.append(number) }
        }
        return Self.number(UInt32(truncatingIfNeeded: body.bytes.count)) + Self.number(CRC32C.of(body.bytes))
            + body.bytes
    }

    private static func number(_ value: UInt32) -> [UInt8] {
        [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    private init(body: [UInt8]) throws(RecordReader.Malformed) {
        var reader = RecordReader(body)
        switch try reader.byte() {
        case 1:
            let sequence = try reader.unsigned()
            let since = LabTime(nanoseconds: try reader.signed())
            let key = try reader.text()
            let isPresent = try reader.flag()
            let value = try reader.data()
            self = .write(sequence: sequence, since: since, key: key, value: isPresent ? value : nil)
        case 2:
            self = .confirmed(
                try reader.elements { reader throws(RecordReader.Malformed) in try reader.unsigned() })
        default: throw RecordReader.Malformed(position: 0)
        }
        try reader.expectEnd()
    }

    /// Reads a journal as far as it is whole.
    public static func read(_ bytes: [UInt8]) -> (journal: WriteBehindJournal, validByteCount: Int) {
        var journal = WriteBehindJournal()
        var position = 0
        while bytes.count - position >= 8 {
            let length = Int(number(bytes[position..<position + 4]))
            guard length <= limitBytes, length <= bytes.count - position - 8 else { break }
            let body = Array(bytes[(position + 8)..<(position + 8 + length)])
            guard CRC32C.of(body) == number(bytes[(position + 4)..<(position + 8)]),
                let record = try? WriteBehindRecord(body: body)
            else { break }
            journal.apply(record)
            position += 8 + length
        }
        return (journal, position)
    }
}

/// What the records of a journal come to: of each key the last write, unless the source has confirmed it.
///
/// A confirmation covers all earlier writes of its key, too: they were never sent, because the later one took their
/// place, and must not come back after a restart.
public struct WriteBehindJournal: Equatable, Sendable {
    private var last: [String: WriteBehindRecord] = [:]
    private var keyOfNumber: [UInt64: String] = [:]
    public private(set) var recordCount = 0

    public init() {}

    public mutating func apply(_ record: WriteBehindRecord) {
        recordCount += 1
        switch record {
        case .write(let number, _, let key, _):
            if let known = last[key]?.sequence {
                if known > number { return }
                keyOfNumber[known] = nil
            }
            last[key] = record
            keyOfNumber[number] = key
        case .confirmed(let numbers):
            for number in numbers {
                // Where a later write has come since, there is nothing to take out.
                guard let key = keyOfNumber.removeValue(forKey: number) else { continue }
                last[key] = nil
            }
        }
    }

    public var isEmpty: Bool { last.isEmpty }
    /// In the order in which they were made.
    public var unconfirmed: [WriteBehindRecord] { last.values.sorted { $0.sequence ?? 0 < $1.sequence ?? 0 } }
}

extension WriteBehindRecord {
    /// Of a write.
    public var sequence: UInt64? { if case .write(let number, _, _, _) = self { number } else { nil } }
}

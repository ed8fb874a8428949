import CProcessor
import KernelStructures

/// Batches of records in a file that only grows, and what tells a torn tail from damage.
///
/// ## The problem
///
/// After a crash the end of a log may be anything: it was being written, and nobody was told that it was there. Bytes
/// that change later, in what was promised, look the same at first sight. Cutting off the first is right and normal;
/// cutting off the second breaks a promise.
///
/// ## An everyday picture
///
/// A diary whose pages are numbered, and on each of which the writer notes first up to which page the book was already
/// in the safe last night. If page 40 is illegible and no later page exists, it was being written when the lights went
/// out. If page 50 says "up to page 45 was in the safe", page 40 has been tampered with.
///
/// ## How
///
/// ```
///   batch: magic (4) │ number (8) │ synced (8) │ length (4) │ CRC of records (4) │ CRC of the above (4) │ records
/// ```
///
/// Each batch says how far the file was *synced* when it was written. So a batch that can be read, behind one that
/// cannot, witnesses that it was promised.
///
/// ## Where it is wrong
///
/// Only the very last batch has no witness: if it changes after it was synced, it is taken for torn.
public enum LogBatch {
    /// Bytes before the records.
    public static let headerBytes = 32
    static let magic: UInt32 = 0x6261_7463

    /// One batch as it stands in the file.
    ///
    /// - Parameters:
    ///   - number: how many batches stand before it.
    ///   - syncedBytes: bytes of the file that are known to be on the device.
    public static func encoded(_ records: [UInt8], number: Int, syncedBytes: Int) -> [UInt8] {
        var writer = LogBatchWriter()
        writer.append(contentsOf: records)
        writer.seal(number: number, syncedBytes: syncedBytes)
        return writer.bytes
    }

    /// The checksum of logs: CRC-32C, by the processor's own instruction where it has one.
    public static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard hasInstruction, let start = bytes.baseAddress else {
            var sum = CRC32C()
            sum.update(bytes)
            return sum.value
        }
        return ~sdlab_crc32c_bytes(.max, start.assumingMemoryBound(to: UInt8.self), bytes.count)
    }

    private static let hasInstruction = sdlab_has_crc32c() != 0

    struct Header {
        let number: Int
        let syncedBytes: Int
        let length: Int
        let sum: UInt32

        /// nil where no whole header stands.
        init?(_ bytes: UnsafeRawBufferPointer, at place: Int) {
            guard place >= 0, bytes.count - place >= headerBytes else { return nil }
            func word(_ offset: Int) -> UInt32 {
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place + offset, as: UInt32.self))
            }
            func long(_ offset: Int) -> UInt64 {
                UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place + offset, as: UInt64.self))
            }
            guard word(0) == magic, long(4) <= largestNumber, long(12) <= largestNumber,
                word(28) == checksum(UnsafeRawBufferPointer(rebasing: bytes[place..<place + headerBytes - 4]))
            else { return nil }
            number = Int(long(4))
            syncedBytes = Int(long(12))
            length = Int(word(20))
            sum = word(24)
        }
    }

    /// Larger ones are no batches: counting on from one never overflows.
    private static let largestNumber: UInt64 = 1 << 60
}

/// Puts one batch together in place: its header is filled in at the end, and its records are copied once.
public struct LogBatchWriter {
    /// The batch, once it is sealed.
    public private(set) var bytes = [UInt8](repeating: 0, count: LogBatch.headerBytes)

    public init() {}

    /// Bytes of records so far; at most `UInt32.max` of them make a batch.
    public var recordBytes: Int { bytes.count - LogBatch.headerBytes }

    public mutating func append(_ byte: UInt8) { bytes.append(byte) }
    public mutating func append(contentsOf more: [UInt8]) { bytes.append(contentsOf: more) }
    public mutating func append(contentsOf more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }

    /// Seven bits a byte, the lowest first (LEB128), as `RecordReader` reads it.
    public mutating func append(number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Four bytes, the lowest first.
    public mutating func append(word: UInt32) {
        for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: word >> (shift * 8))) }
    }

    /// The checksum of what was put since `recordBytes` was `start`.
    public func checksum(from start: Int) -> UInt32 {
        bytes.withUnsafeBytes {
            LogBatch.checksum(UnsafeRawBufferPointer(rebasing: $0[(LogBatch.headerBytes + start)...]))
        }
    }

    public mutating func seal(number: Int, syncedBytes: Int) {
        bytes.withUnsafeMutableBytes { bytes in
            let records = UnsafeRawBufferPointer(rebasing: bytes[LogBatch.headerBytes...])
            let sum = LogBatch.checksum(records)
            bytes.storeBytes(of: LogBatch.magic.littleEndian, toByteOffset: 0, as: UInt32.self)
            bytes.storeBytes(of: UInt64(clamping: number).littleEndian, toByteOffset: 4, as: UInt64.self)
            bytes.storeBytes(of: UInt64(clamping: syncedBytes).littleEndian, toByteOffset: 12, as: UInt64.self)
            bytes.storeBytes(of: UInt32(clamping: records.count).littleEndian, toByteOffset: 20, as: UInt32.self)
            bytes.storeBytes(of: sum.littleEndian, toByteOffset: 24, as: UInt32.self)
            let own = LogBatch.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<(LogBatch.headerBytes - 4)]))
            bytes.storeBytes(of: own.littleEndian, toByteOffset: LogBatch.headerBytes - 4, as: UInt32.self)
        }
    }

    /// Begins another batch.
    public mutating func clear() { bytes.removeLast(recordBytes) }
}

/// Reads the batches of a file one after the other, as far as they are sound.
public struct LogBatches {
    private let bytes: [UInt8]
    /// Where the next batch stands, or should.
    public private(set) var place: Int
    public private(set) var number = 0
    /// The furthest that a batch has said the file was synced.
    public private(set) var witnessedBytes = 0

    /// - Parameter start: where the first batch stands.
    public init(_ bytes: [UInt8], from start: Int) {
        self.bytes = bytes
        place = max(0, start)
    }

    public var isAtEnd: Bool { place >= bytes.count }
    /// Bytes that are not part of a sound batch.
    public var restBytes: Int { max(0, bytes.count - place) }

    /// Goes past the next batch, if it is sound and `take` can use its records.
    ///
    /// - Parameter take: gets the place of the records in the file.
    /// - Returns: false at the end, and where no such batch stands.
    public mutating func next(_ take: (Range<Int>) -> Bool) -> Bool {
        guard let (header, records) = batch(), take(records) else { return false }
        place = records.upperBound
        number += 1
        witnessedBytes = max(witnessedBytes, header.syncedBytes)
        return true
    }

    private func batch() -> (LogBatch.Header, Range<Int>)? {
        bytes.withUnsafeBytes { bytes in
            guard let header = LogBatch.Header(bytes, at: place), header.number == number,
                header.syncedBytes <= place, header.length <= bytes.count - place - LogBatch.headerBytes
            else { return nil }
            let start = place + LogBatch.headerBytes
            let records = start..<start + header.length
            guard LogBatch.checksum(UnsafeRawBufferPointer(rebasing: bytes[records])) == header.sum else { return nil }
            return (header, records)
        }
    }

    /// The number of a batch behind this place that says that this place was synced: what stands here was promised.
    public func witness() -> Int? {
        let first = UInt8(truncatingIfNeeded: LogBatch.magic)
        return bytes.withUnsafeBytes { bytes in
            var at = place
            while at + LogBatch.headerBytes <= bytes.count {
                if bytes[at] == first, let header = LogBatch.Header(bytes, at: at), header.syncedBytes > place {
                    return header.number
                }
                at += 1
            }
            return nil
        }
    }
}

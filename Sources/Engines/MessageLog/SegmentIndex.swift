import KernelLog
import KernelStorage
import KernelStructures

/// The index of a segment, as bytes: where each message is, block by block, in pages of 4 KiB.
///
/// ```
///   page  := entry × 170, zeros (12), CRC of the above (4)
///   entry := sequence (8) offset (4) record bytes (4) body bytes (4) flags (4)
/// ```
///
/// It can be made again from the segment, and so it is never synced.
enum SegmentIndex {
    static let pageBytes = 4096
    static let entryBytes = 24
    static let entriesAPage = 170

    static func encoded(_ blocks: [LogBlock]) -> [UInt8] {
        let total = blocks.reduce(0) { $0 + $1.entries.count }
        let pages = (total + entriesAPage - 1) / entriesAPage
        var bytes = [UInt8](repeating: 0, count: pages * pageBytes)
        bytes.withUnsafeMutableBytes { bytes in
            var ordinal = 0
            for block in blocks {
                for entry in block.entries {
                    let place = ordinal / entriesAPage * pageBytes + ordinal % entriesAPage * entryBytes
                    bytes.storeBytes(of: entry.sequence.littleEndian, toByteOffset: place, as: UInt64.self)
                    let words = (entry.offset, entry.recordBytes, entry.bodyBytes, entry.flags)
                    bytes.storeBytes(of: words.0.littleEndian, toByteOffset: place + 8, as: UInt32.self)
                    bytes.storeBytes(of: words.1.littleEndian, toByteOffset: place + 12, as: UInt32.self)
                    bytes.storeBytes(of: words.2.littleEndian, toByteOffset: place + 16, as: UInt32.self)
                    bytes.storeBytes(of: words.3.littleEndian, toByteOffset: place + 20, as: UInt32.self)
                    ordinal += 1
                }
            }
            for page in 0..<pages {
                let start = page * pageBytes
                let sum = sum(UnsafeRawBufferPointer(rebasing: bytes[start..<start + pageBytes]))
                bytes.storeBytes(of: sum.littleEndian, toByteOffset: start + pageBytes - 4, as: UInt32.self)
            }
        }
        return bytes
    }

    /// The entries of one page; nil if it is not what was written.
    static func page(_ bytes: [UInt8]) -> [LogIndexEntry]? {
        guard bytes.count == pageBytes else { return nil }
        return bytes.withUnsafeBytes { bytes in
            func word(_ place: Int) -> UInt32 {
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self))
            }
            guard word(pageBytes - 4) == sum(bytes) else { return nil }
            return (0..<entriesAPage).map { number in
                let place = number * entryBytes
                return LogIndexEntry(
                    sequence: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)),
                    offset: word(place + 8), recordBytes: word(place + 12), bodyBytes: word(place + 16),
                    flags: word(place + 20))
            }
        }
    }

    private static func sum(_ page: UnsafeRawBufferPointer) -> UInt32 {
        LogBatch.checksum(UnsafeRawBufferPointer(rebasing: page[..<(pageBytes - 4)]))
    }
}

/// Pages of indexes that were read last.
struct PageCache {
    struct Key: Hashable {
        let segment: UInt64
        let page: Int
    }

    private var pages: [Key: [LogIndexEntry]] = [:]
    private var order: [Key] = []
    private var next = 0
    /// Half a megabyte.
    private static let limit = 128

    subscript(key: Key) -> [LogIndexEntry]? { pages[key] }

    mutating func put(_ page: [LogIndexEntry], _ key: Key) {
        if pages.updateValue(page, forKey: key) != nil { return }
        if order.count < Self.limit {
            order.append(key)
        } else {
            pages[order[next]] = nil
            order[next] = key
            next = (next + 1) % Self.limit
        }
    }
}

/// A piece of a segment that was read at once, because records that are wanted one after the other lie together.
struct ReadWindow {
    var segment: UInt64 = 0
    var offset = 0
    var bytes: [UInt8] = []
    static let readBytes = 256 << 10

    func record(_ segment: UInt64, _ range: Range<Int>) -> [UInt8]? {
        guard segment == self.segment, range.lowerBound >= offset, range.upperBound <= offset + bytes.count else {
            return nil
        }
        return Array(bytes[range.lowerBound - offset..<range.upperBound - offset])
    }
}

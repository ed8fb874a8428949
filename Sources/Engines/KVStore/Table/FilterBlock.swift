/// A table's filters: one for every 2 KiB of it, so that a table is not limited to as many keys as one filter serves.
///
///     filter block := filter*, offset (4 bytes)*, where the offsets begin (4 bytes), 11
///
/// The filter for the data block that begins at byte *b* is number *b* / 2^11.
struct FilterBlockBuilder {
    static let rangeLog = 11
    private let bitsPerKey: Int
    private let buffer = ByteBuffer(capacity: 4096)
    private let offsets = ByteBuffer(capacity: 256)
    private var hashes: [UInt32] = []

    init(bitsPerKey: Int) { self.bitsPerKey = bitsPerKey }

    @inline(__always) mutating func add(_ userKey: Bytes) { hashes.append(BloomFilter.hash(userKey)) }

    /// The next keys belong to the data block that begins here.
    mutating func startBlock(at offset: Int) {
        while offset >> Self.rangeLog > offsets.count / 4 { finishFilter() }
    }

    private mutating func finishFilter() {
        offsets.append32(UInt32(buffer.count))
        if hashes.isEmpty { return }
        hashes.withUnsafeBufferPointer { BloomFilter.append($0, bitsPerKey: bitsPerKey, to: buffer) }
        hashes.removeAll(keepingCapacity: true)
    }

    mutating func finish() -> Bytes {
        if !hashes.isEmpty { finishFilter() }
        let start = buffer.count
        buffer.append(offsets.bytes)
        buffer.append32(UInt32(start))
        buffer.append(UInt8(Self.rangeLog))
        return buffer.bytes
    }
}

/// The filters of a table that is open.
struct FilterBlock {
    private let bytes: Bytes
    private let offsets: UnsafePointer<UInt8>
    private let count: Int
    private let rangeLog: Int

    /// Nil if the bytes are no filter block. They must outlive this value.
    init?(_ bytes: Bytes) {
        guard bytes.count >= 5 else { return nil }
        let start = Int((bytes.end - 5).fixed32)
        guard start <= bytes.count - 5, (bytes.count - 5 - start) % 4 == 0, bytes.start[bytes.count - 1] < 32 else {
            return nil
        }
        self.bytes = bytes
        offsets = bytes.start + start
        count = (bytes.count - 5 - start) / 4
        rangeLog = Int(bytes.start[bytes.count - 1])
    }

    /// Whether the data block that begins at an offset may hold the key with this hash.
    @inline(__always) func mayContain(_ hash: UInt32, blockOffset: Int) -> Bool {
        let index = blockOffset >> rangeLog
        guard index < count else { return true }
        // Behind the last offset stands where the offsets begin, which is where the last filter ends.
        let start = Int((offsets + index * 4).fixed32)
        let end = Int((offsets + index * 4 + 4).fixed32)
        guard start <= end, end <= offsets - bytes.start else { return true }
        if start == end { return false }
        return BloomFilter.mayContain(Bytes(bytes.start + start, end - start), hash)
    }
}

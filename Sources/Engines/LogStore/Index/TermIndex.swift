import KernelLog
import KernelStructures
import LogModelEngine

/// Which chunks of a segment may have a word, or a member with a value.
///
/// Most words of logs are either in nearly all chunks ("level") or in one (a request's number). So a word's chunks are
/// a list where they are few, and a row of bits where they are many. Words stand by their hashes, in *pages* that the
/// hash alone decides: whoever looks for a word reads one page, a few kilobytes, whatever the number of chunks.
///
/// ```
///   index = number of pages (4), 256 + bits of a hash (4), end of each page (4), page…
///   page  = { hash as difference, chunks } checksum (4)          ; by rising hash
///   chunks = 2 * chunk                                           ; a single one
///          | 4 * number + 1, chunk, differences…                 ; few
///          | 3, a bit a chunk                                    ; many
/// ```
///
/// The checksum (CRC-32C) is that of the page, its number and the two numbers in front of all: damage must not look
/// like a word that is nowhere. Indices of before have bits without the 256, and no checksums.
///
/// ## Where it is wrong
///
/// It says "may": two words can have one hash. Of so many bits of it as are kept, one word in four thousand that is
/// nowhere is taken for another; in a merged segment, one in five hundred. Whoever reads the chunk sees.
struct TermIndexBuilder {
    /// Hash and chunk, in one number each.
    private var pairs: [UInt64] = []
    private(set) var chunkCount = 0
    /// Of a hash, as far as they are known.
    private var bits = 32

    /// The words of the segment's next chunk.
    mutating func add(_ hashes: [UInt32]) {
        for hash in hashes { add(hash, chunk: chunkCount) }
        chunkCount += 1
    }

    /// The segment's next chunk, whose words come one by one.
    mutating func addChunk() { chunkCount += 1 }

    @inline(__always)
    mutating func add(_ hash: UInt32, chunk: Int) {
        pairs.append(UInt64(hash) << 32 | UInt64(UInt32(clamping: chunk)))
    }

    /// Words come from another index, which has kept so many bits of their hashes.
    mutating func limit(bits: Int) { self.bits = min(self.bits, bits) }

    /// Bits of a hash beyond those that tell so many words apart.
    private static let spareBits = 12

    /// Keeps as many bits of the hashes as are needed: less is to be stored of each.
    private mutating func shorten(_ termCount: Int) {
        bits = min(bits, Int.bitWidth - termCount.leadingZeroBitCount + Self.spareBits)
        guard bits < 32 else { return }
        let shift = UInt64(64 - bits)
        for place in pairs.indices { pairs[place] = ((pairs[place] >> shift) << 32) | (pairs[place] & 0xFFFF_FFFF) }
        pairs.sort()
    }

    private func termCount() -> Int {
        var count = 0
        var previous: UInt64?
        for pair in pairs where pair >> 32 != previous {
            previous = pair >> 32
            count += 1
        }
        return count
    }

    /// Words of a page, on the average.
    private static let pageTerms = 256

    /// The whole index; the builder is used up.
    mutating func finish() -> [UInt8] {
        pairs.sort()
        shorten(termCount())
        let pageCount = max(1, (termCount() + Self.pageTerms - 1) / Self.pageTerms)
        var pages: [UInt8] = []
        var ends: [UInt8] = []
        var page = 0
        var place = 0
        while page < pageCount {
            var writer = RecordWriter()
            var last: UInt64 = 0
            while place < pairs.count, TermIndex.page(pairs[place] >> 32, bits, of: pageCount) == page {
                let hash = pairs[place] >> 32
                var end = place + 1
                while end < pairs.count, pairs[end] >> 32 == hash { end += 1 }
                writer.append(hash - last)
                last = hash
                append(chunks(place..<end), to: &writer)
                place = end
            }
            pages += writer.bytes
            Self.append(TermIndex.checksum(writer.bytes, page: page, of: pageCount, bits), to: &pages)
            Self.append(UInt32(clamping: pages.count), to: &ends)
            page += 1
        }
        pairs = []
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 + ends.count + pages.count)
        Self.append(UInt32(clamping: pageCount), to: &bytes)
        Self.append(UInt32(clamping: bits | TermIndex.summed), to: &bytes)
        bytes += ends
        bytes += pages
        return bytes
    }

    /// The chunks of a word, each once: words whose hashes begin alike are one by now.
    private func chunks(_ range: Range<Int>) -> [UInt64] {
        var chunks: [UInt64] = []
        for place in range where chunks.last != pairs[place] & 0xFFFF_FFFF { chunks.append(pairs[place] & 0xFFFF_FFFF) }
        return chunks
    }

    private func append(_ chunks: [UInt64], to page: inout RecordWriter) {
        if chunks.count == 1 { return page.append(2 * chunks[0]) }
        if chunks.count > chunkCount / 8 {
            page.append(UInt64(3))
            var bits = [UInt8](repeating: 0, count: (chunkCount + 7) / 8)
            for chunk in chunks where chunk < chunkCount { bits[Int(chunk) / 8] |= 1 << UInt8(chunk % 8) }
            for byte in bits { page.append(byte: byte) }
            return
        }
        page.append(4 * UInt64(chunks.count) + 1)
        var previous: UInt64 = 0
        for chunk in chunks {
            page.append(chunk - previous)
            previous = chunk
        }
    }

    fileprivate static func append(_ word: UInt32, to bytes: inout [UInt8]) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
}

/// Looks words up.
struct TermIndex {
    let chunkCount: Int
    /// Bytes of the index, from its beginning.
    let byteCount: Int
    /// Reads bytes of the index.
    let read: (_ offset: Int, _ count: Int) throws(LogSourceError) -> [UInt8]

    /// - Parameters:
    ///   - hash: the first `bits` bits of one.
    ///   - count: of pages, below 2^32.
    static func page(_ hash: UInt64, _ bits: Int, of count: Int) -> Int {
        Int(clamping: (hash &* UInt64(count)) >> UInt64(bits))
    }

    /// What tells an index whose pages have checksums.
    static let summed = 256

    static func checksum(_ page: [UInt8], page number: Int, of count: Int, _ bits: Int) -> UInt32 {
        var bytes = page
        for word in [number, count, bits] { TermIndexBuilder.append(UInt32(clamping: word), to: &bytes) }
        return bytes.withUnsafeBytes { LogBatch.checksum($0) }
    }

    /// The chunks that may have a word.
    ///
    /// - Parameter head: of this index.
    func chunks(with hash: UInt64, _ head: Head) throws(LogSourceError) -> ChunkSet {
        var found = ChunkSet(count: chunkCount, isFull: false)
        let (pageCount, bits, _) = head
        let key = Int(WordSet.key(hash)) >> (32 - bits)
        let page = try page(Self.page(UInt64(key), bits, of: pageCount), head)
        let isWhole = page.withUnsafeBytes { bytes in
            walk(bytes) { hash, chunk in
                if hash == key { found.insert(chunk) }
                return hash <= key
            }
        }
        guard isWhole else { throw .damaged("an index of words: a page") }
        return found
    }

    /// How many bits of a hash are kept.
    func bits() throws(LogSourceError) -> Int { try head().bits }

    /// All words with their chunks; bits of a hash that are not kept are 0.
    func forEach(_ body: (_ hash: UInt32, _ chunk: Int) -> Void) throws(LogSourceError) {
        let head = try head()
        let bits = head.bits
        for number in 0..<head.pageCount {
            let page = try page(number, head)
            let isWhole = page.withUnsafeBytes { bytes in
                walk(bytes) { hash, chunk in
                    body(UInt32(truncatingIfNeeded: hash << (32 - bits)), chunk)
                    return true
                }
            }
            guard isWhole else { throw .damaged("an index of words: a page") }
        }
    }

    typealias Head = (pageCount: Int, bits: Int, hasChecksums: Bool)

    /// What stands before its pages: whoever looks up one word after the other keeps it.
    func head() throws(LogSourceError) -> Head {
        let head = try words(at: 0, count: 2)
        let bits = head[1] & (Self.summed - 1)
        guard head[0] > 0, head[0] <= (byteCount - 8) / 4, (1...32).contains(bits), head[1] < 2 * Self.summed else {
            throw .damaged("an index of words: its head")
        }
        return (head[0], bits, head[1] >= Self.summed)
    }

    private func page(_ number: Int, _ head: Head) throws(LogSourceError) -> [UInt8] {
        let count = head.pageCount
        let from = 8 + 4 * count
        guard number < count else { throw .damaged("an index of words: its pages") }
        let bounds = number == 0 ? [0] + (try words(at: 8, count: 1)) : try words(at: 4 + 4 * number, count: 2)
        guard bounds[0] <= bounds[1], bounds[1] <= byteCount - from else {
            throw .damaged("an index of words: its pages")
        }
        var page = try read(from + bounds[0], bounds[1] - bounds[0])
        guard head.hasChecksums else { return page }
        guard page.count >= 4 else { throw .damaged("an index of words: a page is cut off") }
        let sum = page.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        page.removeLast(4)
        guard Self.checksum(page, page: number, of: count, head.bits) == sum else {
            throw .damaged("an index of words: the checksum of page \(number)")
        }
        return page
    }

    /// Calls `body` with each word of a page and each of its chunks, until it returns false.
    ///
    /// - Returns: false if it is no page.
    private func walk(_ page: UnsafeRawBufferPointer, _ body: (_ hash: Int, _ chunk: Int) -> Bool) -> Bool {
        var reader = RawRecordReader(page)
        var hash = 0
        while !reader.isAtEnd {
            guard let difference = reader.number(), let head = reader.number(), difference <= Int(UInt32.max) - hash
            else { return false }
            hash += difference
            let key = hash
            if head & 1 == 0 {
                if !body(key, head / 2) { return true }
            } else if head == 3 {
                guard let bits = reader.take((chunkCount + 7) / 8) else { return false }
                for (place, byte) in bits.enumerated() where byte != 0 {
                    for bit in 0..<8 where byte & (1 << UInt8(bit)) != 0 {
                        if !body(key, place * 8 + bit) { return true }
                    }
                }
            } else {
                guard head & 3 == 1, head / 4 <= reader.remaining else { return false }
                var chunk = 0
                for _ in 0..<head / 4 {
                    guard let difference = reader.number() else { return false }
                    chunk = min(chunk + difference, Int(UInt32.max))
                    if !body(key, chunk) { return true }
                }
            }
        }
        return true
    }

    private func words(at offset: Int, count: Int) throws(LogSourceError) -> [Int] {
        let bytes = try read(offset, 4 * count)
        guard bytes.count == 4 * count else { throw .damaged("an index of words is cut off") }
        return (0..<count).map { word in
            (0..<4).reduce(0) { $0 | Int(bytes[4 * word + $1]) << (8 * $1) }
        }
    }
}

import KernelCompression
import KernelStructures
import LogModelEngine

/// Which chunks of a segment may have a piece of a word: by all pieces of three bytes that stand in their lines.
///
/// "tion ref" stands in a line only if "tio", "ion", "on ", "n r" … do. Which of them each chunk has is a row of bits a
/// piece; a search reads the rows of its pieces and keeps the chunks that have all. (Cox 2012, "Regular expression
/// matching with a trigram index"; here pieces are hashed to 16 bits, with capital letters as small ones.)
///
/// ```
///   index = end of each page (4 bytes), 64 pages
///   page  = zstd of 1,024 rows of (chunks + 7) / 8 bytes
/// ```
///
/// Where it is wrong: numbers in hexadecimal have all their pieces in every chunk; for those there is the index of
/// words.
struct TrigramIndexBuilder {
    /// A bit a row, of each chunk.
    private var chunks: [[UInt64]] = []

    mutating func add(_ bits: [UInt64]) { chunks.append(bits) }

    /// A chunk of which one row is set after the other.
    mutating func addChunk() { chunks.append([UInt64](repeating: 0, count: TrigramIndex.rows / 64)) }

    mutating func set(_ row: Int, chunk: Int) {
        guard chunks.indices.contains(chunk) else { return }
        chunks[chunk][row >> 6] |= 1 << UInt64(row & 63)
    }

    /// Adds the pieces of a line.
    static func scan(_ line: UnsafeRawBufferPointer, into bits: UnsafeMutablePointer<UInt64>) {
        guard line.count >= 3 else { return }
        var piece = UInt32(TrigramIndex.folded(line[0])) << 8 | UInt32(TrigramIndex.folded(line[1]))
        for index in 2..<line.count {
            piece = (piece << 8 | UInt32(TrigramIndex.folded(line[index]))) & 0xFF_FFFF
            let row = TrigramIndex.row(piece)
            bits[row >> 6] |= 1 << UInt64(row & 63)
        }
    }

    /// The whole index.
    func finish(_ compressor: Compressor) throws(CompressionError) -> [UInt8] {
        let rowBytes = (chunks.count + 7) / 8
        let pageBytes = rowBytes * TrigramIndex.rowsPerPage
        var rows = [UInt8](repeating: 0, count: pageBytes * TrigramIndex.pages)
        for (chunk, bits) in chunks.enumerated() {
            let mark = UInt8(1) << UInt8(chunk % 8)
            for (place, word) in bits.enumerated() where word != 0 {
                var rest = word
                while rest != 0 {
                    rows[(place * 64 + rest.trailingZeroBitCount) * rowBytes + chunk / 8] |= mark
                    rest &= rest - 1
                }
            }
        }
        var pages: [UInt8] = []
        var ends: [UInt8] = []
        for page in 0..<TrigramIndex.pages {
            let start = page * pageBytes
            try compressor.compress(Array(rows[start..<start + pageBytes]), into: &pages, .end)
            let end = UInt32(clamping: pages.count)
            for shift in stride(from: UInt32(0), to: 32, by: 8) { ends.append(UInt8(truncatingIfNeeded: end >> shift)) }
        }
        return ends + pages
    }
}

struct TrigramIndex {
    static let rows = 1 << 16
    static let pages = 64
    static let rowsPerPage = 1024

    let chunkCount: Int
    let byteCount: Int
    let read: (_ offset: Int, _ count: Int) throws(LogSourceError) -> [UInt8]

    @inline(__always)
    static func folded(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    @inline(__always)
    static func row(_ piece: UInt32) -> Int { Int((piece &* 0x9E37_79B1) >> 16) }

    /// Rows that are looked at, of a long needle.
    private static let rowLimit = 32

    /// The rows of a needle's pieces, as many as are looked at.
    private static func wantedRows(_ needle: [UInt8]) -> Set<Int> {
        var wanted: Set<Int> = []
        guard needle.count >= 3 else { return wanted }
        for index in 0..<needle.count - 2 where wanted.count < rowLimit {
            let piece = (0..<3).reduce(UInt32(0)) { $0 << 8 | UInt32(folded(needle[index + $1])) }
            wanted.insert(row(piece))
        }
        return wanted
    }

    /// Whether all rows of a needle's pieces are set.
    static func mayHave(_ needle: [UInt8], _ isSet: (_ row: Int) -> Bool) -> Bool {
        wantedRows(needle).allSatisfy(isSet)
    }

    /// All rows that are set, of all chunks.
    func forEach(_ body: (_ row: Int, _ chunk: Int) -> Void) throws(LogSourceError) {
        let rowBytes = (chunkCount + 7) / 8
        for page in 0..<Self.pages {
            let rows = try rows(of: page, rowBytes)
            for (place, byte) in rows.enumerated() where byte != 0 {
                let row = page * Self.rowsPerPage + place / rowBytes
                for bit in 0..<8 where byte & (1 << UInt8(bit)) != 0 { body(row, place % rowBytes * 8 + bit) }
            }
        }
    }

    /// The chunks that may have these bytes somewhere, in any case of letters.
    func chunks(with needle: [UInt8]) throws(LogSourceError) -> ChunkSet {
        var found = ChunkSet(count: chunkCount, isFull: true)
        guard needle.count >= 3 else { return found }
        var page: (number: Int, rows: [UInt8])?
        let rowBytes = (chunkCount + 7) / 8
        for row in Self.wantedRows(needle).sorted() {
            let number = row / Self.rowsPerPage
            if page?.number != number { page = (number, try rows(of: number, rowBytes)) }
            guard let rows = page?.rows else { continue }
            let start = row % Self.rowsPerPage * rowBytes
            var have = ChunkSet(count: chunkCount, isFull: false)
            for chunk in 0..<chunkCount where rows[start + chunk / 8] & (1 << UInt8(chunk % 8)) != 0 {
                have.insert(chunk)
            }
            found.formIntersection(have)
            if found.isEmpty { break }
        }
        return found
    }

    private func rows(of page: Int, _ rowBytes: Int) throws(LogSourceError) -> [UInt8] {
        let start = page == 0 ? 0 : try end(of: page - 1)
        let end = try end(of: page)
        let from = 4 * Self.pages
        guard start <= end, end <= byteCount - from else { throw .damaged("an index of trigrams: its pages") }
        let packed = try read(from + start, end - start)
        let expected = rowBytes * Self.rowsPerPage
        guard let rows = try? CompressionFormat.zstd.decompress(packed, limitBytes: expected), rows.count == expected
        else { throw .damaged("an index of trigrams: a page") }
        return rows
    }

    private func end(of page: Int) throws(LogSourceError) -> Int {
        let bytes = try read(4 * page, 4)
        guard bytes.count == 4 else { throw .damaged("an index of trigrams is cut off") }
        return (0..<4).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
    }
}

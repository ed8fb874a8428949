import KernelCompression
import LogModelEngine
import TimeSeriesEngine

/// Entries of one stream, packed, with what can be looked for in them.
struct PackedChunk {
    let labels: Labels
    let first: Int64
    let last: Int64
    let entryCount: Int
    /// Bytes of the lines.
    let byteCount: Int
    let bytes: [UInt8]
    /// Rising; see `WordSet`.
    let hashes: [UInt32]
    /// A bit a row: see `TrigramIndex`.
    let pieces: [UInt64]

    /// Whether it may have what a hint asks for.
    func mayHave(_ hint: LogHint) -> Bool {
        switch hint {
        case .anything: true
        case .all(let hints): hints.allSatisfy(mayHave)
        case .any(let hints): hints.isEmpty || hints.contains(where: mayHave)
        case .contains(let needle):
            TrigramIndex.mayHave(needle) { pieces[$0 >> 6] & (1 << UInt64($0 & 63)) != 0 }
        case .word(let text): LogWords.hashes(text).allSatisfy(has)
        case .field(let name, let value):
            labels[name] == value && !value.isEmpty || has(LogWords.fieldHash(name, value))
                || has(ChunkTerms.spreadHash(name)) && LogWords.hashes(value).allSatisfy(has)
        }
    }

    private func has(_ hash: UInt64) -> Bool {
        let wanted = WordSet.key(hash)
        var low = 0
        var high = hashes.count
        while low < high {
            let middle = (low + high) / 2
            if hashes[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return low < hashes.count && hashes[low] == wanted
    }
}

/// Packs chunks, one after the other, with the same memory for each.
final class ChunkPacker {
    private let compressor: Compressor
    private let terms = ChunkTerms()

    /// - Throws: `CompressionError`.
    init(level: Int) throws(CompressionError) { compressor = try Compressor(.zstd, level: level) }

    /// - Parameter block: not empty, in rising time.
    func pack(_ block: LogBlock) throws -> PackedChunk {
        let bytes = try LogChunkCodec.packed(block, compressor, terms)
        return PackedChunk(
            labels: block.labels, first: block.timestamps.first ?? 0, last: block.timestamps.last ?? 0,
            entryCount: block.count, byteCount: block.byteCount, bytes: bytes, hashes: terms.words.sorted,
            pieces: terms.pieceBits)
    }
}

/// Memory that is handed out piece by piece and given back all at once: what a memtable lives in. Asking it costs an
/// addition, where a heap would search.
final class Arena {
    private static let chunkByteCount = 256 << 10
    private var chunks: [UnsafeMutableRawPointer] = []
    private var place = UnsafeMutableRawPointer(mutating: Bytes.nowhere)
    private var left = 0
    /// What the chunks take altogether.
    private(set) var reservedByteCount = 0
    /// What of that was handed out, alignment included.
    private(set) var byteCount = 0

    deinit { for chunk in chunks { chunk.deallocate() } }

    /// Memory for `count` bytes, aligned to eight.
    @inline(__always) func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        let rounded = (count &+ 7) & ~7
        if rounded > left { addChunk(rounded) }
        let result = place
        place += rounded
        left &-= rounded
        byteCount &+= rounded
        return result
    }

    @inline(never) private func addChunk(_ wanted: Int) {
        let size = max(wanted, Self.chunkByteCount)
        let chunk = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        chunks.append(chunk)
        reservedByteCount += size
        place = chunk
        left = size
    }
}

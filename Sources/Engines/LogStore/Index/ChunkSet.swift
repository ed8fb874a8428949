/// Some of a segment's chunks.
struct ChunkSet: Equatable {
    private var words: [UInt64]
    let count: Int

    init(count: Int, isFull: Bool) {
        self.count = count
        words = Array(repeating: isFull ? .max : 0, count: (count + 63) / 64)
        if isFull, count % 64 != 0 { words[words.count - 1] = (1 << UInt64(count % 64)) - 1 }
    }

    var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    subscript(index: Int) -> Bool {
        index >= 0 && index < count && words[index >> 6] & (1 << UInt64(index & 63)) != 0
    }

    mutating func insert(_ index: Int) {
        if index >= 0, index < count { words[index >> 6] |= 1 << UInt64(index & 63) }
    }

    mutating func formUnion(_ other: ChunkSet) { for index in words.indices { words[index] |= other.words[index] } }

    mutating func formIntersection(_ other: ChunkSet) {
        for index in words.indices { words[index] &= other.words[index] }
    }
}

/// One bit for each message of a block. It takes no memory before the first is set.
struct LogBits: Equatable {
    private var words: [UInt64] = []
    private(set) var count = 0

    func contains(_ index: Int) -> Bool {
        let word = index >> 6
        return word < words.count && words[word] & (1 << UInt64(index & 63)) != 0
    }

    /// Returns false if it was set already.
    @discardableResult
    mutating func insert(_ index: Int) -> Bool {
        let word = index >> 6
        if word >= words.count { words.append(contentsOf: repeatElement(0, count: word + 1 - words.count)) }
        let bit: UInt64 = 1 << UInt64(index & 63)
        if words[word] & bit != 0 { return false }
        words[word] |= bit
        count += 1
        return true
    }

    /// The first index from `start` on that is not set.
    func firstGap(from start: Int) -> Int {
        var index = start
        while index >> 6 < words.count {
            let rest = ~words[index >> 6] >> UInt64(index & 63)
            if rest != 0 { return index + rest.trailingZeroBitCount }
            index = (index >> 6 + 1) << 6
        }
        return index
    }

    /// The first index from `start` on that is set; nil if there is none.
    func first(from start: Int) -> Int? {
        var index = start
        while index >> 6 < words.count {
            let rest = words[index >> 6] >> UInt64(index & 63)
            if rest != 0 { return index + rest.trailingZeroBitCount }
            index = (index >> 6 + 1) << 6
        }
        return nil
    }

    /// What is set, as ranges.
    var runs: [Range<Int>] {
        var result: [Range<Int>] = []
        var start = first(from: 0)
        while let begin = start {
            let end = firstGap(from: begin)
            result.append(begin..<end)
            start = first(from: end)
        }
        return result
    }
}

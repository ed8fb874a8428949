import KernelStructures

/// Roughly how often each of very many keys was seen lately, in a byte or two a key: a count-min sketch of counters of
/// four bits that are halved now and then (Einziger, Friedman and Manes, "TinyLFU: a highly efficient cache admission
/// policy", 2017).
///
/// ## An everyday picture
///
/// Tally marks on a wall, where nobody writes names: each visitor puts a mark into four boxes that the name leads to.
/// Others share boxes, so a box may have too many marks, never too few; the emptiest of the four is closest to the
/// truth. After eight marks for each item in the cache, half of all marks are wiped out.
struct FrequencySketch {
    private var words: ContiguousArray<UInt64>
    /// Marks since the last halving, and after how many the next one comes.
    private var marks = 0
    private var period: Int

    /// - Parameter capacity: how many items there are.
    init(capacity: Int = 1024) {
        words = .init(repeating: 0, count: Self.wordCount(capacity))
        period = max(capacity, 16) * Self.marksPerItem
    }

    private static let marksPerItem = 8
    static let largest = 15

    private static func wordCount(_ capacity: Int) -> Int {
        var count = 16
        while count < capacity { count *= 2 }
        return count
    }

    var byteCount: Int { MemoryCost.array(words.capacity, stride: 8) }

    /// There are so many items by now. A wall twice as long begins as two copies of the old one: what a key leads to
    /// has the same marks then.
    mutating func reserve(_ capacity: Int) {
        while words.count < capacity { words.append(contentsOf: words) }
        period = max(capacity, 16) * Self.marksPerItem
    }

    /// Which word and which of its 16 counters the row leads to.
    @inline(__always) private func place(_ hash: UInt64, _ row: UInt64) -> (word: Int, shift: UInt64) {
        let spread = mixed(hash &+ row &* 0x9E37_79B9_7F4A_7C15)
        return (Int(truncatingIfNeeded: spread & UInt64(words.count - 1)), (spread >> 60) << 2)
    }

    func estimate(_ hash: UInt64) -> Int {
        var least = Self.largest
        for row in 0..<4 as Range<UInt64> {
            let (word, shift) = place(hash, row)
            least = min(least, Int(words[word] >> shift & 15))
        }
        return least
    }

    mutating func add(_ hash: UInt64) {
        for row in 0..<4 as Range<UInt64> {
            let (word, shift) = place(hash, row)
            if words[word] >> shift & 15 < 15 { words[word] += 1 << shift }
        }
        marks += 1
        if marks >= period { halve() }
    }

    private mutating func halve() {
        marks /= 2
        for index in words.indices { words[index] = words[index] >> 1 & 0x7777_7777_7777_7777 }
    }
}

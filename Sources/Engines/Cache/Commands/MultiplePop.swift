import KernelWire

/// What `LMPOP`, `ZMPOP` and their blocking forms ask for: `numkeys key… END [COUNT n]`, where the end is `LEFT` or
/// `RIGHT` of a list, `MIN` or `MAX` of a sorted set.
struct MultiplePop {
    /// The places of the keys among the words.
    let keys: Range<Int>
    /// Whether the first of the two ends is meant.
    let isFirstEnd: Bool
    /// At most so many elements, at least 1.
    let count: Int

    /// - Parameter index: the place of `numkeys`.
    init(
        _ words: RESPArguments, at index: Int, ends: (first: StaticString, last: StaticString)
    ) throws(CacheError) {
        let number = try words.number(index, atLeast: 1, "ERR numkeys should be greater than 0")
        guard number < words.count - index - 1 else { throw .syntax }
        keys = index + 1..<index + 1 + number
        let end = keys.upperBound
        isFirstEnd = words.isWord(end, ends.first)
        guard isFirstEnd || words.isWord(end, ends.last) else { throw .syntax }
        guard words.count > end + 1 else {
            count = 1
            return
        }
        guard words.count >= end + 3, words.isWord(end + 1, "COUNT") else { throw .syntax }
        count = try words.number(end + 2, atLeast: 1, "ERR count should be greater than 0")
        // Redis looks at the number first.
        guard words.count == end + 3 else { throw .syntax }
    }
}

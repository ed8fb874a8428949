import KernelStructures
import KernelWire

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN n] [WITHMATCHLEN]`: the longest sequence of bytes that two values have in
/// common, with gaps; the table of the textbook (Wagner and Fischer 1974), whose cells are bounded.
enum LongestCommon {
    /// Cells of the table: of two values of 8 KB each.
    static let cellLimit = 64 << 20

    private struct Options {
        var wantsLength = false
        var wantsPlaces = false
        var leastMatch = 0
        var wantsMatchLength = false
    }

    static func run(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        func value(_ index: Int) throws(CacheError) -> [UInt8] {
            let id = cache.reading(words[index])
            if id == 0 { return [] }
            guard cache.slab[id].pointee.kind == .string else {
                throw .text("ERR The specified keys must contain string values")
            }
            return Array(cache.slab[id].pointee.value)
        }
        let a = try value(1)
        let b = try value(2)
        let options = try read(words)
        guard (a.count + 1).multipliedReportingOverflow(by: b.count + 1).overflow == false,
            (a.count + 1) * (b.count + 1) <= cellLimit
        else { throw .text("ERR Insufficient memory, transient memory for LCS exceeds \(cellLimit) cells") }
        answer(a, b, table(a, b), options, &reply)
    }

    private static func read(_ words: RESPArguments) throws(CacheError) -> Options {
        var options = Options()
        var index = 3
        while index < words.count {
            if words.isWord(index, "IDX") {
                options.wantsPlaces = true
            } else if words.isWord(index, "LEN") {
                options.wantsLength = true
            } else if words.isWord(index, "WITHMATCHLEN") {
                options.wantsMatchLength = true
            } else if words.isWord(index, "MINMATCHLEN"), index + 1 < words.count {
                options.leastMatch = max(0, try words.number(index + 1))
                index += 1
            } else {
                throw .syntax
            }
            index += 1
        }
        if options.wantsLength, options.wantsPlaces {
            throw .text("ERR If you want both the length and indexes, please just use IDX.")
        }
        return options
    }

    /// Cell (i, j): how long it is for the first i bytes of a and the first j of b.
    private static func table(_ a: [UInt8], _ b: [UInt8]) -> [UInt32] {
        let width = b.count + 1
        var cells = [UInt32](repeating: 0, count: (a.count + 1) * width)
        for i in 0..<a.count {
            for j in 0..<b.count {
                let above = cells[i * width + j + 1]
                let left = cells[(i + 1) * width + j]
                cells[(i + 1) * width + j + 1] = a[i] == b[j] ? cells[i * width + j] + 1 : max(above, left)
            }
        }
        return cells
    }

    private static func answer(
        _ a: [UInt8], _ b: [UInt8], _ cells: [UInt32], _ options: Options, _ reply: inout RESPWriter
    ) {
        let width = b.count + 1
        let length = Int(cells[a.count * width + b.count])
        if options.wantsLength { return reply.integer(length) }
        var common: [UInt8] = []
        var matches: [(a: ClosedRange<Int>, b: ClosedRange<Int>)] = []
        var i = a.count
        var j = b.count
        while i > 0, j > 0 {
            if a[i - 1] == b[j - 1] {
                common.append(a[i - 1])
                if let last = matches.last, last.a.lowerBound == i, last.b.lowerBound == j {
                    matches[matches.count - 1] = (i - 1...last.a.upperBound, j - 1...last.b.upperBound)
                } else {
                    matches.append((i - 1...i - 1, j - 1...j - 1))
                }
                i -= 1
                j -= 1
            } else if cells[(i - 1) * width + j] > cells[i * width + j - 1] {
                i -= 1
            } else {
                j -= 1
            }
        }
        guard options.wantsPlaces else { return reply.bulk(Array(common.reversed())) }
        let wanted = matches.filter { $0.a.count >= options.leastMatch }
        reply.map(2)
        reply.bulk("matches")
        reply.array(wanted.count)
        for match in wanted {
            reply.array(options.wantsMatchLength ? 3 : 2)
            for range in [match.a, match.b] {
                reply.array(2)
                reply.integer(range.lowerBound)
                reply.integer(range.upperBound)
            }
            if options.wantsMatchLength { reply.integer(match.a.count) }
        }
        reply.bulk("len")
        reply.integer(length)
    }
}

/// How one list of lines becomes another with few changes.
///
/// ## An everyday picture
///
/// Two people read two editions of a book, one from the front and one from the back, and each notes how far he gets
/// with one change more. Where their notes meet, the book is cut in two, and both halves are read in the same way.
///
/// ## Sources
///
/// E. Myers, "An O(ND) difference algorithm and its variations", Algorithmica 1 (1986): the middle snake, section 4b.
/// Of several shortest ways GNU's diff has its own taste, which people know from its output: lines that the other list
/// does not have are left out first, and so are some that it has too often, where they stand between such lines
/// ("confusing lines"); runs of changes move down as far as they can, and back to where the other list has changes,
/// too. With more than `costLimit` changes a way is taken that is good and need not be the shortest. These rules are
/// GNU's; whether they are kept is held against its answers in the tests.
struct LineDifference {
    /// `deleted` lines from `first` on are replaced by `inserted` lines from `second` on; both count from 0.
    struct Change: Equatable {
        var first: Int
        var deleted: Int
        var second: Int
        var inserted: Int
    }

    /// One of both lists: what its lines are as numbers, equal ones of both lists with equal numbers.
    private struct Side {
        let lines: [Int]
        /// Whether a line is changed; one more at each end, which is not.
        var isChanged: [Bool]
        /// The lines that are compared, and where they stand.
        var kept: [Int] = []
        var places: [Int] = []

        init(_ lines: [Int]) {
            self.lines = lines
            isChanged = Array(repeating: false, count: lines.count + 2)
        }
        subscript(index: Int) -> Bool {
            get { isChanged[index + 1] }
            set { isChanged[index + 1] = newValue }
        }
    }

    private struct Part {
        var x: Range<Int>
        var y: Range<Int>
        var isExact: Bool
    }

    /// Changes from which on a short way is good enough.
    private static let costLimit = 4096
    /// Steps between two looks whether somebody has had enough.
    private static let lookSteps = 1 << 20
    static let stepLimit = 4_000_000_000

    enum Failure: Error { case interrupted, tooMuch }

    private var sides: [Side]
    private var forward: [Int] = []
    private var backward: [Int] = []
    private var tooExpensive = costLimit
    private var steps = 0
    private var stepsToLook = lookSteps
    private let isInterrupted: () -> Bool

    /// - Parameter isInterrupted: asked now and then.
    /// - Throws: where it was interrupted, or took more than `stepLimit`.
    static func changes(
        _ a: [Int], _ b: [Int], isInterrupted: @escaping () -> Bool = { false }
    ) throws(Failure) -> [Change] {
        var difference = LineDifference(sides: [Side(a), Side(b)], isInterrupted: isInterrupted)
        difference.leaveOutConfusingLines()
        try difference.compare()
        difference.shift(0, 1)
        difference.shift(1, 0)
        return difference.script()
    }

    private init(sides: [Side], isInterrupted: @escaping () -> Bool) {
        self.sides = sides
        self.isInterrupted = isInterrupted
    }

    private mutating func count(_ more: Int) throws(Failure) {
        steps += more
        stepsToLook -= more
        guard stepsToLook <= 0 else { return }
        stepsToLook = Self.lookSteps
        if isInterrupted() { throw .interrupted }
        if steps > Self.stepLimit { throw .tooMuch }
    }

    private mutating func leaveOutConfusingLines() {
        for index in 0...1 {
            let stays = ConfusingLines.stays(sides[index].lines, beside: sides[1 - index].lines)
            for (place, line) in sides[index].lines.enumerated() {
                if stays[place] {
                    sides[index].kept.append(line)
                    sides[index].places.append(place)
                } else {
                    sides[index][place] = true
                }
            }
        }
    }

    // MARK: Myers

    private mutating func compare() throws(Failure) {
        let (a, b) = (sides[0].kept, sides[1].kept)
        let diagonals = a.count + b.count + 3
        forward = Array(repeating: 0, count: diagonals)
        backward = forward
        var cost = 1
        var rest = diagonals
        while rest != 0 {
            rest >>= 2
            cost <<= 1
        }
        tooExpensive = max(Self.costLimit, cost)
        var parts = [Part(x: 0..<a.count, y: 0..<b.count, isExact: false)]
        while let part = parts.popLast() {
            var (x, y) = (part.x, part.y)
            while !x.isEmpty, !y.isEmpty, a[x.lowerBound] == b[y.lowerBound] {
                x = (x.lowerBound + 1)..<x.upperBound
                y = (y.lowerBound + 1)..<y.upperBound
            }
            while !x.isEmpty, !y.isEmpty, a[x.upperBound - 1] == b[y.upperBound - 1] {
                x = x.lowerBound..<(x.upperBound - 1)
                y = y.lowerBound..<(y.upperBound - 1)
            }
            if x.isEmpty {
                for place in y { sides[1][sides[1].places[place]] = true }
            } else if y.isEmpty {
                for place in x { sides[0][sides[0].places[place]] = true }
            } else {
                let (middle, isFirstExact, isSecondExact) = try self.middle(a, b, x, y, isExact: part.isExact)
                parts.append(
                    Part(x: x.lowerBound..<middle.x, y: y.lowerBound..<middle.y, isExact: isFirstExact))
                parts.append(
                    Part(x: middle.x..<x.upperBound, y: middle.y..<y.upperBound, isExact: isSecondExact))
            }
        }
    }

    /// Where the ways from both ends meet, and whether what is left on each side has to be exact.
    private mutating func middle(
        _ a: [Int], _ b: [Int], _ x: Range<Int>, _ y: Range<Int>, isExact: Bool
    ) throws(Failure) -> (point: (x: Int, y: Int), isFirstExact: Bool, isSecondExact: Bool) {
        let base = b.count + 1
        let lowest = x.lowerBound - y.upperBound
        let highest = x.upperBound - y.lowerBound
        let top = x.lowerBound - y.lowerBound
        let bottom = x.upperBound - y.upperBound
        var (fromLow, fromHigh) = (top, top)
        var (toLow, toHigh) = (bottom, bottom)
        let isOdd = (top - bottom) & 1 != 0
        forward[base + top] = x.lowerBound
        backward[base + bottom] = x.upperBound
        var cost = 0
        while true {
            cost += 1
            // From the top, one change more on each diagonal.
            if fromLow > lowest {
                fromLow -= 1
                forward[base + fromLow - 1] = -1
            } else {
                fromLow += 1
            }
            if fromHigh < highest {
                fromHigh += 1
                forward[base + fromHigh + 1] = -1
            } else {
                fromHigh -= 1
            }
            for diagonal in stride(from: fromHigh, through: fromLow, by: -2) {
                let (below, above) = (forward[base + diagonal - 1], forward[base + diagonal + 1])
                let begin = below < above ? above : below + 1
                var place = begin
                while place < x.upperBound, place - diagonal < y.upperBound, a[place] == b[place - diagonal] {
                    place += 1
                }
                try count(1 + place - begin)
                forward[base + diagonal] = place
                if isOdd, toLow <= diagonal, diagonal <= toHigh, backward[base + diagonal] <= place {
                    return ((place, place - diagonal), true, true)
                }
            }
            // The same from the bottom.
            if toLow > lowest {
                toLow -= 1
                backward[base + toLow - 1] = .max
            } else {
                toLow += 1
            }
            if toHigh < highest {
                toHigh += 1
                backward[base + toHigh + 1] = .max
            } else {
                toHigh -= 1
            }
            for diagonal in stride(from: toHigh, through: toLow, by: -2) {
                let (below, above) = (backward[base + diagonal - 1], backward[base + diagonal + 1])
                let begin = below < above ? below : above - 1
                var place = begin
                while x.lowerBound < place, y.lowerBound < place - diagonal, a[place - 1] == b[place - diagonal - 1] {
                    place -= 1
                }
                try count(1 + begin - place)
                backward[base + diagonal] = place
                if !isOdd, fromLow <= diagonal, diagonal <= fromHigh, place <= forward[base + diagonal] {
                    return ((place, place - diagonal), true, true)
                }
            }
            guard !isExact, cost >= tooExpensive else { continue }
            return furthest(x, y, base, fromLow...fromHigh, toLow...toHigh)
        }
    }

    /// Too many changes: the point that is furthest from its end.
    private func furthest(
        _ x: Range<Int>, _ y: Range<Int>, _ base: Int, _ from: ClosedRange<Int>, _ to: ClosedRange<Int>
    ) -> (point: (x: Int, y: Int), isFirstExact: Bool, isSecondExact: Bool) {
        var (best, bestX) = (-1, 0)
        for diagonal in stride(from: from.upperBound, through: from.lowerBound, by: -2) {
            var place = min(forward[base + diagonal], x.upperBound)
            var other = place - diagonal
            if other > y.upperBound {
                place = y.upperBound + diagonal
                other = y.upperBound
            }
            if best < place + other { (best, bestX) = (place + other, place) }
        }
        var (last, lastX) = (Int.max, 0)
        for diagonal in stride(from: to.upperBound, through: to.lowerBound, by: -2) {
            var place = max(x.lowerBound, backward[base + diagonal])
            var other = place - diagonal
            if other < y.lowerBound {
                place = y.lowerBound + diagonal
                other = y.lowerBound
            }
            if place + other < last { (last, lastX) = (place + other, place) }
        }
        if x.upperBound + y.upperBound - last < best - (x.lowerBound + y.lowerBound) {
            return ((bestX, best - bestX), true, false)
        }
        return ((lastX, last - lastX), false, true)
    }

    // MARK: Where changes stand

    /// Of equal lines any may be the changed one: runs are moved together where they meet, then down as far as they
    /// go, and back up to changes of the other side.
    private mutating func shift(_ own: Int, _ other: Int) {
        let lines = sides[own].lines
        let end = lines.count
        var place = 0
        var across = 0
        while true {
            while place < end, !sides[own][place] {
                while sides[other][across] { across += 1 }
                across += 1
                place += 1
            }
            if place == end { return }
            var start = place
            while place < end, sides[own][place] { place += 1 }
            while sides[other][across] { across += 1 }
            var length = -1
            var meeting = end
            while length != place - start {
                length = place - start
                while start > 0, lines[start - 1] == lines[place - 1] {
                    start -= 1
                    place -= 1
                    sides[own][start] = true
                    sides[own][place] = false
                    while sides[own][start - 1] { start -= 1 }
                    across -= 1
                    while sides[other][across] { across -= 1 }
                }
                meeting = sides[other][across - 1] ? place : end
                while place != end, lines[start] == lines[place] {
                    sides[own][start] = false
                    sides[own][place] = true
                    start += 1
                    place += 1
                    while sides[own][place] { place += 1 }
                    across += 1
                    while sides[other][across] {
                        across += 1
                        meeting = place
                    }
                }
            }
            while meeting < place {
                start -= 1
                place -= 1
                sides[own][start] = true
                sides[own][place] = false
                across -= 1
                while sides[other][across] { across -= 1 }
            }
        }
    }

    private func script() -> [Change] {
        var changes: [Change] = []
        var (i, j) = (0, 0)
        let (m, n) = (sides[0].lines.count, sides[1].lines.count)
        while i < m || j < n {
            guard sides[0][i] || sides[1][j] else {
                i += 1
                j += 1
                continue
            }
            var change = Change(first: i, deleted: 0, second: j, inserted: 0)
            while sides[0][i] { i += 1 }
            while sides[1][j] { j += 1 }
            change.deleted = i - change.first
            change.inserted = j - change.second
            changes.append(change)
        }
        return changes
    }
}

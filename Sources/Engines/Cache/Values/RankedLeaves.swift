/// Members of a sorted set in the order of their scores, with ranks: a B+-tree of two levels.
///
/// ## The problem
///
/// "Who is on place 4,711?", "which place has Alice?", "everybody between 10 and 20 points": a list that is sorted
/// answers all three by bisection, but an insertion in its middle moves half of it.
///
/// ## An everyday picture
///
/// A card index in drawers. Each drawer has at most 128 cards and on its front the first of them. Whoever looks for a
/// card runs along the fronts, then through one drawer. A drawer that is full is split into two. The place of a card in
/// the whole index is what lies in the drawers before it, and its place in its own.
///
/// Redis has a skip list here (Pugh 1990) whose links count what they pass over. Drawers need no luck, and no pointer a
/// member: 24 bytes each.
///
/// ## Where it is wrong
///
/// A rank adds up the drawers before it: of a million members that is 10,000 additions, 2 µs. A third level would make
/// it logarithmic.
struct RankedLeaves {
    struct Element {
        var score: Double
        var member: [UInt8]
    }

    private var leaves: [ContiguousArray<Element>] = []
    private(set) var count = 0
    static let leafLimit = 128

    var byteCount: Int {
        let stride = MemoryLayout<Element>.stride
        // All leaves are counted as if they had what the average has: nobody adds up 10,000 of them with each write.
        let average = leaves.isEmpty ? 0 : min(Self.leafLimit, (count / leaves.count + 1) * 3 / 2)
        return MemoryCost.array(leaves.capacity, stride: 8) + leaves.count * MemoryCost.array(average, stride: stride)
    }

    /// Equal scores go by the members' bytes.
    static func isOrdered(_ a: Element, _ b: Element) -> Bool {
        a.score < b.score || a.score == b.score && isBefore(a.member, b.member)
    }

    /// The first leaf whose last element is not below the place.
    private func leaf(_ isBelow: (Element) -> Bool) -> Int {
        var low = 0
        var high = leaves.count
        while low < high {
            let middle = (low + high) / 2
            if let last = leaves[middle].last, isBelow(last) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func place(in leaf: Int, _ isBelow: (Element) -> Bool) -> Int {
        var low = 0
        var high = leaves[leaf].count
        while low < high {
            let middle = (low + high) / 2
            if isBelow(leaves[leaf][middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// How many elements are below a place: those for which the condition holds, which must be the first ones.
    func rank(_ isBelow: (Element) -> Bool) -> Int {
        let found = leaf(isBelow)
        var rank = 0
        for index in 0..<found { rank += leaves[index].count }
        return found < leaves.count ? rank + place(in: found, isBelow) : rank
    }

    func rank(of element: Element) -> Int { rank { Self.isOrdered($0, element) } }

    mutating func insert(_ element: Element) {
        count += 1
        if leaves.isEmpty {
            leaves.append([element])
            return
        }
        let index = min(leaf { Self.isOrdered($0, element) }, leaves.count - 1)
        let place = place(in: index) { Self.isOrdered($0, element) }
        leaves[index].insert(element, at: place)
        if leaves[index].count > Self.leafLimit { split(index) }
    }

    private mutating func split(_ index: Int) {
        let half = leaves[index].count / 2
        let upper = ContiguousArray(leaves[index][half...])
        leaves[index].removeSubrange(half...)
        leaves.insert(upper, at: index + 1)
    }

    /// Removes an element that is there.
    mutating func remove(_ element: Element) {
        let index = leaf { Self.isOrdered($0, element) }
        guard index < leaves.count else { return }
        let place = place(in: index) { Self.isOrdered($0, element) }
        guard place < leaves[index].count, leaves[index][place].member == element.member else { return }
        leaves[index].remove(at: place)
        count -= 1
        shrink(index)
    }

    private mutating func shrink(_ index: Int) {
        if leaves[index].isEmpty {
            leaves.remove(at: index)
        } else if leaves[index].count < Self.leafLimit / 4, index + 1 < leaves.count,
            leaves[index].count + leaves[index + 1].count <= Self.leafLimit * 3 / 4
        {
            leaves[index].append(contentsOf: leaves[index + 1])
            leaves.remove(at: index + 1)
        }
    }

    /// Calls `body` with the elements of ranks, in their order or against it, until it says false.
    func forEach(_ ranks: Range<Int>, reversed: Bool = false, _ body: (Element) -> Bool) {
        guard !ranks.isEmpty, ranks.lowerBound >= 0, ranks.upperBound <= count else { return }
        var left = ranks.count
        var index = reversed ? leaves.count - 1 : 0
        // The leaf of the first rank, and its place in there.
        var place = reversed ? count - ranks.upperBound : ranks.lowerBound
        while place >= leaves[index].count {
            place -= leaves[index].count
            index += reversed ? -1 : 1
        }
        while left > 0 {
            let leaf = leaves[index]
            while place < leaf.count, left > 0 {
                if !body(leaf[reversed ? leaf.count - 1 - place : place]) { return }
                place += 1
                left -= 1
            }
            place = 0
            index += reversed ? -1 : 1
        }
    }

    /// The element of a rank.
    func element(_ rank: Int) -> Element? {
        var found: Element?
        forEach(rank..<rank + 1) {
            found = $0
            return false
        }
        return found
    }

    /// For tests: whether all is in order and no leaf is empty or too full.
    var isSound: Bool {
        let all = leaves.flatMap { $0 }
        return all.count == count && leaves.allSatisfy { !$0.isEmpty && $0.count <= Self.leafLimit }
            && zip(all, all.dropFirst()).allSatisfy { Self.isOrdered($0, $1) }
    }
}

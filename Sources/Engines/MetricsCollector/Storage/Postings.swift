import TimeSeriesEngine

/// Which series have which label: the index of a book, `job="node"` and behind it the numbers of the pages.
///
/// Numbers rise within each list, so that lists are cut and joined by walking along both at once.
struct Postings {
    /// By name and value of the symbol table.
    private var lists: [UInt64: [UInt32]] = [:]
    /// The values of each name, in the order in which they came.
    private(set) var values: [UInt32: [UInt32]] = [:]

    private static func key(_ name: UInt32, _ value: UInt32) -> UInt64 { UInt64(name) << 32 | UInt64(value) }

    /// Adds a series with a greater number than all that are there.
    mutating func add(_ number: UInt32, labels: [UInt32]) {
        for index in stride(from: 0, to: labels.count - 1, by: 2) {
            let name = labels[index]
            let value = labels[index + 1]
            lists[Self.key(name, value), default: []].append(number)
            if lists[Self.key(name, value)]?.count == 1 { values[name, default: []].append(value) }
        }
    }

    subscript(name: UInt32, value: UInt32) -> [UInt32] { lists[Self.key(name, value)] ?? [] }

    var pairCount: Int { lists.count }

    // MARK: Lists

    static func intersection(_ left: [UInt32], _ right: [UInt32]) -> [UInt32] {
        var result: [UInt32] = []
        var here = 0
        var there = 0
        while here < left.count, there < right.count {
            if left[here] == right[there] {
                result.append(left[here])
                here += 1
                there += 1
            } else if left[here] < right[there] {
                here += 1
            } else {
                there += 1
            }
        }
        return result
    }

    static func subtraction(_ left: [UInt32], _ right: [UInt32]) -> [UInt32] {
        var result: [UInt32] = []
        var there = 0
        for number in left {
            while there < right.count, right[there] < number { there += 1 }
            if there == right.count || right[there] != number { result.append(number) }
        }
        return result
    }

    /// Lists of one name's values have no number in common.
    static func union(_ lists: [[UInt32]]) -> [UInt32] {
        if lists.count == 1 { return lists[0] }
        return lists.flatMap { $0 }.sorted()
    }
}

/// Where series are found by conditions: what an index in memory and one in a file have in common.
protocol PostingsSource {
    /// All series, in rising order.
    func allNumbers() throws(QueryableError) -> [UInt32]
    /// The series with that label; none if there is no such label.
    func numbers(name: String, value: String) throws(QueryableError) -> [UInt32]
    /// The series that have the label with a value for which `isWanted` says so.
    func numbers(name: String, where isWanted: (UnsafeRawBufferPointer) -> Bool) throws(QueryableError) -> [UInt32]
}

extension PostingsSource {
    /// The numbers of the series that satisfy all conditions, in rising order.
    ///
    /// A condition that an absent label satisfies (`code!="500"`) takes away the series that have a value which does
    /// not; the others keep those that have one which does.
    func select(_ matchers: [LabelMatcher]) throws(QueryableError) -> [UInt32] {
        var found: [UInt32]?
        for matcher in matchers where !matcher.matchesEmpty {
            let numbers = try numbers(satisfying: matcher)
            found = found.map { Postings.intersection($0, numbers) } ?? numbers
            if found?.isEmpty == true { return [] }
        }
        var rest: [UInt32]
        if let found { rest = found } else { rest = try allNumbers() }
        for matcher in matchers where matcher.matchesEmpty && !rest.isEmpty {
            rest = Postings.subtraction(rest, try numbers(name: matcher.name) { !matcher.matches($0) })
        }
        return rest
    }

    private func numbers(satisfying matcher: LabelMatcher) throws(QueryableError) -> [UInt32] {
        switch matcher.kind {
        case .equal: return try numbers(name: matcher.name, value: matcher.value)
        case .matches:
            guard let words = matcher.alternatives else { break }
            var lists: [[UInt32]] = []
            var seen: Set<[UInt8]> = []
            for word in words where seen.insert(Array(word.utf8)).inserted {
                lists.append(try numbers(name: matcher.name, value: word))
            }
            return Postings.union(lists)
        case .notEqual, .doesNotMatch: break
        }
        return try numbers(name: matcher.name) { matcher.matches($0) }
    }
}

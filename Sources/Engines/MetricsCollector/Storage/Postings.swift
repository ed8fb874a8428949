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

    init() {}

    /// Adds a series with a greater number than all that are there.
    mutating func add(_ number: UInt32, labels: [UInt32]) {
        for index in stride(from: 0, to: labels.count - 1, by: 2) {
            let name = labels[index]
            let value = labels[index + 1]
            if Self.append(number, to: &lists[Self.key(name, value), default: []]) {
                values[name, default: []].append(value)
            }
        }
    }

    /// Whether it is the first one.
    private static func append(_ number: UInt32, to list: inout [UInt32]) -> Bool {
        list.append(number)
        return list.count == 1
    }

    subscript(name: UInt32, value: UInt32) -> [UInt32] { lists[Self.key(name, value)] ?? [] }

    var pairCount: Int { lists.count }

    func write(to out: inout SnapshotWriter) {
        out.append(UInt32(lists.count))
        out.append(UInt32(values.count))
        for (name, own) in values.sorted(by: { $0.key < $1.key }) {
            out.append(name)
            out.append(UInt32(own.count))
            for value in own {
                let list = self[name, value]
                out.append(value)
                out.append(UInt32(list.count))
                for number in list { out.append(number) }
            }
        }
    }

    /// Nil where what is read is none: of `seriesCount` series.
    init?(_ reader: inout SnapshotReader, seriesCount: Int) {
        lists.reserveCapacity(reader.count(UInt32.self))
        for _ in 0..<reader.count(UInt32.self) {
            let name = reader.number(UInt32.self)
            var own: [UInt32] = []
            for _ in 0..<reader.count(UInt32.self) {
                let value = reader.number(UInt32.self)
                let count = reader.count(UInt32.self)
                var list: [UInt32] = []
                list.reserveCapacity(count)
                var next: UInt32 = 0
                for _ in 0..<count {
                    let number = reader.number(UInt32.self)
                    guard number >= next, number < seriesCount else { return nil }
                    next = number + 1
                    list.append(number)
                }
                own.append(value)
                lists[Self.key(name, value)] = list
            }
            values[name] = own
        }
        if reader.isBroken { return nil }
    }

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

import KernelOTLP
import KernelStructures
import KernelTelemetry

/// What a file's records can be asked for, in memory: so that a search costs what it finds, and not what there is.
///
/// ## How
///
/// Whatever can be asked of a span becomes a *term*, 32 bits of a hash: its service, an operation of that service, an
/// attribute of that service with its value. A record has each of its terms once. Terms and records stand in sorted
/// *runs* (term in the upper half of a number, record in the lower), which are merged when two are of one size, as an
/// LSM tree has it: adding is cheap, and looking a term up is a binary search in a few runs. Records of several terms
/// are those that all of their lists have.
///
/// The index goes with its file; nothing has to be taken out of it.
///
/// ## Where it is wrong
///
/// A record says what its spans have together, not which of them has what, and two terms may have one hash: whoever
/// reads the record sees. Beyond `termLimit` records are not told apart any more, and all of them are read: spans with
/// thousands of attributes must not cost more memory than their file has bytes.
struct TraceFileIndex: Sendable {
    struct Record: Sendable {
        let id: TraceID
        /// When its spans began, in nanoseconds since 1970.
        let first: UInt64
        let last: UInt64
        /// How long the slowest of them took, in nanoseconds.
        let longest: UInt64
    }

    private(set) var records: [Record] = []
    /// Each sorted; term << 32 | record.
    private var runs: [[UInt64]] = []
    /// Not sorted yet; at most `tailLimit`.
    private var tail: [UInt64] = []
    /// Records that may have any term.
    private var open: [UInt32] = []
    private(set) var termCount = 0
    private let termLimit: Int

    /// Bounds of all records' times: nothing is outside of them.
    private(set) var earliest = UInt64.max
    /// Of the first spans, and of all.
    private(set) var newest: UInt64 = 0
    private(set) var latest: UInt64 = 0
    private(set) var longest: UInt64 = 0

    private static let tailLimit = 4096

    init(termLimit: Int) { self.termLimit = termLimit }

    // MARK: Adding

    /// Adds the file's next record: spans of one trace.
    ///
    /// - Parameter number: of a service; nil for one that found no number, which makes its record one of any terms.
    mutating func add(_ id: TraceID, _ groups: [OTLPTraces.Group], number: (OTLPResource) -> UInt32?) {
        var (first, last, slowest) = (UInt64.max, UInt64(0), UInt64(0))
        var terms: [UInt32] = []
        var isOpen = false
        for group in groups {
            for span in group.spans {
                first = min(first, span.start)
                last = max(last, span.start)
                slowest = max(slowest, span.duration)
            }
            if let number = number(group.resource) {
                TraceTerm.append(of: group, service: number, to: &terms)
            } else {
                isOpen = true
            }
        }
        let record = UInt32(clamping: records.count)
        records.append(Record(id: id, first: first, last: last, longest: slowest))
        earliest = min(earliest, first)
        newest = max(newest, first)
        latest = max(latest, last)
        longest = max(longest, slowest)
        terms.sort()
        if isOpen || termCount + terms.count > termLimit { return open.append(record) }
        for (place, term) in terms.enumerated() where place == 0 || terms[place - 1] != term {
            tail.append(UInt64(term) << 32 | UInt64(record))
            termCount += 1
        }
        if tail.count >= Self.tailLimit { sortTail() }
    }

    /// Nothing more will come for now: what is not sorted yet is.
    mutating func sortTail() {
        if tail.isEmpty { return }
        tail.sort()
        runs.append(tail)
        tail = []
        while runs.count > 1, runs[runs.count - 2].count < 2 * runs[runs.count - 1].count {
            let last = runs.removeLast()
            runs[runs.count - 1] = Self.merged(runs[runs.count - 1], last)
        }
    }

    private static func merged(_ left: [UInt64], _ right: [UInt64]) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: left.count + right.count) { buffer, count in
            var (a, b) = (0, 0)
            while a < left.count, b < right.count {
                if left[a] < right[b] {
                    buffer[count] = left[a]
                    a += 1
                } else {
                    buffer[count] = right[b]
                    b += 1
                }
                count += 1
            }
            for value in left[a...] {
                buffer[count] = value
                count += 1
            }
            for value in right[b...] {
                buffer[count] = value
                count += 1
            }
        }
    }

    // MARK: Looking

    /// Whether any record can be of that time and length.
    func mayHave(_ query: TraceQuery) -> Bool {
        earliest <= query.through && latest >= query.from && longest >= query.shortest
    }

    /// Calls `body` with each record that may match, in no useful order.
    ///
    /// - Parameter wanted: lists of terms, of one of which a record must have all; one empty list for any record.
    func forEach(_ query: TraceQuery, _ wanted: [[UInt32]], _ body: (Record) -> Void) {
        func offer(_ record: Record) {
            if record.first <= query.through, record.last >= query.from, record.longest >= query.shortest {
                body(record)
            }
        }
        if wanted.contains(where: \.isEmpty) { return records.forEach(offer) }
        for terms in wanted { for record in having(all: terms) { offer(records[Int(record)]) } }
        for record in open { offer(records[Int(record)]) }
    }

    /// Records that have all terms, rising.
    private func having(all terms: [UInt32]) -> [UInt32] {
        var found: [UInt32] = []
        for (place, term) in terms.enumerated() {
            if place == 0 { found = having(term) } else { found = Self.intersection(found, having(term)) }
            if found.isEmpty { break }
        }
        return found
    }

    private func having(_ term: UInt32) -> [UInt32] {
        var found: [UInt32] = []
        // Later runs have later records.
        for run in runs {
            var low = 0
            var high = run.count
            while low < high {
                let middle = (low + high) / 2
                if run[middle] < UInt64(term) << 32 { low = middle + 1 } else { high = middle }
            }
            while low < run.count, run[low] >> 32 == UInt64(term) {
                found.append(UInt32(truncatingIfNeeded: run[low]))
                low += 1
            }
        }
        for value in tail where value >> 32 == UInt64(term) { found.append(UInt32(truncatingIfNeeded: value)) }
        return found
    }

    private static func intersection(_ left: [UInt32], _ right: [UInt32]) -> [UInt32] {
        var found: [UInt32] = []
        var (a, b) = (0, 0)
        while a < left.count, b < right.count {
            if left[a] < right[b] {
                a += 1
            } else if left[a] > right[b] {
                b += 1
            } else {
                found.append(left[a])
                a += 1
                b += 1
            }
        }
        return found
    }
}

/// What can be asked of a span, as 32 bits of a hash.
enum TraceTerm {
    /// - Parameter service: its number.
    static func service(_ service: UInt32) -> UInt32 { hash(service, 1, 0, 0) }

    /// What is no term, because each of its values is a service.
    static let serviceKey = "service.name"

    static func operation(_ name: String, _ service: UInt32) -> UInt32 { hash(service, 2, keyHash(name), 0) }

    static func tag(_ key: String, _ value: String, _ service: UInt32) -> UInt32 {
        hash(service, 3, keyHash(key), keyHash(value))
    }

    /// All terms of spans that come from one place; some of them several times.
    static func append(of group: OTLPTraces.Group, service: UInt32, to terms: inout [UInt32]) {
        terms.append(Self.service(service))
        func append(_ attributes: [OTLPAttribute]) {
            // The service itself is in every term.
            for attribute in attributes where attribute.key != serviceKey {
                terms.append(tag(attribute.key, attribute.value.text, service))
            }
        }
        append(group.resource.attributes)
        append(group.scope.attributes)
        for span in group.spans {
            terms.append(operation(span.name, service))
            append(span.attributes)
            for event in span.events { append(event.attributes) }
            for link in span.links { append(link.attributes) }
            let traced = TracedSpan(span, resource: group.resource, scope: group.scope)
            for (key, value) in traced.derivedTags { terms.append(tag(key, value, service)) }
        }
    }

    /// Murmur 3's last mixing, over what tells terms apart.
    private static func hash(_ service: UInt32, _ kind: UInt64, _ key: UInt64, _ value: UInt64) -> UInt32 {
        var hash = (UInt64(service) << 2 | kind) &* 0x9E37_79B9_7F4A_7C15
        hash = (hash ^ key) &* 0xFF51_AFD7_ED55_8CCD
        hash = ((hash ^ (hash >> 33)) ^ value) &* 0xC4CE_B9FE_1A85_EC53
        return UInt32(truncatingIfNeeded: (hash ^ (hash >> 33)) >> 16)
    }
}

extension TraceQuery {
    /// Lists of terms: a record that is wanted has all of one list. Without a service there is one a service.
    ///
    /// - Parameter services: numbers of those that it may be.
    func terms(_ services: some Sequence<UInt32>) -> [[UInt32]] {
        if service.isEmpty, operation.isEmpty, tags.isEmpty { return [[]] }
        return services.map { number in
            var terms = tags.filter { $0.key != TraceTerm.serviceKey }.map { tag in
                TraceTerm.tag(tag.key, tag.value, number)
            }
            if !operation.isEmpty { terms.append(TraceTerm.operation(operation, number)) }
            return terms.isEmpty ? [TraceTerm.service(number)] : terms
        }
    }
}

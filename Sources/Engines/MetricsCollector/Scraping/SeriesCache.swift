import Glibc

/// The series of a target's page by their text, so that only new ones have to be read.
///
/// A page mostly has them in the order of the page before: then the one that is expected next is compared, and nothing
/// is looked up.
struct SeriesCache {
    struct Entry {
        /// The text; a series of a page in protobuf has its labels behind a 0, with which no text begins.
        fileprivate let key: [UInt8]
        /// Nil for one that relabelling drops.
        fileprivate(set) var handle: TimeSeriesStore.SeriesHandle?
        /// The last page that had it.
        fileprivate(set) var page: UInt32
        /// Samples with times of their own do not become stale.
        fileprivate(set) var isTracked: Bool
    }

    /// Those of the page before, and those that have come since.
    private(set) var entries: [Entry] = []
    private var places: [[UInt8]: Int] = [:]
    private var expected = 0

    var count: Int { entries.count }

    /// The next text is the first one of a page.
    mutating func begin() { expected = 0 }

    /// Where a series is; nil if it is not there.
    mutating func find(_ text: UnsafeRawBufferPointer) -> Int? {
        if expected < entries.count, entries[expected].key.withUnsafeBytes({ Self.areSame($0, text) }) {
            expected += 1
            return expected - 1
        }
        guard let place = places[Array(text)] else { return nil }
        expected = place + 1
        return place
    }

    private static func areSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard one.count == other.count, let start = one.baseAddress, let end = other.baseAddress else { return false }
        return memcmp(start, end, one.count) == 0
    }

    /// Whether the store still has the series, or never should have had it.
    func isValid(_ place: Int) -> Bool { entries[place].handle?.isValid != false }

    /// The page has it.
    mutating func use(_ place: Int, page: UInt32, isTracked: Bool) -> TimeSeriesStore.SeriesHandle? {
        entries[place].page = page
        entries[place].isTracked = isTracked
        return entries[place].handle
    }

    /// - Parameter place: where it is already, under another handle; nil for a new one.
    mutating func add(
        _ text: UnsafeRawBufferPointer, _ handle: TimeSeriesStore.SeriesHandle?, at place: Int?, page: UInt32,
        isTracked: Bool
    ) {
        let entry = Entry(key: Array(text), handle: handle, page: page, isTracked: isTracked)
        if let place {
            entries[place] = entry
        } else {
            places[entry.key] = entries.count
            entries.append(entry)
            expected = entries.count
        }
    }

    /// Removes those that the page does not have.
    ///
    /// - Returns: them.
    mutating func removeOthers(than page: UInt32) -> [Entry] {
        guard entries.contains(where: { $0.page != page }) else { return [] }
        let gone = entries.filter { $0.page != page }
        entries.removeAll { $0.page != page }
        places = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($0.element.key, $0.offset) })
        return gone
    }
}

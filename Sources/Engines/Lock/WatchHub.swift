/// Who wants to hear of which keys, and from which revision on.
///
/// Newspaper subscriptions. Most readers have read everything so far, and get the next issue when it is printed; some
/// ask for the back numbers first, and get those bundle by bundle until they have caught up; and whoever asks for a
/// number that has been pulped is told so, once, instead of being sent what is left as if it were all.
///
/// A watcher that has caught up costs nothing while other keys change: single keys are found in a table, ranges are
/// looked through.
public struct WatchHub {
    public struct Watcher: Equatable, Sendable {
        public let id: Int
        public let range: KeyRange
        public var wantsPuts = true
        public var wantsDeletions = true
        /// Whether previous values are wanted in events.
        public var wantsPrevious = false
        /// The first revision that it has not heard of yet, where it has not caught up; nil if it has.
        public fileprivate(set) var next: Int64?

        public init(id: Int, range: KeyRange, from revision: Int64) {
            self.id = id
            self.range = range
            next = revision
        }
    }

    /// What one watcher is to be told.
    public enum Delivery: Equatable, Sendable {
        case events([StoreEvent])
        /// It asked for what is gone: it ends with this.
        case compacted(at: Int64)
    }

    private var watchers: [Int: Watcher] = [:]
    private var byKey: [Key: Set<Int>] = [:]
    private var ranges: Set<Int> = []

    public static let limit = 100_000
    /// Events of one delivery, but for a larger transaction.
    private static let batchLimit = 512

    public init() {}

    public var count: Int { watchers.count }
    public subscript(id: Int) -> Watcher? { watchers[id] }

    /// - Returns: false if there are too many.
    public mutating func add(_ watcher: Watcher) -> Bool {
        guard watchers.count < Self.limit else { return false }
        watchers[watcher.id] = watcher
        if watcher.range.isSingle {
            byKey[watcher.range.start, default: []].insert(watcher.id)
        } else {
            ranges.insert(watcher.id)
        }
        return true
    }

    public mutating func remove(_ id: Int) {
        guard let watcher = watchers.removeValue(forKey: id) else { return }
        ranges.remove(id)
        byKey[watcher.range.start]?.remove(id)
        if byKey[watcher.range.start]?.isEmpty == true { byKey[watcher.range.start] = nil }
    }

    /// Something changed: those that it concerns have not caught up any more.
    ///
    /// - Returns: their ids, in order.
    public mutating func note(_ events: [StoreEvent]) -> [Int] {
        guard let revision = events.first?.revision else { return [] }
        var found: Set<Int> = []
        for event in events {
            found.formUnion(byKey[event.keyValue.key] ?? [])
            for id in ranges where watchers[id]?.range.contains(event.keyValue.key) == true { found.insert(id) }
        }
        for id in found where watchers[id]?.next == nil { watchers[id]?.next = revision }
        return found.sorted()
    }

    /// The next delivery for one that has not caught up; nil if there is nothing for it.
    public mutating func next(for id: Int, in store: RevisionStore) -> Delivery? {
        while let watcher = watchers[id], let next = watcher.next {
            if next > store.revision {
                // One that asks for the future stays as it is until that has come.
                if next == store.revision + 1 { watchers[id]?.next = nil }
                return nil
            }
            guard let events = store.events(from: next, limit: Self.batchLimit) else {
                remove(id)
                return .compacted(at: store.compactedRevision)
            }
            let last = events.last?.revision ?? store.revision
            watchers[id]?.next = last >= store.revision ? nil : last + 1
            let wanted = events.filter { watcher.wants($0) }
            if !wanted.isEmpty { return .events(Array(wanted)) }
        }
        return nil
    }
}

extension WatchHub.Watcher {
    func wants(_ event: StoreEvent) -> Bool {
        (event.kind == .put ? wantsPuts : wantsDeletions) && range.contains(event.keyValue.key)
    }
}

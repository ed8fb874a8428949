/// Where a value was found.
public enum Place: Equatable, Sendable, CustomStringConvertible {
    case memtable
    /// The memtable's twin, which is being written to a table.
    case immutable
    case table(level: Int, number: UInt64)

    /// `memtable`, `immutable memtable`, `L0_004`
    public var description: String {
        switch self {
        case .memtable: "memtable"
        case .immutable: "immutable memtable"
        case .table(let level, let number): tableLabel(level: level, number: number)
        }
    }
}

/// What a get found.
public struct Found: Equatable, Sendable {
    public var value: [UInt8]
    public var place: Place
    public init(value: [UInt8], place: Place) {
        self.value = value
        self.place = place
    }
}

/// Where one read looked, in order.
public struct ReadTrace: Equatable, Sendable {
    public enum Outcome: Equatable, Sendable {
        case found
        /// A tombstone: the key was deleted, and nothing older need be looked at.
        case deleted
        /// The memtable has no such key, or the table's block, and no filter said so before.
        case absent
        /// The Bloom filter said no: no block was read.
        case bloomNegative
        /// The index alone says that no block holds it.
        case outsideIndex
    }

    public struct Step: Equatable, Sendable {
        public var place: Place
        public var outcome: Outcome
        /// Where the data block begins, in bytes; nil if none was looked at.
        public var blockOffset: Int?
        public var blockWasCached: Bool?
    }

    public var steps: [Step] = []
    /// Tables that were not looked at because the key lies outside their range, by level.
    public var tablesOutOfRange: [Int] = Array(repeating: 0, count: KVStoreOptions.levelCount)
    public var value: [UInt8]?
}

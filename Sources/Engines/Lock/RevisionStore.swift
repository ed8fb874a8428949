import KernelStructures

/// A key's value as it is, or was at some revision.
public struct KeyValue: Equatable, Sendable {
    public var key: Key
    public var value: [UInt8]
    /// The revision at which the key came into being. It is what a lock's fencing token is made of.
    public var createRevision: Int64
    /// The revision of its last change.
    public var modRevision: Int64
    /// Changes since it came into being: 1 for a new one.
    public var version: Int64
    /// 0 for none.
    public var lease: Int64

    public init(
        key: Key, value: [UInt8] = [], createRevision: Int64 = 0, modRevision: Int64 = 0, version: Int64 = 0,
        lease: Int64 = 0
    ) {
        self.key = key
        self.value = value
        self.createRevision = createRevision
        self.modRevision = modRevision
        self.version = version
        self.lease = lease
    }
}

/// One change, as those that watch hear of it.
public struct StoreEvent: Equatable, Sendable {
    public enum Kind: Sendable { case put, delete }
    public let kind: Kind
    /// For a deletion the key and the revision alone.
    public let keyValue: KeyValue
    /// What was there before; nil if there was nothing, or if it has been compacted away.
    public let previous: KeyValue?

    public var revision: Int64 { keyValue.modRevision }
}

/// A map that remembers: each change has a number, and one can ask for what was at any of them.
///
/// ## The problem
///
/// Who coordinates others must answer "what has happened since I last looked?", and must answer it when half of the
/// world has just come back from a crash. A map that knows only the present cannot.
///
/// ## An everyday picture
///
/// A land register. Entries are never rubbed out: below each, the next one is written with a running number. Whoever
/// wants to know who owns the field reads the last line; whoever wants to know who owned it on a certain day reads up
/// to that number; and whoever asks every morning says which number they have read, and is shown only what came after.
/// Once in a while the old volumes go to the cellar: then the clerk says that this far back nobody can look any more.
///
/// ## How
///
/// Multi-version concurrency control, in etcd's form. A transaction that changes something takes the next revision; its
/// changes share it and are told apart by their place in it. Each key has its versions in order, a deletion being one
/// without a value; all changes stand once more in the order in which they came, for those that watch. `compact` drops
/// versions that nobody may ask for any more: of each key it keeps the last one at or before that revision.
///
/// ## Where it is wrong
///
/// All of it is in memory: the log and the snapshots make it durable, not this table. And a revision counts
/// transactions, not time: two changes with neighbouring numbers may lie a year apart.
public struct RevisionStore {
    /// One version of a key: its value, or that it was deleted.
    struct Version {
        var keyValue: KeyValue
        var isDeletion: Bool
    }

    private var histories = KeyTable<[Version]>()
    /// All changes behind `compactedRevision`, in order.
    private var events: [StoreEvent] = []
    /// Of the last change. A store without any is at 1, as etcd's is.
    public private(set) var revision: Int64 = 1
    /// Up to here nobody can look back; 0 if nothing was compacted.
    public private(set) var compactedRevision: Int64 = 0
    /// Keys that exist at present.
    public private(set) var keyCount = 0
    /// Bytes that all versions take which are kept.
    public private(set) var byteCount = 0
    /// Versions kept, deletions too.
    public private(set) var versionCount = 0

    public init() {}

    // MARK: Reading

    /// Why a revision cannot be read, with etcd's words.
    public enum RevisionError: Error, Equatable, Sendable {
        case compacted(Int64)
        case future
    }

    /// Throws unless the store can be read as it was at `revision`; 0 or less is the present.
    func check(_ revision: Int64) throws(RevisionError) {
        if revision > self.revision { throw .future }
        if revision > 0, revision < compactedRevision { throw .compacted(compactedRevision) }
    }

    public func value(_ key: Key, at revision: Int64 = 0) -> KeyValue? {
        guard let versions = histories[key] else { return nil }
        return Self.value(versions, at: revision)
    }

    private static func value(_ versions: [Version], at revision: Int64) -> KeyValue? {
        guard let version = revision <= 0 ? versions.last : version(versions, at: revision), !version.isDeletion else {
            return nil
        }
        return version.keyValue
    }

    /// The last version at or before a revision.
    private static func version(_ versions: [Version], at revision: Int64) -> Version? {
        var low = 0
        var high = versions.count
        while low < high {
            let middle = (low + high) / 2
            if versions[middle].keyValue.modRevision <= revision { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : versions[low - 1]
    }

    /// Calls `body` for what there is in a range, in the order of the keys, until it returns false.
    public func forEach(in range: KeyRange, at revision: Int64 = 0, _ body: (KeyValue) -> Bool) {
        if range.isSingle {
            if let found = value(range.start, at: revision) { _ = body(found) }
            return
        }
        histories.forEach(in: range) { element in
            guard let found = Self.value(element.value, at: revision) else { return true }
            return body(found)
        }
    }

    public func values(in range: KeyRange, at revision: Int64 = 0) -> [KeyValue] {
        var found: [KeyValue] = []
        forEach(in: range, at: revision) {
            found.append($0)
            return true
        }
        return found
    }

    /// The changes from `revision` on, at most `limit` and never a part of a revision's; nil if they are compacted
    /// away.
    public func events(from revision: Int64, limit: Int) -> ArraySlice<StoreEvent>? {
        guard revision > compactedRevision else { return nil }
        var low = 0
        var high = events.count
        while low < high {
            let middle = (low + high) / 2
            if events[middle].revision < revision { low = middle + 1 } else { high = middle }
        }
        var end = min(events.count, low + max(1, limit))
        while end < events.count, end > low, events[end].revision == events[end - 1].revision { end += 1 }
        return events[low..<end]
    }

    // MARK: Changing

    /// Changes that share one revision. They are seen by reads as soon as they are made.
    struct Transaction {
        let revision: Int64
        var events: [StoreEvent] = []
    }

    func begin() -> Transaction { Transaction(revision: revision &+ 1) }

    /// Makes the transaction's revision the present one, if it changed anything.
    mutating func commit(_ transaction: Transaction) {
        guard !transaction.events.isEmpty else { return }
        revision = transaction.revision
        events.append(contentsOf: transaction.events)
    }

    @discardableResult
    mutating func put(_ key: Key, _ value: [UInt8], lease: Int64, in transaction: inout Transaction) -> KeyValue? {
        let previous = self.value(key)
        let new = KeyValue(
            key: key, value: value, createRevision: previous?.createRevision ?? transaction.revision,
            modRevision: transaction.revision, version: (previous?.version ?? 0) + 1, lease: lease)
        append(Version(keyValue: new, isDeletion: false))
        if previous == nil { keyCount += 1 }
        transaction.events.append(StoreEvent(kind: .put, keyValue: new, previous: previous))
        return previous
    }

    /// - Returns: what was there; nil if there was nothing, and nothing changed.
    @discardableResult
    mutating func delete(_ key: Key, in transaction: inout Transaction) -> KeyValue? {
        guard let previous = value(key) else { return nil }
        let mark = KeyValue(key: key, modRevision: transaction.revision)
        append(Version(keyValue: mark, isDeletion: true))
        keyCount -= 1
        transaction.events.append(StoreEvent(kind: .delete, keyValue: mark, previous: previous))
        return previous
    }

    private mutating func append(_ version: Version) {
        histories.update(version.keyValue.key, from: []) { $0.append(version) }
        versionCount += 1
        byteCount += Self.size(version)
    }

    /// What a version takes in memory, its event and the table's share included, beside its key and value.
    private static let versionOverheadBytes = 256

    private static func size(_ version: Version) -> Int {
        version.keyValue.key.count + version.keyValue.value.count + versionOverheadBytes
    }

    /// Drops what only those could ask for that look back behind `revision`.
    ///
    /// - Throws: `RevisionError` for one that is compacted already, or has not come yet.
    mutating func compact(_ revision: Int64) throws(RevisionError) {
        if revision <= compactedRevision { throw .compacted(compactedRevision) }
        if revision > self.revision { throw .future }
        compactedRevision = revision
        events.removeAll { $0.revision <= revision }
        var changed: [(Key, [Version])] = []
        histories.forEach { element in
            let kept = Self.kept(element.value, behind: revision)
            if kept.count != element.value.count { changed.append((element.key, kept)) }
        }
        for (key, kept) in changed {
            let before = histories[key] ?? []
            versionCount += kept.count - before.count
            byteCount += kept.reduce(0) { $0 + Self.size($1) } - before.reduce(0) { $0 + Self.size($1) }
            if kept.isEmpty { histories.remove(key) } else { histories.set(key, kept) }
        }
    }

    /// The last version at or before a revision, unless it is a deletion, and all behind it.
    private static func kept(_ versions: [Version], behind revision: Int64) -> [Version] {
        guard let last = versions.lastIndex(where: { $0.keyValue.modRevision <= revision }) else { return versions }
        return Array(versions[(versions[last].isDeletion ? last + 1 : last)...])
    }

    // MARK: Snapshots

    func write(to writer: inout RecordWriter) {
        writer.append(revision)
        writer.append(compactedRevision)
        var versions: [Version] = []
        histories.forEach { versions.append(contentsOf: $0.value) }
        writer.append(versions) { writer, version in
            let one = version.keyValue
            writer.append(one.key)
            writer.append(one.modRevision)
            writer.append(version.isDeletion)
            if version.isDeletion { return }
            writer.append(one.value)
            writer.append(one.createRevision)
            writer.append(one.version)
            writer.append(one.lease)
        }
    }

    init(from reader: inout RecordReader) throws(RecordReader.Malformed) {
        revision = try reader.signed()
        compactedRevision = try reader.signed()
        let versions = try reader.elements(Self.readVersion)
        var latest: [Key: KeyValue] = [:]
        // In order of change, places within a transaction by key: their order there is not kept.
        var changes: [StoreEvent] = []
        for version in versions {
            let one = version.keyValue
            append(version)
            let previous = latest[one.key]
            latest[one.key] = version.isDeletion ? nil : one
            if one.modRevision > compactedRevision {
                changes.append(
                    StoreEvent(kind: version.isDeletion ? .delete : .put, keyValue: one, previous: previous))
            }
        }
        keyCount = latest.count
        events = changes.enumerated().sorted { ($0.element.revision, $0.offset) < ($1.element.revision, $1.offset) }
            .map(\.element)
    }

    private static func readVersion(_ reader: inout RecordReader) throws(RecordReader.Malformed) -> Version {
        var one = KeyValue(key: try reader.data(), modRevision: try reader.signed())
        let isDeletion = try reader.flag()
        if !isDeletion {
            one.value = try reader.data()
            one.createRevision = try reader.signed()
            one.version = try reader.signed()
            one.lease = try reader.signed()
        }
        return Version(keyValue: one, isDeletion: isDeletion)
    }
}

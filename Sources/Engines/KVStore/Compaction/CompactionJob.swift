import KernelStorage
import KernelStructures

/// Carries out a compaction plan, a slice at a time: merges the tables, drops what nobody can see, writes new tables.
///
/// Two things are dropped. A version that has a newer one which even the oldest snapshot sees. And a tombstone, once
/// no level further down can hold its key: before that it must stay, because it hides what is below.
final class CompactionJob {
    let plan: CompactionPlan
    let startedAt: LabTime
    private let options: KVStoreOptions
    let directory: StoreDirectory
    private let takeNumber: () -> UInt64
    private let oldestSnapshot: UInt64
    private let iterator: MergingIterator
    private var filter: VersionFilter
    private var output: TableOutput?
    private(set) var finished: [VersionEdit.NewFile] = []
    /// Every table begun, for when all was in vain.
    private(set) var paths: [String] = []
    private(set) var doneByteCount = 0
    let counters = Counters()

    /// Per level below the outputs' the tables, and how far the merge has passed them.
    private let below: [[FileMetadata]]
    private var belowIndex: [Int]
    private var grandparentIndex = 0
    private var grandparentOverlap = 0
    private var hasOutputKey = false

    init(
        _ plan: CompactionPlan, version: Version, oldestSnapshot: UInt64, directory: StoreDirectory,
        options: KVStoreOptions, startedAt: LabTime, takeNumber: @escaping () -> UInt64
    ) throws(KVStoreError) {
        self.plan = plan
        self.options = options
        self.directory = directory
        self.startedAt = startedAt
        self.takeNumber = takeNumber
        self.oldestSnapshot = oldestSnapshot
        filter = VersionFilter(oldestSnapshot: oldestSnapshot)
        below = (plan.level + 2..<max(plan.level + 2, KVStoreOptions.levelCount)).map { version.levels[$0] }
        belowIndex = Array(repeating: 0, count: below.count)
        iterator = Self.makeIterator(plan, directory, options, counters)
        try iterator.seekToFirst()
    }

    /// The job reads its tables by itself and past every cache: what it reads once nobody will ask for again.
    private static func makeIterator(
        _ plan: CompactionPlan, _ directory: StoreDirectory, _ options: KVStoreOptions, _ counters: Counters
    ) -> MergingIterator {
        var privately = options
        privately.blockCacheByteCount = 0
        privately.openTableLimit = 64
        let tables = TableCache(directory: directory, options: privately, counters: counters)
        func copies(_ files: [FileMetadata]) -> [FileMetadata] {
            files.map {
                FileMetadata(number: $0.number, byteCount: $0.byteCount, smallest: $0.smallest, largest: $0.largest)
            }
        }
        var sources: [InternalIterator] = []
        if plan.level == 0 {
            sources = copies(plan.inputs).map { TablesIterator([$0], tables, readsAll: true) }
        } else {
            sources = [TablesIterator(copies(plan.inputs), tables, readsAll: true)]
        }
        if !plan.nextInputs.isEmpty {
            sources.append(TablesIterator(copies(plan.nextInputs), tables, readsAll: true))
        }
        return MergingIterator(sources)
    }

    /// Goes on for about so many bytes. True once everything is written and synced, but for the directory.
    func step(_ budgetByteCount: Int) throws(KVStoreError) -> Bool {
        var left = budgetByteCount
        while iterator.isValid {
            if left <= 0 { return false }
            let key = iterator.key
            let size = key.count &+ iterator.value.count
            left &-= size
            doneByteCount &+= size
            try take(key)
            try iterator.next()
        }
        try finishOutput()
        return true
    }

    @inline(__always) private func take(_ key: Bytes) throws(KVStoreError) {
        let isHidden = filter.isHidden(key)
        // Never between two versions of a key: one table holds them all.
        if filter.isNewUserKey {
            if let output, output.byteCount >= options.tableByteCount { try finishOutput() }
            if shouldEndOutput(before: key) { try finishOutput() }
        }
        if isHidden { return }
        guard let kind = key.kind else {
            throw .corruption(
                Corruption(file: directory.path, offset: nil, detail: "an entry of a kind that does not exist"))
        }
        if kind == .deletion, key.sequence <= oldestSnapshot, nothingBelow(key.userKey) { return }
        if output == nil {
            output = try TableOutput(takeNumber(), in: directory, options)
            paths.append(output!.path)
        }
        try output!.add(key, iterator.value)
    }

    private func finishOutput() throws(KVStoreError) {
        guard let open = output else { return }
        finished.append(try open.finish(level: plan.level + 1))
        output = nil
    }

    /// Whether the tables two levels down that the output overlaps have become too many.
    @inline(__always) private func shouldEndOutput(before key: Bytes) -> Bool {
        if grandparentIndex == plan.grandparents.count { return false }
        return passGrandparents(key)
    }

    private func passGrandparents(_ key: Bytes) -> Bool {
        while grandparentIndex < plan.grandparents.count {
            let file = plan.grandparents[grandparentIndex]
            guard file.compareLargest(key.userKey) < 0 else { break }
            if output != nil { grandparentOverlap += file.byteCount }
            grandparentIndex += 1
        }
        if grandparentOverlap > CompactionPlan.grandparentByteLimit(options) {
            grandparentOverlap = 0
            return true
        }
        return false
    }

    /// Whether no table further down can hold a user key. Keys come in order, so each level is passed once.
    private func nothingBelow(_ userKey: Bytes) -> Bool {
        for level in 0..<below.count {
            while belowIndex[level] < below[level].count {
                let file = below[level][belowIndex[level]]
                if file.compareLargest(userKey) >= 0 {
                    if file.compareSmallest(userKey) <= 0 { return false }
                    break
                }
                belowIndex[level] += 1
            }
        }
        return true
    }

    /// What it amounts to, once it is done.
    var edit: VersionEdit {
        var edit = plan.edit
        edit.newFiles = finished
        return edit
    }

    func abandon() { output?.close() }
}

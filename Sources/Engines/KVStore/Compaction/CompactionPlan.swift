/// Which tables to merge next.
///
/// ## The problem
///
/// Each flush adds a table to level 0, and every table of level 0 must be asked by every read, because any of them may
/// hold any key. Merging them all into one big table after each flush would write the whole store each time.
///
/// ## How
///
/// Leveled compaction (LevelDB): below level 0, each level is one sorted run cut into tables, and may hold ten times as
/// many bytes as the one above. A level that is too large gives one table to the next, where it is merged with the ten
/// or so that its keys overlap. Each byte is rewritten about ten times on each level on its way down, and a read asks
/// one table a level. `compactPointers` makes a level give its tables in turn, so that no range of keys always pays.
///
/// Tables that overlap nothing below are not merged at all: a note in the manifest moves them down.
///
/// ## Where it is wrong
///
/// Whoever mostly writes would rather merge tables of similar size and rewrite each byte once a level (universal
/// compaction), and pay with more tables a read and twice the disk. Neither is right for all.
struct CompactionPlan {
    let level: Int
    /// Of the level, and of the next.
    var inputs: [FileMetadata]
    var nextInputs: [FileMetadata]
    /// Tables two levels down that the result overlaps: an output that overlaps too many of them will be expensive
    /// to merge in its turn.
    var grandparents: [FileMetadata] = []
    let isManual: Bool

    var byteCount: Int { (inputs + nextInputs).reduce(0) { $0 + $1.byteCount } }

    /// Whether moving the one table is all there is to do.
    func isTrivialMove(_ options: KVStoreOptions) -> Bool {
        !isManual && inputs.count == 1 && nextInputs.isEmpty
            && grandparents.reduce(0) { $0 + $1.byteCount } <= Self.grandparentByteLimit(options)
    }

    static func grandparentByteLimit(_ options: KVStoreOptions) -> Int { 10 * options.tableByteCount }

    /// Bytes that a level may have; for level 0, tables.
    static func limit(ofLevel level: Int, _ options: KVStoreOptions) -> Int {
        if level == 0 { return options.level0CompactionTrigger }
        var limit = options.level1ByteCount
        for _ in 1..<level where limit < 1 << 50 { limit *= 10 }
        return limit
    }

    /// How full a level is; from 1 on it is due. The last level has no limit.
    static func score(_ version: Version, level: Int, _ options: KVStoreOptions) -> Double {
        if level == KVStoreOptions.levelCount - 1 { return 0 }
        let amount = level == 0 ? version.levels[0].count : version.byteCounts[level]
        return Double(amount) / Double(limit(ofLevel: level, options))
    }

    /// The level that is most due; nil if none is.
    static func dueLevel(_ version: Version, _ options: KVStoreOptions) -> Int? {
        var best: (level: Int, score: Double)?
        for level in 0..<KVStoreOptions.levelCount - 1 {
            let score = score(version, level: level, options)
            if score >= 1, score > best?.score ?? 0 { best = (level, score) }
        }
        return best?.level
    }

    /// What is most due; nil if nothing is.
    static func next(_ versions: VersionSet, _ options: KVStoreOptions) -> CompactionPlan? {
        let version = versions.current
        guard let level = dueLevel(version, options) else { return nil }
        let files = version.levels[level]
        guard level > 0 else { return plan(version, level: 0, files.suffix(1), options) }
        let pointer = versions.compactPointers[level]
        let start =
            pointer.isEmpty
            ? 0
            : files.firstIndex { file in
                pointer.withUnsafeBytes { pointer in
                    file.largest.withUnsafeBytes { InternalKey.compare(Bytes($0), Bytes(pointer)) }
                } > 0
            } ?? 0
        return plan(version, level: level, [files[start]], options)
    }

    /// The tables of a level that hold keys of a range, as many as one job should take; nil if there are none.
    static func manual(_ version: Version, level: Int, from: [UInt8]?, to: [UInt8]?, _ options: KVStoreOptions)
        -> CompactionPlan?
    {
        var files = version.overlapping(level: level, from: from, to: to)
        if files.isEmpty { return nil }
        if level > 0 {
            var byteCount = 0
            let end = files.firstIndex { file in
                byteCount += file.byteCount
                return byteCount >= jobByteLimit(options)
            }
            if let end { files = Array(files[...end]) }
        }
        return plan(version, level: level, files, options, isManual: true)
    }

    private static func jobByteLimit(_ options: KVStoreOptions) -> Int { 25 * options.tableByteCount }

    /// Completes a choice of tables: with those of the same level that must come along, with what they overlap below,
    /// and with more of the level where that costs nothing below.
    private static func plan(
        _ version: Version, level: Int, _ chosen: some Sequence<FileMetadata>, _ options: KVStoreOptions,
        isManual: Bool = false
    ) -> CompactionPlan {
        var inputs = closure(version, level, Array(chosen))
        var range = Version.range(inputs)!
        var nextInputs = closure(version, level + 1, overlapping(version, level + 1, range))
        let all = Version.range(inputs + nextInputs)!
        let wider = closure(version, level, overlapping(version, level, all))
        if wider.count > inputs.count, !nextInputs.isEmpty {
            let widerRange = Version.range(wider)!
            let widerNext = closure(version, level + 1, overlapping(version, level + 1, widerRange))
            let byteCount = (wider + nextInputs).reduce(0) { $0 + $1.byteCount }
            if widerNext.count == nextInputs.count, byteCount < jobByteLimit(options) {
                inputs = wider
                range = widerRange
                nextInputs = widerNext
            }
        }
        var plan = CompactionPlan(level: level, inputs: inputs, nextInputs: nextInputs, isManual: isManual)
        if level + 2 < KVStoreOptions.levelCount {
            plan.grandparents = overlapping(version, level + 2, Version.range(inputs + nextInputs)!)
        }
        return plan
    }

    private static func overlapping(_ version: Version, _ level: Int, _ range: (smallest: [UInt8], largest: [UInt8]))
        -> [FileMetadata]
    { version.overlapping(level: level, from: range.smallest, to: range.largest) }

    /// The chosen tables, and those that share a user key with them. Moving a newer version of a key below an older
    /// one, which stays behind in a neighbour, would bring the older one back to life.
    private static func closure(_ version: Version, _ level: Int, _ chosen: [FileMetadata]) -> [FileMetadata] {
        var files = chosen
        while let range = Version.range(files) {
            let wider = overlapping(version, level, range)
            if wider.count <= files.count { return files.isEmpty ? files : wider }
            files = wider
        }
        return files
    }
}

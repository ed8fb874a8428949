/// A table as the manifest knows it. The same object stands in every version that the table is part of.
final class FileMetadata {
    let number: UInt64
    let byteCount: Int
    /// Internal keys.
    let smallest: [UInt8]
    let largest: [UInt8]
    /// Entries, versions and tombstones included; where another program made the table, an estimate.
    var entryCount = 0
    /// While it is open.
    var table: Table?
    /// Asked for since the table cache last looked.
    var wasUsed = false
    var isBeingCompacted = false
    /// Versions that it is part of. At none, the file may go.
    fileprivate(set) var versionCount = 0

    init(number: UInt64, byteCount: Int, smallest: [UInt8], largest: [UInt8]) {
        self.number = number
        self.byteCount = byteCount
        self.smallest = smallest
        self.largest = largest
    }

    var smallestUserKey: ArraySlice<UInt8> { smallest.dropLast(InternalKey.tagByteCount) }
    var largestUserKey: ArraySlice<UInt8> { largest.dropLast(InternalKey.tagByteCount) }

    /// The smallest key compared with a user key, and the largest.
    @inline(__always) func compareSmallest(_ userKey: Bytes) -> Int {
        smallest.withUnsafeBufferPointer {
            compareBytes($0.baseAddress!, $0.count &- 8, userKey.start, userKey.count)
        }
    }
    @inline(__always) func compareLargest(_ userKey: Bytes) -> Int {
        largest.withUnsafeBufferPointer {
            compareBytes($0.baseAddress!, $0.count &- 8, userKey.start, userKey.count)
        }
    }

    /// Whether user keys from one to another, both included, may be in it; nil is no end.
    func overlaps(_ from: [UInt8]?, _ to: [UInt8]?) -> Bool {
        if let from, from.withUnsafeBytes({ compareLargest(Bytes($0)) }) < 0 { return false }
        if let to, to.withUnsafeBytes({ compareSmallest(Bytes($0)) }) > 0 { return false }
        return true
    }
}

/// Which tables make up the store at one moment. It never changes: a flush or a compaction makes a new version, and
/// whoever reads holds on to the one that he began with, and thereby to its files.
final class Version {
    /// Level 0 newest first; the others by key, without overlap.
    let levels: [[FileMetadata]]
    /// Bytes of each level.
    let byteCounts: [Int]
    private let graveyard: Graveyard

    init(levels: [[FileMetadata]], graveyard: Graveyard) {
        self.levels = levels
        byteCounts = levels.map { $0.reduce(0) { $0 + $1.byteCount } }
        self.graveyard = graveyard
        graveyard.livingVersions += 1
        for files in levels { for file in files { file.versionCount += 1 } }
    }

    deinit {
        graveyard.livingVersions -= 1
        for files in levels {
            for file in files {
                file.versionCount -= 1
                if file.versionCount == 0 { graveyard.files.append(file) }
            }
        }
    }

    var tableCount: Int { levels.reduce(0) { $0 + $1.count } }

    /// The first file of a sorted level whose largest key is at or after a user key and a tag; the count if there is
    /// none.
    @inline(__always) static func firstFile(_ files: [FileMetadata], atOrAfter userKey: Bytes, _ tag: UInt64) -> Int {
        var low = 0
        var high = files.count
        while low < high {
            let middle = (low &+ high) / 2
            let order = files[middle].largest.withUnsafeBytes { InternalKey.compare(Bytes($0), userKey, tag) }
            if order < 0 { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    /// The files of a level that may hold user keys from one to another. At level 0 files overlap one another: what
    /// they reach beyond the range is taken into it, until nothing more is touched.
    func overlapping(level: Int, from: [UInt8]?, to: [UInt8]?) -> [FileMetadata] {
        var from = from
        var to = to
        while true {
            let files = levels[level].filter { $0.overlaps(from, to) }
            guard level == 0, let (smallest, largest) = Self.range(files) else { return files }
            var isWider = false
            if let begin = from, smallest.lexicographicallyPrecedes(begin) {
                from = smallest
                isWider = true
            }
            if let end = to, end.lexicographicallyPrecedes(largest) {
                to = largest
                isWider = true
            }
            if !isWider { return files }
        }
    }

    /// The smallest and the largest user key of some files; nil if there are none.
    static func range(_ files: [FileMetadata]) -> (smallest: [UInt8], largest: [UInt8])? {
        guard let first = files.first else { return nil }
        var smallest = first.smallestUserKey
        var largest = first.largestUserKey
        for file in files.dropFirst() {
            if file.smallestUserKey.lexicographicallyPrecedes(smallest) { smallest = file.smallestUserKey }
            if largest.lexicographicallyPrecedes(file.largestUserKey) { largest = file.largestUserKey }
        }
        return (Array(smallest), Array(largest))
    }
}

/// Files that no version holds any more, waiting to be deleted.
final class Graveyard {
    var files: [FileMetadata] = []
    /// The current one, and those that somebody reads.
    fileprivate(set) var livingVersions = 0
}

import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import KVStoreEngine

/// Random histories beside a dictionary: the store must be indistinguishable from one, whatever goes on behind it.
@Suite struct ModelTests {
    @Test("like a dictionary, with reopening, snapshots, iterators and compaction", arguments: 0..<(isLong ? 300 : 30))
    func model(seed: Int) throws {
        try History(seed: UInt64(seed)).run(steps: 3000)
    }
}

private final class History {
    var random: SeededRandom
    let bench: Bench
    var model: [String: String] = [:]
    var snapshots: [(Snapshot, [String: String])] = []
    /// Iterators begun earlier, with what they must show.
    var iterators: [(KVStoreIterator, [String: String])] = []
    let keyCount: Int

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        keyCount = [20, 200, 2000][random.below(3)]
        var options = Bench.smallOptions
        if random.chance(0.3) { options.bloomBitsPerKey = 0 }
        if random.chance(0.3) { options.blockCacheByteCount = 0 }
        if random.chance(0.3) { options.restartInterval = 1 }
        options.seed = seed
        bench = Bench(options)
    }

    var key: String {
        let number = random.below(keyCount)
        // Some with common beginnings, some that begin others.
        switch number % 3 {
        case 0: return "key\(number)"
        case 1: return String(repeating: "k", count: number % 40)
        default: return "user:\(number):name"
        }
    }

    var value: String {
        "v\(random.next())" + String(repeating: "x", count: random.below(random.chance(0.01) ? 5000 : 40))
    }

    func run(steps: Int) throws {
        try bench.open()
        for _ in 0..<steps { try step() }
        try bench.store.checkInvariants()
        try checkAll()
        bench.workAll()
        try checkAll()
        try bench.store.requestCompaction()
        bench.workAll()
        try checkAll()
        try bench.store.checkInvariants()
    }

    func step() throws {
        let store = bench.store!
        switch random.below(100) {
        case 0..<40:
            let (key, value) = (key, value)
            try store.put(key, value)
            model[key] = value
        case 40..<55:
            let key = key
            try store.delete(key.utf8)
            model[key] = nil
        case 55..<62: try batch()
        case 62..<80:
            let key = key
            #expect(try store.value(key) == model[key])
            if let (snapshot, then) = snapshots.last { #expect(try store.value(key, at: snapshot) == then[key]) }
        case 80..<84: try store.commit(sync: random.chance(0.3))
        case 84..<90: store.work(budgetByteCount: random.below(5000), now: Bench.time)
        case 90..<92: if snapshots.count < 4 { snapshots.append((store.snapshot(), model)) }
        case 92..<94: if !snapshots.isEmpty { snapshots.remove(at: random.below(snapshots.count)) }
        case 94: if iterators.count < 3 { iterators.append((try store.makeIterator(), model)) }
        case 95..<97: try walk()
        case 97: if random.chance(0.3) { try reopen() }
        case 98:
            if random.chance(0.2) {
                let (a, b) = (Array(key.utf8), Array(key.utf8))
                try store.requestCompaction(
                    from: random.chance(0.5) ? a : nil, to: random.chance(0.5) ? b : nil)
            }
        default: if random.chance(0.2) { try checkAll() }
        }
    }

    func batch() throws {
        var batch = WriteBatch()
        for _ in 0..<random.below(20) {
            let key = key
            if random.chance(0.3) {
                batch.delete(key.utf8)
                model[key] = nil
            } else {
                let value = value
                batch.put(key.utf8, value.utf8)
                model[key] = value
            }
        }
        try bench.store.write(batch)
    }

    func reopen() throws {
        snapshots = []
        iterators = []
        if random.chance(0.5) { try bench.store.close() } else { try bench.store.commit(sync: false) }
        try bench.open()
        try bench.store.checkInvariants()
        try checkAll()
    }

    /// A walk of an iterator, old or new, beside the sorted model.
    func walk() throws {
        let (iterator, then) =
            iterators.isEmpty || random.chance(0.5)
            ? (try bench.store.makeIterator(), model) : iterators[random.below(iterators.count)]
        let sorted = then.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        var place: Int
        switch random.below(3) {
        case 0:
            try iterator.seekToFirst()
            place = 0
        case 1:
            try iterator.seekToLast()
            place = sorted.count - 1
        default:
            let target = key
            try iterator.seek(target.utf8)
            place = sorted.firstIndex { !$0.utf8.lexicographicallyPrecedes(target.utf8) } ?? sorted.count
        }
        for _ in 0..<random.below(60) {
            let isInside = sorted.indices.contains(place)
            #expect(iterator.isValid == isInside)
            guard isInside, iterator.isValid else { return }
            #expect(text(iterator.key) == sorted[place])
            #expect(text(iterator.value) == then[sorted[place]])
            if random.chance(0.6) {
                try iterator.next()
                place += 1
            } else {
                try iterator.previous()
                place -= 1
            }
        }
    }

    func checkAll() throws {
        #expect(try bench.contents() == model)
        for (snapshot, then) in snapshots { #expect(try bench.contents(at: snapshot) == then) }
        for _ in 0..<50 {
            let key = key
            #expect(try bench.store.value(key) == model[key])
            #expect(try bench.store.trace(key.utf8).value.map { text($0) } == model[key])
        }
        let iterator = try bench.store.makeIterator()
        try iterator.seekToLast()
        var count = 0
        var last: String?
        while iterator.isValid {
            let key = text(iterator.key)
            if let last { #expect(key.utf8.lexicographicallyPrecedes(last.utf8)) }
            #expect(text(iterator.value) == model[key])
            last = key
            count += 1
            try iterator.previous()
        }
        #expect(count == model.count)
    }
}

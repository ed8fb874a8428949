import Glibc
import KVStoreEngine
import KernelStorage
import KernelStructures

// The loop of ../leveldb_loop.cc over the lab's own store: same keys, values, sizes and order, one line a step.
//
//     kv-engine-loop DIRECTORY ENTRIES SYNCED_ENTRIES
//
// A line: step, operations, wall nanoseconds, CPU nanoseconds of all threads.

struct XorShift {
    var state: UInt64
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}

func nanoseconds(_ clock: clockid_t) -> Int {
    var time = timespec()
    clock_gettime(clock, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// To standard error.
func say(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}

/// Two threads, one for flushes and one for compactions.
final class Workers {
    private final class Lane: @unchecked Sendable {
        let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        let change = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        var job: BackgroundJob?
        var done: BackgroundJob?

        init() {
            pthread_mutex_init(lock, nil)
            pthread_cond_init(change, nil)
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { argument in
                    Unmanaged<Lane>.fromOpaque(argument!).takeRetainedValue().work()
                    return nil
                }, Unmanaged.passRetained(self).toOpaque())
        }

        private func work() {
            pthread_mutex_lock(lock)
            while true {
                while job == nil { pthread_cond_wait(change, lock) }
                let mine = job!
                pthread_mutex_unlock(lock)
                mine.run()
                pthread_mutex_lock(lock)
                job = nil
                done = mine
                pthread_cond_broadcast(change)
            }
        }

        func put(_ new: BackgroundJob) {
            pthread_mutex_lock(lock)
            job = new
            pthread_cond_broadcast(change)
            pthread_mutex_unlock(lock)
        }

        func take(waits: Bool) -> BackgroundJob? {
            pthread_mutex_lock(lock)
            defer { pthread_mutex_unlock(lock) }
            while waits, done == nil { pthread_cond_wait(change, lock) }
            defer { done = nil }
            return done
        }
    }

    private let lanes = [Lane(), Lane()]
    /// What each of them is at.
    private var out: [BackgroundJob?] = [nil, nil]

    /// Takes back what is done, gives out what is to be done, and does the rest.
    func pump(_ store: KVStore, _ now: LabTime) {
        for index in lanes.indices where out[index] != nil {
            guard let job = lanes[index].take(waits: false) else { continue }
            out[index] = nil
            store.finish(job, now: now)
        }
        if !store.needsWorkHere { return }
        while let free = out.firstIndex(where: { $0 == nil }), let job = store.takeJob(now: now) {
            out[free] = job
            lanes[free].put(job)
        }
        if store.needsWorkHere { store.work(budgetByteCount: 64 << 10, now: now) }
    }

    func waitForOne(_ store: KVStore, _ now: LabTime) {
        // A writer waits for the flush, mostly; either lets it look again.
        let short = out.firstIndex { $0.map { !$0.isCompaction } ?? false }
        guard let index = short ?? out.firstIndex(where: { $0 != nil }), let job = lanes[index].take(waits: true) else {
            return
        }
        out[index] = nil
        store.finish(job, now: now)
        pump(store, now)
    }
}

final class Loop {
    let workers = Workers()
    static let valueByteCount = 100
    static let poolByteCount = 1 << 20
    let directory: String
    let entries: Int
    let synced: Int
    let pool: UnsafeMutableRawBufferPointer
    let key = UnsafeMutableRawBufferPointer.allocate(byteCount: 24, alignment: 8)
    let disk: NodeDisk
    var store: KVStore!

    init(_ directory: String, _ entries: Int, _ synced: Int) throws {
        self.directory = directory
        self.entries = entries
        self.synced = synced
        pool = .allocate(byteCount: Self.poolByteCount, alignment: 8)
        var random = XorShift(state: 88_172_645_463_325_252)
        for index in 0..<pool.count { pool[index] = UInt8(truncatingIfNeeded: random.next()) }
        disk = NodeDisk(base: try FileDisk(root: nil), owner: DiskOwner(1))
    }

    func run() throws {
        try fresh()
        try step("fillseq", entries) { try fill(entries, isSequential: true, group: 0, seed: 1) }
        report("fillseq")
        try fresh()
        try step("fillrandom", entries) { try fill(entries, isSequential: false, group: 0, seed: 1) }
        report("fillrandom")
        try step("overwrite", entries) { try fill(entries, isSequential: false, group: 0, seed: 2) }
        report("overwrite")
        try step("compact", 1) {
            try store.requestCompaction()
            while store.needsWork {
                workers.pump(store, now)
                workers.waitForOne(store, now)
            }
        }
        report("compact")
        let sizes = try disk.list(directory).map { try disk.attributes(directory + "/" + $0).size }
        print("disk-mb \(sizes.reduce(0, +) >> 20) 0 0")
        try step("readrandom", entries) { try read(end: false) }
        try step("readmissing", entries) { try read(end: true) }
        var count = 0
        try step("readseq", entries) { count = try scan() }
        print("entries \(count) 0 0")
        try fresh()
        try step("fillsync-1", synced) { try fill(synced, isSequential: false, group: 1, seed: 3) }
        try fresh()
        try step("fillsync-50", synced * 10) { try fill(synced * 10, isSequential: false, group: 50, seed: 100) }
        try store.close()
    }

    var now: LabTime { LabTime(nanoseconds: Int64(nanoseconds(CLOCK_REALTIME))) }

    func fresh() throws {
        try store?.close()
        store = nil
        for name in (try? disk.list(directory)) ?? [] { try disk.remove(directory + "/" + name) }
        store = try KVStore.open(disk: disk, directory: directory, now: now)
        store.waitForJob = { [unowned self] in workers.waitForOne(store, now) }
    }

    func step(_ name: String, _ operations: Int, _ body: () throws -> Void) throws {
        let wall = nanoseconds(CLOCK_MONOTONIC)
        let cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID)
        try body()
        let wallTaken = nanoseconds(CLOCK_MONOTONIC) - wall
        print("\(name) \(operations) \(wallTaken) \(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu)")
        fflush(nil)
    }

    func report(_ name: String) {
        let statistics = store.statistics
        let written = Double(statistics.flushByteCount + statistics.compactionByteCount) / 1_048_576
        print("\(name).written-mb \(Int(written.rounded())) 0 0")
        for event in store.takeEvents() {
            if case .stalled(let cause) = event {
                say("\(name): \(cause)")
            }
        }
    }

    /// Sixteen digits, as `%016llu` writes them, and perhaps a point.
    func makeKey(_ number: UInt64, end: Bool = false) -> UnsafeRawBufferPointer {
        var rest = number
        for index in stride(from: 15, through: 0, by: -1) {
            key[index] = 48 + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        key[16] = UInt8(ascii: ".")
        return UnsafeRawBufferPointer(rebasing: key[..<(end ? 17 : 16)])
    }

    /// - Parameter group: writes that arrive together and share one sync; 0 for no syncs, and a commit each.
    func fill(_ count: Int, isSequential: Bool, group: Int, seed: UInt64) throws {
        var random = XorShift(state: seed * 7919 + 1)
        for index in 0..<count {
            let number = isSequential ? UInt64(index) : random.next() % UInt64(entries)
            let start = index * Self.valueByteCount % (Self.poolByteCount - Self.valueByteCount)
            let value = UnsafeRawBufferPointer(rebasing: pool[start..<start + Self.valueByteCount])
            try store.put(makeKey(number), value)
            if group == 0 {
                try store.commit(sync: false)
            } else if (index + 1) % group == 0 {
                try store.commit(sync: true)
            }
            if index & 63 == 63 { workers.pump(store, now) }
        }
    }

    func read(end: Bool) throws {
        var random = XorShift(state: 4711)
        var found = 0
        var bytes = 0
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.valueByteCount, alignment: 8)
        defer { copy.deallocate() }
        for _ in 0..<entries {
            let key = makeKey(random.next() % UInt64(entries), end: end)
            // Copied, as the other side copies it into a string.
            let count = try store.read(key) { value, _ in
                copy.copyMemory(from: value)
                return value.count
            }
            if let count {
                found += 1
                bytes += count
            }
        }
        say("found \(found) of \(entries), \(bytes) bytes")
    }

    func scan() throws -> Int {
        let iterator = try store.makeIterator()
        var count = 0
        var bytes = 0
        try iterator.seekToFirst()
        while iterator.isValid {
            count += 1
            bytes += iterator.key.count + iterator.value.count
            try iterator.next()
        }
        say("\(count) entries, \(bytes) bytes")
        return count
    }
}

let words = CommandLine.arguments
guard words.count == 4, let entries = Int(words[2]), let synced = Int(words[3]) else {
    say("usage: kv-engine-loop DIRECTORY ENTRIES SYNCED_ENTRIES")
    exit(2)
}
do {
    try Loop(words[1], entries, synced).run()
} catch {
    say("kv-engine-loop: \(error)")
    exit(1)
}

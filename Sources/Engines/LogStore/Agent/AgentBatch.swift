import KernelLog
import KernelStorage

/// Lines of one file, one behind the other in it, that travel together.
struct AgentBatch {
    let generation: Int
    let inode: UInt64
    let path: String
    let from: Int
    private(set) var spans: [Int] = []
    private(set) var lengths: [Int] = []
    /// When its lines were read.
    private(set) var times: [AgentProtocol.ReadTime] = []
    private(set) var text: [UInt8] = []

    init(generation: Int, inode: UInt64, path: String, from: Int) {
        self.generation = generation
        self.inode = inode
        self.path = path
        self.from = from
    }

    var lines: Int { lengths.count }
    /// In the file: what the ledger counts.
    private(set) var fileBytes = 0
    /// Where the next line would begin.
    var end: Int { from + fileBytes }
    var memoryBytes: Int { text.count + 16 * (spans.count + times.count) + 128 }

    /// - Parameter time: when it was read. Nanoseconds since 1970, by the agent's own clock.
    mutating func append(_ line: TailedFile.Line, readAt time: Int64) {
        if times.last?.time(ofLine: lengths.count) != time {
            times.append(.init(line: lengths.count, nanoseconds: time))
        }
        spans.append(line.span)
        lengths.append(line.text.count)
        text.append(contentsOf: line.text)
        fileBytes += line.span
    }

    /// As it is sent.
    func encoded(number: Int, isAgain: Bool = false) -> [UInt8] {
        var head = AgentProtocol.BatchHead()
        head.number = number
        head.inode = inode
        head.generation = generation
        head.path = path
        head.from = from
        head.spans = spans
        head.lengths = lengths
        head.times = times
        head.isAgain = isAgain
        return Array(head.text.utf8) + text
    }

    /// What `encoded` has written; nil for anything else.
    init?(_ bytes: [UInt8]) {
        guard let end = bytes.firstIndex(of: 10),
            let head = bytes[..<end].withUnsafeBytes({ try? AgentProtocol.BatchHead($0) }),
            bytes.count - end - 1 == head.byteCount
        else { return nil }
        self.init(generation: head.generation, inode: head.inode, path: head.path, from: head.from)
        spans = head.spans
        lengths = head.lengths
        times = head.times
        text = Array(bytes[(end + 1)...])
        fileBytes = spans.reduce(0, +)
    }
}

/// What waits for the collector, on the disk: a file a batch, in the order in which they are to be sent.
struct AgentSpool {
    let directory: String
    private(set) var byteCount = 0
    private var nextNumber = 1

    struct Entry {
        let number: Int
        let byteCount: Int
    }

    init(_ directory: String) { self.directory = directory }

    private func path(_ number: Int) -> String { "\(directory)/\(number).batch" }

    /// The batches that are there, oldest first; what cannot be read is removed, and counted.
    mutating func open(_ disk: NodeDisk) throws(DiskError) -> (found: [(Entry, AgentBatch)], damaged: Int) {
        try disk.makeDurableDirectory(directory)
        let numbers = try disk.list(directory).compactMap { name in
            name.hasSuffix(".batch") ? Int(name.dropLast(6)) : nil
        }.sorted()
        var found: [(Entry, AgentBatch)] = []
        var damaged = 0
        for number in numbers where number > 0 && number < Int.max {
            nextNumber = max(nextNumber, number + 1)
            let bytes = try disk.contents(of: path(number))
            guard let batch = Self.batch(bytes) else {
                damaged += 1
                try disk.remove(path(number))
                continue
            }
            found.append((Entry(number: number, byteCount: bytes.count), batch))
            byteCount += bytes.count
        }
        return (found, damaged)
    }

    private static func batch(_ bytes: [UInt8]) -> AgentBatch? {
        var batches = LogBatches(bytes, from: 0)
        var batch: AgentBatch?
        _ = batches.next { range in
            batch = AgentBatch(Array(bytes[range]))
            return batch != nil
        }
        return batches.isAtEnd ? batch : nil
    }

    /// Writes a batch, which is durable after the next `sync`.
    ///
    /// - Returns: nil where the spool would have more than `limitBytes` with it.
    mutating func add(_ batch: AgentBatch, limitBytes: Int, _ disk: NodeDisk) throws(DiskError) -> Entry? {
        guard byteCount < limitBytes else { return nil }
        let bytes = LogBatch.encoded(batch.encoded(number: 0), number: 0, syncedBytes: 0)
        guard bytes.count <= limitBytes - byteCount else { return nil }
        let path = path(nextNumber)
        do throws(DiskError) {
            let file = try disk.open(path, [.write, .create, .truncate])
            defer { file.close() }
            try file.write(bytes, at: 0)
            try file.sync()
        } catch {
            try? disk.remove(path)
            throw error
        }
        defer { nextNumber += 1 }
        byteCount += bytes.count
        return Entry(number: nextNumber, byteCount: bytes.count)
    }

    func sync(_ disk: NodeDisk) throws(DiskError) { try disk.syncDirectory(directory) }

    func read(_ entry: Entry, _ disk: NodeDisk) throws(DiskError) -> AgentBatch? {
        Self.batch(try disk.contents(of: path(entry.number)))
    }

    mutating func remove(_ entry: Entry, _ disk: NodeDisk) {
        byteCount -= entry.byteCount
        // One that stays is sent again, and recognized.
        try? disk.remove(path(entry.number))
    }
}

import KernelLog
import KernelStorage
import KernelStructures
import LogModelEngine
import TimeSeriesEngine

// What is there when a store is opened.
extension LogStore {
    func recover(now: Int64) throws {
        if try !sources.load(disk, directory) {
            note(problem: "\(directory)/sources cannot be read: what agents send again is stored again")
        }
        let logs = try logNumbers()
        try findSegments(without: Set(logs))
        nextNumber = max(nextNumber, (logs.last ?? 0) + 1)
        for number in logs { try replay(number, now: now) }
        active = LogHead(number: takeNumber(), startTime: now)
        for stream in unpacked.flatMap(\.streams) {
            registry.recovered(stream.labels, newest: stream.last, limits, now: now)
        }
        flushUnpacked()
        for entry in segments where now &- entry.last < 86_400_000_000_000 { knowStreams(of: entry, now: now) }
    }

    /// Numbers of the logs, rising.
    private func logNumbers() throws(DiskError) -> [Int] {
        try disk.list(walDirectory).compactMap { name in
            name.hasSuffix(".wal") ? Self.number(name.dropLast(4)) : nil
        }.sorted()
    }

    private static func number(_ text: Substring) -> Int? {
        guard text.utf8.count >= 8, text.utf8.count <= 12, text.utf8.allSatisfy({ $0 &- 48 < 10 }) else { return nil }
        return Int(text)
    }

    // MARK: Segments

    private func findSegments(without unfinished: Set<Int>) throws {
        for name in try disk.list(directory) {
            guard let day = Self.dayNumber(name) else { continue }
            try findSegments(day, "\(directory)/\(name)", unfinished)
        }
        sortSegments()
    }

    /// The number of a day from its name.
    private static func dayNumber(_ name: String) -> Int64? {
        guard name.utf8.count == 10, let time = LabTime(parsing: name + "T00:00:00Z") else { return nil }
        return day(time.nanoseconds)
    }

    private func findSegments(_ day: Int64, _ path: String, _ unfinished: Set<Int>) throws {
        var found: [(SegmentEntry, replaced: [Int])] = []
        for name in try disk.list(path) {
            let file = "\(path)/\(name)"
            if name.hasSuffix(".logs.new") { try disk.remove(file) }
            guard name.hasSuffix(".logs"), let number = Self.number(name.dropLast(5)) else { continue }
            nextNumber = max(nextNumber, number + 1)
            // Its log is still there, so it is made again from that.
            if unfinished.contains(number) {
                try disk.remove(file)
                continue
            }
            do throws(LogSourceError) {
                let segment = try Segment(disk, file, identifier: nextSegmentIdentifier)
                found.append((entry(day, number, segment), segment.replaced))
                nextSegmentIdentifier += 1
            } catch {
                // One volume that cannot be read must not take the others with it.
                noteDamage(file, day: day, "\(error)", isLeftOut: true)
            }
        }
        let replaced = Set(found.flatMap { entry, numbers in numbers.filter { $0 != entry.number } })
        for (entry, _) in found where replaced.contains(entry.number) { try disk.remove(entry.path) }
        segments += found.map(\.0).filter { !replaced.contains($0.number) }
    }

    private func entry(_ day: Int64, _ number: Int, _ segment: Segment) -> SegmentEntry {
        SegmentEntry(
            day: day, number: number, identifier: segment.identifier, path: segment.path,
            first: segment.table.map(\.first).min() ?? .max, last: segment.table.map(\.last).max() ?? .min,
            lineBytes: segment.table.reduce(0) { $0 + $1.byteCount }, fileBytes: segment.fileBytes,
            entryCount: segment.table.reduce(0) { $0 + $1.entryCount }, chunkCount: segment.table.count,
            isCold: segment.isCold(number), rank: segment.rank)
    }

    /// So that what comes too late, or again, is seen after a restart as well.
    private func knowStreams(of entry: SegmentEntry, now: Int64) {
        guard let segment = try? segment(of: entry) else { return }
        for (stream, labels) in segment.streams.enumerated() {
            guard let newest = segment.table[segment.chunks(of: stream)].map(\.last).max() else { continue }
            registry.recovered(labels, newest: newest, limits, now: now)
        }
    }

    // MARK: The log

    /// Reads a log, and packs what it says at once. On a full disk it stays as it is, log and all, and is packed when
    /// there is room: who asks finds what is there, and nobody has to make room first.
    private func replay(_ number: Int, now: Int64) throws {
        let path = LogHead.path(number, walDirectory)
        let head = LogHead(number: number, startTime: now, isRecovered: true)
        let bytes = try disk.contents(of: path, limit: Self.logLimitBytes)
        var batches = LogBatches(bytes, from: 0)
        while batches.next({ range in replay(bytes, range, into: head) }) {}
        if !batches.isAtEnd {
            if let witness = batches.witness() {
                throw LogSourceError.damaged(
                    "\(path) at byte \(batches.place): batch \(witness), which can be read, says that this was "
                        + "durable; put a copy in its place, or remove the file to go on without it")
            }
            // The end of a write that nobody was told of.
            note(problem: "\(path): \(batches.restBytes) bytes at its end were never acknowledged, and are dropped")
        }
        statistics.recoveredEntries += head.entryCount
        let flush = LogFlush(head, disk, directory, settings)
        do {
            while try !flush.step() {}
            try sources.save(disk, directory)
        } catch DiskError.noSpace(let full) {
            flush.abandon()
            note(problem: "\(full): the disk is full; what the log has stays in memory until there is room")
            retryTime = now &+ Self.retryNanoseconds
            return unpacked.append(head)
        }
        try disk.remove(path)
        try disk.syncDirectory(walDirectory)
        segments += flush.writers.map { entry($0.day, $0.writer, number: number, isCold: false, rank: number) }
        sortSegments()
    }

    private func replay(_ bytes: [UInt8], _ range: Range<Int>, into head: LogHead) -> Bool {
        bytes.withUnsafeBytes { bytes in
            head.replay(UnsafeRawBufferPointer(rebasing: bytes[range]), chunkBytes: settings.chunkBytes) { source in
                guard let source else {
                    return note(
                        problem: "the log has a place in a file that no file can have: it is skipped, and what its "
                            + "agent sends again is stored again")
                }
                sources.note(source.file, offset: source.offset, now: source.time)
            }
        }
    }

    /// A log ends when its head is full; this is far beyond.
    private static let logLimitBytes = 1 << 30
}

import KernelStorage
import KernelStructures
import LogModelEngine

// From memory to the disk, from day to day, and out.
extension LogStore {
    static let dayNanoseconds: Int64 = 86_400_000_000_000

    /// Days since 1970, rounded down.
    static func day(_ time: Int64) -> Int64 {
        let (quotient, remainder) = time.quotientAndRemainder(dividingBy: dayNanoseconds)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// `2024-01-15`
    static func dayName(_ day: Int64) -> String {
        let (time, overflow) = day.multipliedReportingOverflow(by: dayNanoseconds)
        // The first day there is begins before the first nanosecond.
        return String("\(LabTime(nanoseconds: overflow ? .min : time))".prefix(10))
    }

    static func segmentPath(_ directory: String, _ day: Int64, _ number: Int) -> String {
        "\(directory)/\(dayName(day))/\(padded(number, 8)).logs"
    }

    /// After a failure of the disk nothing is tried for so long. Nanoseconds.
    static let retryNanoseconds: Int64 = 5_000_000_000
    private static let mergePauseNanoseconds: Int64 = 10_000_000_000

    /// Does a piece of what can wait: packing, merging, removing. To be called again at once while it returns true,
    /// otherwise when more has come, and every minute.
    ///
    /// - Parameter now: nanoseconds since 1970.
    /// - Throws: what the log's disk says that must end the store: see `commit`.
    public func maintain(now: Int64) throws(DiskError) -> Bool {
        if now < retryTime { return false }
        if let flush { return stepFlush(flush, now: now) }
        if isFlushDue(now) {
            try beginFlush(now: now)
            return true
        }
        if packSealed() { return true }
        if let merge { return stepMerge(merge, now: now) }
        if expire(now: now) { return true }
        removeDoomed(now: now)
        return beginMerge(now: now)
    }

    private func isFlushDue(_ now: Int64) -> Bool {
        guard !active.isEmpty else { return false }
        return active.byteCount >= settings.headBytes || now &- active.startTime >= settings.headAgeNanoseconds
    }

    private func packSealed() -> Bool {
        do {
            return try active.packNext(packer)
        } catch {
            // It stays as it is, and is packed with all others.
            note(problem: "a chunk in memory could not be packed: \(error)")
            return true
        }
    }

    /// Packs what is in memory, all of it.
    public func flushAll(now: Int64) throws(DiskError) {
        while let flush, stepFlush(flush, now: now) {}
        if active.isEmpty || flush != nil { return }
        try beginFlush(now: now)
        while let flush, stepFlush(flush, now: now) {}
    }

    private func beginFlush(now: Int64) throws(DiskError) {
        // What is not durable yet would be in a segment before it was promised: harmless, but the log comes first.
        if active.needsCommit { try commit(now: now) }
        retired = nil
        let head = active
        active = LogHead(number: takeNumber(), startTime: now)
        flush = LogFlush(head, disk, directory, settings)
    }

    func takeNumber() -> Int {
        defer { nextNumber += 1 }
        return nextNumber
    }

    /// - Returns: whether there is more to do now.
    private func stepFlush(_ flush: LogFlush, now: Int64) -> Bool {
        do {
            guard try flush.step() else { return true }
            try finish(flush)
            return true
        } catch {
            flush.abandon()
            note(problem: "what is in memory could not be packed: \(error)")
            // From the beginning, later: what was finished of it is replaced.
            self.flush = LogFlush(flush.head, disk, directory, settings)
            retryTime = now &+ Self.retryNanoseconds
            return false
        }
    }

    private func finish(_ flush: LogFlush) throws {
        try sources.save(disk, directory)
        try removeLog(of: flush.head)
        for (day, writer) in flush.writers {
            segments.append(entry(day, writer, number: flush.head.number, isCold: false, rank: flush.head.number))
            statistics.packedLineBytes += writer.lineBytes
            statistics.packedBytes += writer.fileBytes
            statistics.packedIndexBytes += writer.indexBytes
        }
        sortSegments()
        statistics.flushes += 1
        retired = flush.head
        self.flush = nil
        flushUnpacked()
    }

    /// Begins with what recovery had to leave.
    func flushUnpacked() {
        guard flush == nil, !unpacked.isEmpty else { return }
        flush = LogFlush(unpacked.removeFirst(), disk, directory, settings)
    }

    private func removeLog(of head: LogHead) throws(DiskError) {
        head.closeFile()
        let path = LogHead.path(head.number, walDirectory)
        do throws(DiskError) { try disk.remove(path) } catch { guard case .notFound = error else { throw error } }
        try disk.syncDirectory(walDirectory)
    }

    func entry(_ day: Int64, _ writer: SegmentWriter, number: Int, isCold: Bool, rank: Int) -> SegmentEntry {
        defer { nextSegmentIdentifier += 1 }
        return SegmentEntry(
            day: day, number: number, identifier: nextSegmentIdentifier, path: writer.path,
            first: writer.table.map(\.first).min() ?? .max, last: writer.table.map(\.last).max() ?? .min,
            lineBytes: writer.lineBytes, fileBytes: writer.fileBytes, entryCount: writer.entryCount,
            chunkCount: writer.table.count, isCold: isCold, rank: rank)
    }

    func sortSegments() { segments.sort { ($0.day, $0.number) < ($1.day, $1.number) } }

    // MARK: Merging

    private func beginMerge(now: Int64) -> Bool {
        if lastMergeTime > Int64.min, now &- lastMergeTime < Self.mergePauseNanoseconds { return false }
        guard let chosen = SegmentMerge.choose(segments, settings, now: now) else { return false }
        lastMergeTime = now
        do {
            merge = try SegmentMerge(chosen.segments, isCold: chosen.isCold, self)
            return true
        } catch {
            note(problem: "segments of \(Self.dayName(chosen.segments[0].day)) could not be merged: \(error)")
            retryTime = now &+ Self.retryNanoseconds
            return false
        }
    }

    private func stepMerge(_ merge: SegmentMerge, now: Int64) -> Bool {
        do {
            guard try merge.step() else { return true }
        } catch {
            merge.abandon()
            note(problem: "segments could not be merged: \(error)")
            self.merge = nil
            retryTime = now &+ Self.retryNanoseconds
            return false
        }
        let replaced = Set(merge.inputs.map(\.identifier))
        segments.removeAll { replaced.contains($0.identifier) }
        segments.append(
            entry(merge.inputs[0].day, merge.writer, number: merge.number, isCold: merge.isCold, rank: merge.rank))
        sortSegments()
        doomed += merge.inputs.map { ($0, now &+ Self.doomNanoseconds) }
        statistics.merges += 1
        self.merge = nil
        return true
    }

    /// How long what was merged stays for queries that began before. Nanoseconds.
    private static let doomNanoseconds: Int64 = 60_000_000_000

    private func removeDoomed(now: Int64) {
        for (entry, due) in doomed where due <= now { remove(entry) }
        doomed.removeAll { $0.due <= now }
    }

    private func remove(_ entry: SegmentEntry) {
        cache.forget(entry.identifier)
        // What cannot be removed now is found when the store is opened again.
        do throws(DiskError) { try disk.remove(entry.path) } catch { note(problem: "\(error)") }
    }

    // MARK: Retention

    /// Removes a day whose time is over.
    private func expire(now: Int64) -> Bool {
        guard merge == nil, let oldest = segments.first?.day else { return false }
        let total = settings.retentionBytes > 0 ? segments.reduce(0) { $0 + $1.fileBytes } : 0
        let end = Double(oldest + 1) * Double(Self.dayNanoseconds)
        let isOver = settings.retentionNanoseconds > 0 && Double(now) - end >= Double(settings.retentionNanoseconds)
        let isOne = segments.last?.day == oldest
        guard isOver || (total > settings.retentionBytes && settings.retentionBytes > 0 && !isOne) else { return false }
        let expired = segments.prefix { $0.day == oldest }
        segments.removeFirst(expired.count)
        statistics.expiredSegments += expired.count
        for entry in expired { remove(entry) }
        for (entry, _) in doomed where entry.day == oldest { remove(entry) }
        doomed.removeAll { $0.entry.day == oldest }
        // It may not be empty: what is not the store's stays.
        try? disk.remove("\(directory)/\(Self.dayName(oldest))")
        try? disk.syncDirectory(directory)
        return true
    }
}

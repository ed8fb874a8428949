import KernelStorage
import KernelStructures

// From files to lines, and from lines to batches.
extension LogAgent {
    /// Looks for files, and reads what has been written: a bounded amount.
    ///
    /// - Parameter clock: the time that lines have which say none; that of the agent's node, which may be wrong.
    /// - Returns: the paths of files that were found now; and whether there is more to read at once.
    public func scan(now: LabTime, clock: LabTime? = nil) -> (found: [String], hasMore: Bool) {
        scanTime = now
        readTime = max(0, (clock ?? now).nanoseconds)
        isHeldBack = false
        isSpoolFull = false
        endHolds()
        let found = findFiles(now: now)
        isFirstScan = false
        var hasMore = false
        for file in files {
            if file.wasEmptied() { noteEmptied(file, now: now) }
            if readAll(of: file, now: now) { hasMore = true }
        }
        letGo(now: now)
        if mustSave { save() }
        return (found, hasMore)
    }

    private func findFiles(now: LabTime) -> [String] {
        var found: [String] = []
        var present: Set<UInt64> = []
        for pattern in patterns {
            for path in pattern.paths(disk) where !found.contains(path) {
                guard let file = opened(path) else { continue }
                present.insert(file.identity)
                if files.contains(where: { $0.identity == file.identity }) {
                    file.close()
                    continue
                }
                guard files.count < settings.fileLimit else {
                    note("more than \(settings.fileLimit) files: \(path) is not followed")
                    file.close()
                    continue
                }
                files.append(tail(file, path, now: now))
                found.append(path)
            }
        }
        for file in files where !file.isRotated && !present.contains(file.identity) { file.isRotated = true }
        findRotated(&found, now: now)
        return found
    }

    private func opened(_ path: String) -> (any DiskFile)? {
        do throws(DiskError) {
            let file = try openedFile(path)
            guard file.size <= AgentProtocol.numberLimit else {
                file.close()
                note("\(path) is larger than a file can be (\(byteCountText(file.size))): it is not followed")
                return nil
            }
            return file
        } catch {
            if case .notFound = error { return nil }
            note("\(error): it is not followed")
            return nil
        }
    }

    /// A regular file only: of a pipe or a device nobody can say how far it was read.
    private func openedFile(_ path: String) throws(DiskError) -> any DiskFile {
        if try disk.attributes(path).isSpecial { throw .notFile(path) }
        return try disk.open(path, [])
    }

    private func tail(_ file: any DiskFile, _ path: String, now: LabTime) -> TailedFile {
        if let index = resumed.firstIndex(where: { $0.identity == file.identity }) {
            let cursor = resumed.remove(at: index)
            if cursor.offset <= file.size, cursor.head.isBeginning(of: file) {
                return TailedFile(
                    file, path: path, generation: cursor.generation, offset: cursor.offset, head: cursor.head, now: now)
            }
            suspectLoss("\(path) was emptied while nobody read it")
        }
        let isOld = isFirstScan && !settings.readsFromStart
        return TailedFile(file, path: path, generation: takeGeneration(), offset: isOld ? file.size : 0, now: now)
    }

    private func takeGeneration() -> Int {
        mustSave = true
        defer { cursors.nextGeneration += 1 }
        return cursors.nextGeneration
    }

    private func suspectLoss(_ text: String) {
        counted.suspectedLosses += 1
        note(text)
    }

    /// Files of the last life that have another name now: beside the old one, and beginning with it.
    private func findRotated(_ found: inout [String], now: LabTime) {
        if resumed.isEmpty { return }
        for cursor in resumed {
            let parent = DiskPath.parent(of: cursor.path)
            let stem = DiskPath.name(of: cursor.path)
            let names = ((try? disk.list(parent)) ?? []).filter { $0.hasPrefix(stem) && $0 != stem }
            var isFound = false
            for name in names where !isFound {
                guard let file = opened(DiskPath.normalized(name, in: parent)) else { continue }
                guard file.identity == cursor.identity, cursor.offset <= file.size, cursor.head.isBeginning(of: file),
                    files.count < settings.fileLimit
                else {
                    file.close()
                    continue
                }
                let tailed = TailedFile(
                    file, path: cursor.path, generation: cursor.generation, offset: cursor.offset, head: cursor.head,
                    now: now)
                tailed.isRotated = true
                files.append(tailed)
                isFound = true
            }
            if !isFound {
                suspectLoss("\(cursor.path), as it was, is gone: what was not read of it cannot be any more")
            }
        }
        resumed = []
        isDirty = true
    }

    private func noteEmptied(_ file: TailedFile, now: LabTime) {
        // The beginning of a line is all that is left of it.
        if let line = file.rest(settings) { take(line, of: file, at: file.messageOffset - line.span) }
        suspectLoss("\(file.path) was emptied; what was written to it just before may be lost")
        file.restart(generation: takeGeneration(), now: now)
    }

    /// At once: about what memory may have.
    private var readBytes: Int { min(256 << 10, max(64 << 10, settings.memoryBytes)) }
    /// Of one batch's lines: what is given up is given up by the batch.
    private var batchBytes: Int { min(settings.batchBytes, max(1 << 10, settings.memoryBytes / 4)) }

    /// - Returns: whether there is more.
    private func readAll(of file: TailedFile, now: LabTime) -> Bool {
        // What the collector does not take may as well stay where it is.
        if isHeld(file.generation) { return false }
        do throws(DiskError) {
            for _ in 0..<8 {
                guard makeRoom() else { return false }
                let hasCome = try file.read(limitBytes: readBytes, now: now)
                takeMessages(of: file, now: now)
                if !hasCome { return false }
            }
            return file.hasUnread
        } catch {
            note("\(error)")
            return false
        }
    }

    private func takeMessages(of file: TailedFile, now: LabTime) {
        while true {
            let offset = file.messageOffset
            guard let line = file.nextMessage(settings, now: now) else { return }
            take(line, of: file, at: offset)
        }
    }

    private func take(_ line: TailedFile.Line, of file: TailedFile, at offset: Int) {
        counted.read.add(1, line.span)
        if line.isCut { counted.cutLines += 1 }
        isDirty = true
        if settings.whenFull == .dropNewest, !hasRoom {
            moveToSpool()
            if !hasRoom { return counted.dropped.add(1, line.span) }
        }
        let time = nextReadTime()
        let last = queue.count - 1
        if last >= sent.count, queue[last].entry == nil, let batch = queue[last].batch,
            batch.generation == file.generation, batch.end == offset, batch.text.count < batchBytes,
            batch.lines < settings.batchLines
        {
            extend(last, line, readAt: time)
        } else {
            var batch = AgentBatch(generation: file.generation, inode: file.identity, path: file.path, from: offset)
            batch.append(line, readAt: time)
            memoryBytes += batch.memoryBytes
            queue.append(Item(batch, nil))
        }
    }

    /// No two lines have the same time, so that those of a file have their order even where they are in several
    /// streams.
    private func nextReadTime() -> Int64 {
        // Unless the clock was set back.
        let isNear = lastReadTime >= readTime && lastReadTime - readTime < 1_000_000_000
        lastReadTime = isNear ? lastReadTime + 1 : readTime
        return lastReadTime
    }

    /// In place: copying the batch for each line would be quadratic.
    private func extend(_ index: Int, _ line: TailedFile.Line, readAt time: Int64) {
        guard var batch = queue[index].batch else { return }
        queue[index].batch = nil
        memoryBytes -= batch.memoryBytes
        batch.append(line, readAt: time)
        memoryBytes += batch.memoryBytes
        let wasSent = queue[index].wasSent
        queue[index] = Item(batch, nil)
        queue[index].wasSent = wasSent
    }

    /// Files that nobody writes to any more under a name that is not theirs.
    private func letGo(now: LabTime) {
        var kept: [TailedFile] = []
        for file in files {
            guard file.isRotated, !file.hasUnread, file.isQuiet(for: settings.rotatedQuiet, now: now) else {
                kept.append(file)
                continue
            }
            if let line = file.rest(settings) { take(line, of: file, at: file.messageOffset - line.span) }
            file.close()
            isDirty = true
        }
        files = kept
    }
}

import KernelStorage
import KernelStructures

// What waits: where it is kept, how it leaves, and how far that is written down.
extension LogAgent {
    // MARK: Room

    var hasRoom: Bool { memoryBytes < settings.memoryBytes || spool.byteCount < settings.spoolBytes }

    /// - Returns: whether more may be read.
    func makeRoom() -> Bool {
        if memoryBytes < settings.memoryBytes { return true }
        if let lastProgress, scanTime - lastProgress < settings.stallTime {
            isHeldBack = true
            return false
        }
        if spool.byteCount < settings.spoolBytes, moveToSpool() { return true }
        switch settings.whenFull {
        case .wait: return false
        case .dropNewest: return true
        case .dropOldest:
            while memoryBytes >= settings.memoryBytes || spool.byteCount > settings.spoolBytes,
                sent.count < queue.count, dropOldest()
            {}
            return memoryBytes < settings.memoryBytes
        }
    }

    /// All that is in memory, oldest first.
    private func moveToSpool() -> Bool {
        do throws(DiskError) {
            for index in queue.indices {
                guard queue[index].entry == nil, let batch = queue[index].batch else { continue }
                queue[index].entry = try spool.add(batch, disk)
                // What is on its way may have to be sent again, from the spool then.
                queue[index].batch = nil
                memoryBytes -= batch.memoryBytes
            }
            try spool.sync(disk)
            isDirty = true
            return true
        } catch {
            note("the spool: \(error)")
            return false
        }
    }

    private func dropOldest() -> Bool {
        guard sent.count < queue.count else { return false }
        let item = queue.remove(at: sent.count)
        counted.dropped.add(item.lines, item.fileBytes)
        forget(item)
        return true
    }

    private func forget(_ item: Item) {
        if let entry = item.entry { spool.remove(entry, disk) }
        if let batch = item.batch { memoryBytes -= batch.memoryBytes }
        isDirty = true
    }

    // MARK: Sending

    /// The next batch to be sent, as bytes; nil if there is none, or as many as may be are on their way.
    public func nextToSend() -> [UInt8]? {
        guard !mustSave, sent.count < AgentProtocol.windowBatches, let index = nextIndex() else { return nil }
        if index > sent.count { queue.insert(queue.remove(at: index), at: sent.count) }
        let item = queue[sent.count]
        let batch: AgentBatch?
        do throws(DiskError) {
            batch = if let entry = item.entry { try spool.read(entry, disk) } else { item.batch }
        } catch {
            // Later: what comes behind it must not overtake it, or the collector would take it for something it has.
            note("the spool: \(error)")
            return nil
        }
        guard let batch else {
            // It is damaged, and will not be any better.
            note("a batch of the spool is damaged: \(item.lines) lines are lost")
            _ = dropOldest()
            return nextToSend()
        }
        sent.append(nextNumber)
        nextNumber += 1
        return batch.encoded(number: nextNumber - 1, isAgain: takeAgain(item.generation))
    }

    /// The collector has all batches up to a number.
    ///
    /// - Returns: lines that are stored now.
    public func acknowledged(_ acknowledgement: AgentProtocol.Acknowledgement) -> Int {
        for (generation, hold) in holds where hold.lastNumber.map({ $0 <= acknowledgement.number }) == true {
            holds[generation]?.lastNumber = nil
        }
        let count = sent.prefix { $0 <= acknowledgement.number }.count
        guard count > 0 else { return 0 }
        lastProgress = scanTime
        var lines = 0
        var bytes = 0
        for item in queue[..<count] {
            lines += item.lines
            bytes += item.fileBytes
            forget(item)
            noteProgress(of: item.generation)
        }
        queue.removeFirst(count)
        sent.removeFirst(count)
        let rejected = min(acknowledgement.rejected, lines)
        // Which of them is not said; bytes are shared out alike.
        let rejectedBytes = lines == 0 ? 0 : Int(Double(bytes) * Double(rejected) / Double(lines))
        if rejected > 0 {
            counted.rejected.add(rejected, rejectedBytes)
            if rejections.count < 100 { rejections[acknowledgement.reason, default: 0] += rejected }
        }
        counted.stored.add(lines - rejected, bytes - rejectedBytes)
        return lines - rejected
    }

    /// The connection is gone: what was on its way will be sent again, on the next one, which counts from 1.
    public func disconnected() {
        lastProgress = nil
        sent = []
        nextNumber = 1
        // Nothing of the old connection is on its way any more.
        for generation in holds.keys { holds[generation]?.lastNumber = nil }
    }

    // MARK: Cursors

    /// Writes down how far everything has come, if something has changed.
    public func save() {
        guard isDirty || mustSave else { return }
        var offsets: [Int: Int] = [:]
        for item in queue where item.entry == nil {
            if offsets[item.generation] == nil { offsets[item.generation] = item.from }
        }
        cursors.files = files.map { file in
            AgentCursors.Cursor(
                path: file.path, identity: file.identity, generation: file.generation,
                offset: offsets[file.generation] ?? file.messageOffset, head: file.fingerprint)
        }
        do throws(DiskError) {
            try cursors.save(disk, cursorPath)
            isDirty = false
            mustSave = false
        } catch {
            note("the cursors could not be saved: \(error)")
        }
    }

    /// Ends it in order: what is in memory stays in its files, before their cursors.
    public func close() {
        save()
        for file in files { file.close() }
        files = []
        unlock()
    }
}

extension LogAgent.Item {
    init(_ batch: AgentBatch, _ entry: AgentSpool.Entry?) {
        self.init(
            generation: batch.generation, path: batch.path, from: batch.from, lines: batch.lines,
            fileBytes: batch.fileBytes,
            batch: entry == nil ? batch : nil, entry: entry)
    }
}

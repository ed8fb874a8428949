import KernelStorage
import KernelStructures

// What waits: where it is kept, how it leaves, and how far that is written down.
extension LogAgent {
    // MARK: Room

    var hasRoom: Bool { memoryBytes < settings.memoryBytes }

    /// - Returns: whether more may be read.
    func makeRoom() -> Bool {
        if hasRoom { return true }
        if let lastProgress, scanTime - lastProgress < settings.stallTime {
            isHeldBack = true
            return false
        }
        moveToSpool()
        if hasRoom { return true }
        switch settings.whenFull {
        case .wait: return false
        case .dropNewest: return true
        case .dropOldest:
            while !hasRoom, giveUpOldest() { moveToSpool() }
            return hasRoom
        }
    }

    /// What is in memory, oldest first, as far as the spool has room for it.
    func moveToSpool() {
        if isSpoolFull { return }
        var hasMoved = false
        do throws(DiskError) {
            for index in queue.indices {
                guard queue[index].entry == nil, let batch = queue[index].batch else { continue }
                guard let entry = try spool.add(batch, limitBytes: settings.spoolBytes, disk) else {
                    isSpoolFull = true
                    break
                }
                queue[index].entry = entry
                // What is on its way may have to be sent again, from the spool then.
                queue[index].batch = nil
                memoryBytes -= batch.memoryBytes
                hasMoved = true
            }
        } catch {
            isSpoolFull = true
            note("the spool: \(error)")
        }
        guard hasMoved else { return }
        isDirty = true
        do throws(DiskError) { try spool.sync(disk) } catch { note("the spool: \(error)") }
    }

    /// Gives up what was read first of all that is still kept, on its way or not.
    ///
    /// What is on its way may arrive all the same: it stays in the line, so that its acknowledgement is understood, and
    /// is lost only when its connection is.
    ///
    /// - Returns: false if nothing is kept any more.
    private func giveUpOldest() -> Bool {
        guard let index = queue.firstIndex(where: { !$0.isGivenUp }) else { return false }
        if index < sent.count {
            free(queue[index])
            queue[index].giveUp()
        } else {
            drop(at: index)
        }
        return true
    }

    /// Takes an item out of the line, and counts it as dropped.
    func drop(at index: Int) {
        let item = queue.remove(at: index)
        counted.dropped.add(item.lines, item.fileBytes)
        if item.wasSent { counted.unclear.add(item.lines, item.fileBytes) }
        free(item)
    }

    /// What an item takes is free again.
    private func free(_ item: Item) {
        if let entry = item.entry { spool.remove(entry, disk) }
        if let batch = item.batch { memoryBytes -= batch.memoryBytes }
        isSpoolFull = false
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
            drop(at: sent.count)
            return nextToSend()
        }
        queue[sent.count].wasSent = true
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
            free(item)
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
        for index in queue.indices.reversed() where queue[index].isGivenUp { drop(at: index) }
        // Nothing of the old connection is on its way any more.
        for generation in holds.keys { holds[generation]?.lastNumber = nil }
    }

    // MARK: Cursors

    /// Writes down how far everything has come, if something has changed.
    public func save() {
        guard isDirty || mustSave else { return }
        var offsets: [Int: Int] = [:]
        for item in queue where item.entry == nil && !item.isGivenUp {
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

    /// Nothing is kept of it any more, and it is on its way.
    var isGivenUp: Bool { batch == nil && entry == nil }

    mutating func giveUp() {
        batch = nil
        entry = nil
    }
}

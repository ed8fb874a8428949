import KernelStorage

/// Reads the logs that are in no table yet, in order, and says where to stop.
///
/// ## The problem
///
/// After a crash the end of a log may be missing, torn, or full of holes: what was not synced may have reached the
/// device in any order. That is no damage; nobody was promised those writes. But the same holes in the middle of what
/// *was* synced mean that promised writes are gone, and to go on as if nothing had happened would be a lie. From the
/// bytes alone the two cannot be told apart.
///
/// ## How
///
/// The log itself says what was synced. After each sync the next write to the log begins with an empty batch, a *mark*:
/// every write below its sequence number was on the device when it was written. (Where another thread syncs, more may
/// have been written meanwhile: the mark's number is lower than its neighbours' then.) A log also begins with a mark,
/// which says nothing but that this store wrote it. Then:
///
/// - Something is wrong, and no mark follows that covers it: it was never promised. All from there on is dropped, sound
///   or not, so that what remains is a beginning of what was written, without gaps.
/// - Something is wrong, and a mark follows that covers it: a promise is broken. The store does not open; `repair`
///   saves the rest.
///
/// The sequence numbers of batches leave no gaps, so that a log whose end is missing betrays itself in the next one.
///
/// Logs of other programs have no marks. There the end may be torn, and whatever is wrong before a sound record is
/// damage.
struct LogReplay {
    private let directory: StoreDirectory
    /// The sequence number that comes next; nil before the first batch.
    private var expected: UInt64?
    /// What the first batch may have at most: the manifest knows of those before.
    private let firstLimit: UInt64
    private(set) var operations = 0
    private(set) var lastSequence: UInt64
    private(set) var stop: Stop?

    /// Where sound records end.
    struct Stop {
        let file: String
        let offset: Int
        let reason: String
        var droppedByteCount: Int
    }

    init(_ directory: StoreDirectory, lastSequence: UInt64) {
        self.directory = directory
        self.lastSequence = lastSequence
        firstLimit = lastSequence + 1
    }

    /// Reads one log. `apply` gets each write, with its sequence number.
    mutating func read(
        _ number: UInt64, _ apply: (UInt64, BatchReader.Entry) throws(KVStoreError) -> Void
    ) throws(KVStoreError) {
        let path = directory.path(.log(number))
        let file: any DiskFile
        do throws(DiskError) { file = try directory.disk.open(path, []) } catch { throw .disk(error) }
        defer { file.close() }
        let reader = LogReader(file: file)
        var isFirst = true
        // Nil until the first record shows it.
        var hasMarks: Bool?
        while true {
            let item: LogReader.Item
            do throws(DiskError) { item = try reader.next() } catch { throw .disk(error) }
            switch item {
            case .end: return
            case .damage(let damage):
                // Zeros at the very beginning: the write that began the log never reached the device.
                hasMarks = hasMarks ?? damage.isCutShort
                halt(path, damage.offset, damage.reason, reader)
            case .record(let bytes, let offset):
                guard let batch = BatchReader(bytes), batch.isSound(),
                    batch.sequence < InternalKey.sequenceLimit - UInt64(UInt32.max)
                else {
                    throw .corruption(Corruption(file: path, offset: offset, detail: "a record that is no batch"))
                }
                let isOurs = hasMarks ?? (batch.count == 0)
                hasMarks = isOurs
                try take(batch, isFirst: isFirst, isOurs: isOurs, at: offset, of: path, reader, apply)
            }
            isFirst = false
        }
    }

    private mutating func take(
        _ batch: BatchReader, isFirst: Bool, isOurs: Bool, at offset: Int, of path: String, _ reader: LogReader,
        _ apply: (UInt64, BatchReader.Entry) throws(KVStoreError) -> Void
    ) throws(KVStoreError) {
        let isMark = isOurs && batch.count == 0 && !isFirst
        if isOurs, stop == nil, let gap = gap(before: batch, isMark: isMark) { halt(path, offset, gap, reader) }
        // What is wrong begins with the write that was expected.
        let provesSync = isOurs ? isMark && batch.sequence > expected ?? 0 : batch.count > 0
        if let stop, provesSync {
            throw .corruption(
                Corruption(
                    file: stop.file, offset: stop.offset,
                    detail: "\(stop.reason), and sound records follow: writes that were promised are lost"))
        }
        if stop != nil || isMark { return }
        expected = batch.sequence + UInt64(batch.count)
        if batch.count > 0 { lastSequence = max(lastSequence, expected! - 1) }
        var batch = batch
        var sequence = batch.sequence
        while let entry = try next(&batch) {
            try apply(sequence, entry)
            sequence += 1
            operations += 1
        }
    }

    private func next(_ batch: inout BatchReader) throws(KVStoreError) -> BatchReader.Entry? {
        do throws(BatchDamage) { return try batch.next() } catch {
            throw .invalid("a batch changed while it was read")
        }
    }

    private func gap(before batch: BatchReader, isMark: Bool) -> String? {
        if let expected {
            if isMark, batch.sequence < expected { return nil }
            return batch.sequence == expected ? nil : "write \(expected) is missing, \(batch.sequence) follows"
        }
        return batch.sequence <= firstLimit ? nil : "writes \(firstLimit) to \(batch.sequence - 1) are missing"
    }

    private mutating func halt(_ path: String, _ offset: Int, _ reason: String, _ reader: LogReader) {
        if stop == nil {
            stop = Stop(file: path, offset: offset, reason: reason, droppedByteCount: reader.byteCount - offset)
        } else if stop!.file != path {
            stop!.droppedByteCount += reader.byteCount - offset
        }
    }
}

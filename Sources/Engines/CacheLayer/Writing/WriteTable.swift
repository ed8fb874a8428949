import KernelStructures

/// One write of one key.
public struct WriteID: Hashable, Sendable { let number: UInt64 }

/// What whoever makes a write is to do next.
public enum WriteStep: Sendable {
    /// Write to the source; report `stored`, `refused` or `unknown`.
    case store(key: String, (any CacheObject)?)
    /// Make this durable, then report `appended`, or `notAppended`.
    case append(WriteBehindRecord)
    /// Ask the shared cache; report with `RemoteReply`.
    case ask(RemoteRequest)
    case done(Result<Void, CacheFailure>)
}

public enum WriteReport: Sendable {
    /// - Parameter version: what the source now calls the value's version; 0 where it has none.
    case stored(version: UInt64)
    /// The source has refused: it is as it was.
    case refused(String)
    /// It may have been written, or not.
    case unknown(String)
    case appended
    case notAppended(String)
    case reply(RemoteReply)
}

struct Write: Sendable {
    let id: WriteID
    let key: String
    /// nil: the key is removed.
    let value: (any CacheObject)?
    let writer: String
    var stage = Stage.waiting
    var startedAt: LabTime
    var version: UInt64 = 0
    var sequence: UInt64 = 0
    var tags: [TagStamp] = []
    var tagWords: [SharedEntry.StoredTag] = []
    var entry: CacheEntry?
    /// Comparisons with the shared cache that somebody else's change has spoilt.
    var attempts = 0
    /// What the writer hears at the end.
    var outcome: Result<Void, CacheFailure> = .success(())

    enum Stage: String, Sendable { case waiting, append, store, look, introduce, put, delete }
}

/// The writes under way: one at a time for each key, the others in line.
struct WriteTable: Sendable {
    private(set) var writes: [WriteID: Write] = [:]
    private var active: [String: WriteID] = [:]
    private var lines: [String: RingQueue<WriteID>] = [:]
    private var lastNumber: UInt64 = 0

    static let limit = 100_000

    var count: Int { writes.count }

    /// Those in line for a key, and some who have left it.
    func lineLength(_ key: String) -> Int { lines[key]?.count ?? 0 }

    func isWriting(_ key: String) -> Bool { active[key] != nil }
    subscript(id: WriteID) -> Write? { writes[id] }
    mutating func put(_ write: Write) { if writes[write.id] != nil { writes[write.id] = write } }

    /// - Returns: the write, and whether it may begin.
    mutating func add(_ key: String, _ value: (any CacheObject)?, by writer: String, now: LabTime) -> (WriteID, Bool) {
        lastNumber += 1
        let id = WriteID(number: lastNumber)
        writes[id] = Write(id: id, key: key, value: value, writer: writer, startedAt: now)
        if active[key] == nil {
            active[key] = id
            return (id, true)
        }
        lines[key, default: RingQueue()].append(id)
        return (id, false)
    }

    /// The write is over. Returns the next of its key, which may begin.
    mutating func end(_ id: WriteID) -> WriteID? {
        guard let write = writes.removeValue(forKey: id), active[write.key] == id else { return nil }
        active[write.key] = nil
        while let next = lines[write.key]?.popFirst() {
            guard writes[next] != nil else { continue }
            active[write.key] = next
            if lines[write.key]?.isEmpty == true { lines[write.key] = nil }
            return next
        }
        lines[write.key] = nil
        return nil
    }

    /// Leaves the line. Returns false for one that has begun.
    mutating func cancel(_ id: WriteID) -> Bool {
        guard let write = writes[id], active[write.key] != id else { return false }
        writes[id] = nil
        return true
    }
}

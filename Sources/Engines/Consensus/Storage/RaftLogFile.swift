import KernelLog

/// The file of a member's log, as bytes.
///
/// ```
///   "SDLABRL1" │ batch │ batch │ …            (`LogBatch`)
///   record: 1 base (index, term, lives) │ 2 hard state (term, vote, commit) │ 3 entry │ 4 the disk's identity
/// ```
enum RaftLogFile {
    static let magic = Array("SDLABRL1".utf8)

    struct Content: Equatable {
        var base = LogPosition.start
        var lives = 0
        /// 0: it has none.
        var identity = 0
        var hardState = HardState()
        var entries: [RaftEntry] = []

        var lastIndex: Int { base.index + entries.count }

        /// Puts entries where they belong; what is there from the first one's place on is gone.
        ///
        /// - Returns: false if there would be a gap.
        mutating func put(_ new: [RaftEntry]) -> Bool {
            guard let first = new.first else { return true }
            guard first.index > base.index, first.index - 1 <= lastIndex else { return false }
            if first.index <= lastIndex { entries.removeLast(lastIndex - first.index + 1) }
            entries.append(contentsOf: new)
            return true
        }
    }

    // MARK: Writing

    static func records(base content: Content) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(1)
        for number in [content.base.index, content.base.term, content.lives] { writer.put(number: number) }
        if content.identity != 0 {
            writer.put(4)
            writer.put(number: content.identity)
        }
        writer.put(raw: records(content.hardState, content.entries))
        return writer.bytes
    }

    static func records(_ hardState: HardState?, _ entries: [RaftEntry]) -> [UInt8] {
        var writer = ByteWriter()
        for entry in entries {
            writer.put(3)
            entry.put(into: &writer)
        }
        if let hardState {
            writer.put(2)
            for number in [hardState.term, hardState.vote, hardState.commit] { writer.put(number: number) }
        }
        return writer.bytes
    }

    // MARK: Reading

    /// - Returns: what can be read, and how many bytes at the end are torn.
    /// - Throws: `RaftDiskError.damaged`.
    static func read(_ bytes: [UInt8], path: String) throws(RaftDiskError) -> (content: Content, tornBytes: Int) {
        guard bytes.starts(with: magic) else {
            throw .damaged(path: path, offsetBytes: 0, "it does not begin as a log does")
        }
        var content = Content()
        var batches = LogBatches(bytes, from: magic.count)
        while batches.next({ take(Array(bytes[$0]), into: &content) }) {}
        // The first batch came with the file, whose name was given it when all of it was on the disk.
        guard batches.number > 0 else { throw .damaged(path: path, offsetBytes: magic.count, "its beginning is gone") }
        if batches.isAtEnd { return (content, 0) }
        if let witness = batches.witness() {
            throw .damaged(
                path: path, offsetBytes: batches.place, "batch \(witness) behind it says it was synced")
        }
        return (content, batches.restBytes)
    }

    private enum Step {
        case base(Content)
        case hardState(HardState)
        case entry(RaftEntry)
        case identity(Int)
    }

    /// Returns false, and has taken nothing, if they are not what this writes.
    private static func take(_ records: [UInt8], into content: inout Content) -> Bool {
        // All of them are looked at before any of them counts: to work on a copy would copy the log with each batch.
        guard let steps = steps(records, behind: content) else { return false }
        for step in steps {
            switch step {
            case .base(let new): content = new
            case .hardState(let new): content.hardState = new
            case .entry(let new): _ = content.put([new])
            case .identity(let new): content.identity = new
            }
        }
        return true
    }

    private static func steps(_ records: [UInt8], behind content: Content) -> [Step]? {
        var reader = ByteReader(records)
        var steps: [Step] = []
        var (base, last) = (content.base.index, content.lastIndex)
        while !reader.isAtEnd {
            switch reader.byte() {
            case 1:
                guard let index = reader.number(), let term = reader.number(), let lives = reader.number() else {
                    return nil
                }
                (base, last) = (index, index)
                steps.append(.base(Content(base: .init(index: index, term: term), lives: lives)))
            case 2:
                guard let term = reader.number(), let vote = reader.number(), let commit = reader.number() else {
                    return nil
                }
                steps.append(.hardState(HardState(term: term, vote: vote, commit: commit)))
            case 3:
                guard let entry = RaftEntry(&reader), entry.index > base, entry.index - 1 <= last else { return nil }
                last = entry.index
                steps.append(.entry(entry))
            case 4:
                guard let identity = reader.number(), identity > 0 else { return nil }
                steps.append(.identity(identity))
            default: return nil
            }
        }
        return steps
    }
}

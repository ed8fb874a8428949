/// Entries, snapshots and messages as bytes. Numbers are 8 bytes with the lowest first, lists and bytes stand behind
/// their count in 4. What is read was written by this: every value has one form, and every other form is refused.
extension RaftEntry {
    func put(into writer: inout ByteWriter) {
        writer.put(number: index)
        writer.put(number: term)
        writer.put(kind.rawValue)
        writer.put(bytes: data)
    }

    init?(_ reader: inout ByteReader) {
        guard let index = reader.number(), let term = reader.number(),
            let kind = reader.byte().flatMap(Kind.init), let data = reader.bytes()
        else { return nil }
        self.init(index: index, term: term, kind: kind, data: data)
    }

    /// The fewest bytes of one.
    static let smallestBytes = 21
}

extension GroupConfiguration {
    func put(into writer: inout ByteWriter) {
        for ids in [voters, outgoing, learners, nextLearners] { writer.put(numbers: ids) }
        writer.put(leavesAutomatically ? 1 : 0)
    }

    init?(_ reader: inout ByteReader) {
        guard let voters = reader.ids(), let outgoing = reader.ids(), let learners = reader.ids(),
            let nextLearners = reader.ids(), let leavesAutomatically = reader.flag()
        else { return nil }
        self.init(
            voters: voters, outgoing: outgoing, learners: learners, nextLearners: nextLearners,
            leavesAutomatically: leavesAutomatically)
    }
}

extension ByteReader {
    /// Numbers in order, each once.
    fileprivate mutating func ids() -> [Int]? {
        guard let ids = numbers(), zip(ids, ids.dropFirst()).allSatisfy(<) else { return nil }
        return ids
    }
}

extension RaftSnapshot {
    public var encoded: [UInt8] {
        var writer = ByteWriter()
        put(into: &writer)
        return writer.bytes
    }

    /// - Returns: nil if the bytes are none of `encoded`.
    public init?(encoded bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        self.init(&reader)
        guard reader.isAtEnd else { return nil }
    }

    func put(into writer: inout ByteWriter) {
        writer.put(number: index)
        writer.put(number: term)
        configuration.put(into: &writer)
        writer.put(bytes: data)
    }

    init?(_ reader: inout ByteReader) {
        guard let index = reader.number(), let term = reader.number(),
            let configuration = GroupConfiguration(&reader), let data = reader.bytes()
        else { return nil }
        self.init(position: .init(index: index, term: term), configuration: configuration, data: data)
    }
}

extension RaftMessage {
    private static let hasSnapshot: UInt8 = 1
    private static let isRejected: UInt8 = 2
    private static let isForTransfer: UInt8 = 4

    public var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.put(kind.rawValue)
        writer.put(
            (snapshot == nil ? 0 : Self.hasSnapshot) | (isRejection ? Self.isRejected : 0)
                | (isTransfer ? Self.isForTransfer : 0))
        for number in [from, to, term, index, logTerm, commit, hint, context] { writer.put(number: number) }
        writer.put(word: UInt32(clamping: entries.count))
        for entry in entries { entry.put(into: &writer) }
        snapshot?.put(into: &writer)
        return writer.bytes
    }

    /// - Returns: nil if the bytes are none of `encoded`.
    public init?(encoded bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let kind = reader.byte().flatMap(Kind.init), let flags = reader.byte(), flags < 8,
            let from = reader.number(), let to = reader.number(), let term = reader.number(),
            let index = reader.number(), let logTerm = reader.number(), let commit = reader.number(),
            let hint = reader.number(), let context = reader.number(), let count = reader.word(),
            reader.remainingCount / RaftEntry.smallestBytes >= Int(count)
        else { return nil }
        self.init(
            kind, from: from, to: to, term: term, index: index, logTerm: logTerm, commit: commit,
            isRejection: flags & Self.isRejected != 0, hint: hint, context: context,
            isTransfer: flags & Self.isForTransfer != 0)
        entries.reserveCapacity(Int(count))
        for offset in 0..<Int(count) {
            guard let entry = RaftEntry(&reader) else { return nil }
            // An append's entries follow one another; a proposal's have no places yet.
            if kind == .append, entry.index != index + 1 + offset { return nil }
            entries.append(entry)
        }
        if flags & Self.hasSnapshot != 0 {
            guard let snapshot = RaftSnapshot(&reader) else { return nil }
            self.snapshot = snapshot
        }
        guard reader.isAtEnd else { return nil }
    }
}

/// Keeps a command that was sent twice from being carried out twice (thesis §6.3).
///
/// Whoever proposes does not know, when a leader dies, whether the command is in the log; so it sends it again, and the
/// log may have it twice. Each proposal therefore says who it is from, in which life of that member, and its number.
/// Every member remembers the results of those that their proposer may still send again, and gives the same result to
/// the second copy without carrying it out. All of it is part of the replicated state: it follows from the log alone.
public struct ProposalSessions: Equatable, Sendable {
    /// What stands before the command in an entry.
    public struct Header: Equatable, Sendable {
        public var member: Int
        /// How often the proposer had been started.
        public var life: Int
        /// Counted by the proposer in that life, from 1.
        public var number: Int
        /// It will not send again what has a lower number.
        public var lowestOpen: Int

        public init(member: Int, life: Int, number: Int, lowestOpen: Int) {
            self.member = member
            self.life = life
            self.number = number
            self.lowestOpen = lowestOpen
        }
    }

    public enum Verdict: Equatable, Sendable {
        case new
        /// It was carried out at that place, with that result.
        case known(index: Int, [UInt8])
        /// Its proposer does not wait for it any more, or is gone.
        case stale
    }

    private struct Session: Equatable, Sendable {
        var life: Int
        var lowestOpen = 0
        /// In the order of numbers.
        var results: [(number: Int, index: Int, bytes: [UInt8])] = []

        static func == (a: Self, b: Self) -> Bool {
            a.life == b.life && a.lowestOpen == b.lowestOpen
                && a.results.elementsEqual(b.results) { $0.number == $1.number && $0.bytes == $1.bytes }
        }
    }

    private var sessions: [Int: Session] = [:]

    public init() {}

    /// Looks at a proposal before it is carried out, and forgets what its proposer has heard.
    public mutating func begin(_ header: Header) -> Verdict {
        var session = sessions[header.member] ?? Session(life: header.life)
        if header.life < session.life { return .stale }
        if header.life > session.life { session = Session(life: header.life) }
        if header.lowestOpen > session.lowestOpen {
            session.lowestOpen = header.lowestOpen
            session.results.removeAll { $0.number < header.lowestOpen }
        }
        sessions[header.member] = session
        if header.number < session.lowestOpen { return .stale }
        if let known = session.results.first(where: { $0.number == header.number }) {
            return .known(index: known.index, known.bytes)
        }
        return .new
    }

    /// What came of a proposal that was new.
    public mutating func end(_ header: Header, index: Int, _ result: [UInt8]) {
        guard sessions[header.member]?.life == header.life else { return }
        let place = sessions[header.member]!.results.lastIndex { $0.number < header.number }.map { $0 + 1 } ?? 0
        sessions[header.member]!.results.insert((header.number, index, result), at: place)
    }

    // MARK: Bytes

    /// What an entry is about.
    public enum Matter: UInt8, Sendable {
        case command
        /// It goes with a change of membership, or stands where one was refused.
        case membership
        /// A member says which disk it has.
        case introduction
    }

    public static func entry(_ header: Header, _ matter: Matter, _ content: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        for number in [header.member, header.life, header.number, header.lowestOpen] { writer.put(number: number) }
        writer.put(matter.rawValue)
        writer.put(raw: content)
        return writer.bytes
    }

    /// - Returns: nil for bytes that are none of `entry`: what a new leader begins with, for instance.
    public static func read(_ entry: [UInt8]) -> (header: Header, matter: Matter, content: [UInt8])? {
        var reader = ByteReader(entry)
        guard let member = reader.number(), let life = reader.number(), let number = reader.number(),
            let lowestOpen = reader.number(), let matter = reader.byte().flatMap(Matter.init)
        else { return nil }
        return (Header(member: member, life: life, number: number, lowestOpen: lowestOpen), matter, reader.rest)
    }

    public var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.put(word: UInt32(clamping: sessions.count))
        for (member, session) in sessions.sorted(by: { $0.key < $1.key }) {
            for number in [member, session.life, session.lowestOpen] { writer.put(number: number) }
            writer.put(word: UInt32(clamping: session.results.count))
            for result in session.results {
                writer.put(number: result.number)
                writer.put(number: result.index)
                writer.put(bytes: result.bytes)
            }
        }
        return writer.bytes
    }

    /// - Returns: nil if the bytes are none of `encoded`.
    public init?(encoded bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let count = reader.word() else { return nil }
        for _ in 0..<count {
            guard let member = reader.number(), let life = reader.number(), let lowestOpen = reader.number(),
                let resultCount = reader.word(), sessions[member] == nil
            else { return nil }
            var session = Session(life: life, lowestOpen: lowestOpen)
            for _ in 0..<resultCount {
                guard let number = reader.number(), let index = reader.number(), let result = reader.bytes(),
                    session.results.last.map({ $0.number < number }) ?? true
                else { return nil }
                session.results.append((number, index, result))
            }
            sessions[member] = session
        }
        guard reader.isAtEnd else { return nil }
    }
}

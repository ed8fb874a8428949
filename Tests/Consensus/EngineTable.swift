import ConsensusEngine

/// Engines around a table: messages arrive at once and in order, disks are as fast, and time passes when it is told to.
final class EngineTable {
    private(set) var rafts: [Int: Raft] = [:]
    private(set) var applied: [Int: [RaftEntry]] = [:]
    private(set) var answers: [Int: [ReadAnswer]] = [:]
    private(set) var events: [Int: [RaftEvent]] = [:]
    private(set) var delivered: [RaftMessage] = []
    private var mail: [RaftMessage] = []
    /// Who hears nothing and is not heard.
    var away: Set<Int> = []

    /// - Parameters:
    ///   - logs: of each member the terms of its entries, from index 2 on.
    ///   - terms: of each member.
    init(
        _ count: Int, logs: [[Int]] = [], terms: [Int] = [], learners: [Int] = [],
        _ change: (inout Raft.Settings) -> Void = { _ in }
    ) {
        let voters = (1...count).filter { !learners.contains($0) }
        let first = RaftSnapshot(
            position: .init(index: 1, term: 1), configuration: .init(voters: voters, learners: learners))
        for id in 1...count {
            var settings = Raft.Settings(id: id)
            settings.seed = 5
            change(&settings)
            let log = id <= logs.count ? logs[id - 1] : []
            let entries = log.enumerated().map { RaftEntry(index: $0 + 2, term: $1, data: [UInt8($1)]) }
            let term = id <= terms.count ? terms[id - 1] : log.last ?? 1
            rafts[id] = Raft(settings, snapshot: first, entries: entries, hardState: .init(term: term, commit: 1))
        }
    }

    subscript(_ id: Int) -> Raft { rafts[id]! }
    var leader: Raft? {
        rafts.values.filter { $0.role == .leader && !away.contains($0.id) }.max { $0.term < $1.term }
    }

    /// Until nothing is under way.
    func settle() {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            for id in rafts.keys.sorted() where rafts[id]!.hasReady {
                isQuiet = false
                perform(rafts[id]!)
            }
            let letters = mail
            mail = []
            for letter in letters {
                isQuiet = false
                if away.contains(letter.from) || away.contains(letter.to) { continue }
                delivered.append(letter)
                try? rafts[letter.to]?.receive(letter)
            }
        }
    }

    private func perform(_ raft: Raft) {
        let ready = raft.takeReady()
        mail += ready.messages
        events[raft.id, default: []] += ready.events
        answers[raft.id, default: []] += ready.readAnswers
        for entry in ready.committed {
            applied[raft.id, default: []].append(entry)
            if entry.kind == .configuration, let change = ConfigurationChange(encoded: entry.data) {
                raft.apply(change)
            }
            raft.snapshot = RaftSnapshot(position: entry.position, configuration: raft.configuration)
        }
        for reply in ready.append?.replies ?? [] {
            if reply.to == raft.id { try? raft.receive(reply) } else { mail.append(reply) }
        }
        if let mark = ready.append?.mark { raft.noteStored(mark) }
        raft.noteApplied(ready.committed)
    }

    func tick(_ ids: [Int]? = nil, times: Int = 1) {
        for _ in 0..<times {
            for id in ids ?? rafts.keys.sorted() where !away.contains(id) { rafts[id]!.tick() }
            settle()
        }
    }

    func elect(_ id: Int) {
        rafts[id]!.campaign()
        settle()
    }

    func propose(_ id: Int, _ data: [UInt8]) throws {
        try rafts[id]!.propose(data)
        settle()
    }

    func terms(_ id: Int) -> [Int] { rafts[id]!.log.entries(from: 2).map(\.term) }
    func commands(_ id: Int) -> [[UInt8]] {
        (applied[id] ?? []).filter { $0.kind == .command && !$0.data.isEmpty }.map(\.data)
    }
}

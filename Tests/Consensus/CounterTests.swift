import ConsensusEngine
import ConsensusService
import KernelHosting
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// The smallest state that can be replicated.
final class Counter: ReplicatedStateMachine {
    private(set) var value = 0
    private(set) var applied: [[UInt8]] = []
    func apply(_ index: Int, _ command: [UInt8]) -> [UInt8] {
        value += command.count
        applied.append(command)
        return Array("\(value)".utf8)
    }
    func snapshot() -> [UInt8] { Array("\(value)".utf8) }
    func restore(_ snapshot: [UInt8]) throws { value = Int(String(decoding: snapshot, as: UTF8.self)) ?? 0 }
}

/// A service that has nothing but a counter, as a real one embeds a member.
final class CounterNode: HTTPService {
    let node: Node
    let counter = Counter()
    let member: ConsensusMember
    private let router = HTTPRouter()
    private var server: HTTPServer!
    private(set) var events: [ConsensusEvent] = []

    init(_ node: Node, _ settings: ConsensusMember.Settings) throws {
        self.node = node
        member = ConsensusMember(node: node, settings: settings, machine: counter)
        server = HTTPServer(node: node, service: router)
        member.mount(on: router)
        member.onEvent = { [unowned self] in events.append($0) }
        try member.open()
        try server.listen(on: 7001)
        member.start()
    }
    func requestBegan(_ connection: HTTPServerConnection) {}
    func requestEnded(_ connection: HTTPServerConnection) {}
}

/// Several of them in a world.
final class CounterGroup {
    let world: World
    private(set) var members: [Int: CounterNode] = [:]
    var change: (inout ConsensusMember.Settings) -> Void = { _ in }
    private let first: [Int: HostPort]

    init(_ count: Int, seed: UInt64 = 1, _ change: @escaping (inout ConsensusMember.Settings) -> Void = { _ in }) throws
    {
        world = memoryWorld(seed: seed)
        self.change = change
        first = Dictionary(uniqueKeysWithValues: (1...count).map { ($0, Self.address($0)) })
        for id in 1...count { try start(id) }
    }

    static func address(_ id: Int) -> HostPort { HostPort(host: "n\(id)", port: 7001) }

    func start(_ id: Int, joins: Bool = false) throws {
        var settings = ConsensusMember.Settings(id: id, peers: first, directory: "/var/lib/counter\(id)")
        settings.joins = joins
        change(&settings)
        members[id] = try CounterNode(world.node("n\(id)"), settings)
    }

    subscript(_ id: Int) -> CounterNode { members[id]! }
    var alive: [CounterNode] { members.sorted { $0.key < $1.key }.map(\.value).filter(\.node.isAlive) }
    var leader: CounterNode? {
        alive.filter { $0.member.isLeader && !$0.node.isFrozen }.max { $0.member.term < $1.member.term }
    }

    func awaitLeader() throws -> CounterNode {
        for _ in 0..<200 {
            if let leader { return leader }
            world.pass(.milliseconds(100))
        }
        return try #require(leader)
    }

    /// Proposes on that member, and waits.
    func propose(_ id: Int, _ command: [UInt8]) -> Result<ConsensusAnswer, ConsensusFailure>? {
        var answer: Result<ConsensusAnswer, ConsensusFailure>?
        self[id].member.propose(command) { answer = $0 }
        for _ in 0..<100 where answer == nil { world.pass(.milliseconds(100)) }
        return answer
    }

    func change(_ id: Int, _ change: MembershipChange) -> Result<Void, ConsensusFailure>? {
        var answer: Result<Void, ConsensusFailure>?
        self[id].member.change(change) { answer = $0 }
        for _ in 0..<100 where answer == nil { world.pass(.milliseconds(100)) }
        return answer
    }

    /// What is to be done with a member that has lost its disk: it is removed, and another one is added.
    ///
    /// - Returns: false if one of the two was not done, which is recorded as an issue.
    func replace(_ victim: Int, by id: Int, askedOf leader: Int) throws -> Bool {
        guard case .success = change(leader, .remove(victim)) else {
            Issue.record("it is removed")
            return false
        }
        try start(id, joins: true)
        guard case .success = change(leader, .add(id, Self.address(id), voting: true)) else {
            Issue.record("another one is added")
            return false
        }
        return true
    }

    var values: [Int] { alive.map(\.counter.value) }
}

extension Result where Success == ConsensusAnswer {
    var text: String {
        if case .success(let answer) = self { String(decoding: answer.bytes, as: UTF8.self) } else { "\(self)" }
    }
}

@Suite("A replicated counter")
struct CounterTests {
    @Test("one member alone is a group, leads at once, and has everything after a power failure")
    func alone() throws {
        let group = try CounterGroup(1)
        group.world.pass(.milliseconds(10))
        #expect(group[1].member.isLeader)
        #expect(group.propose(1, [1])?.text == "1")
        #expect(group.propose(1, [1, 2])?.text == "3")
        group[1].node.end(.poweredOff)
        try group.start(1)
        #expect(group.propose(1, [7])?.text == "4")
    }

    @Test("three members: commands on any of them have one order, and every one has all")
    func three() throws {
        let group = try CounterGroup(3)
        let leader = try group.awaitLeader()
        var answers: [Int] = []
        for round in 0..<30 {
            group[round % 3 + 1].member.propose([UInt8(round)]) { answers.append(Int($0.text) ?? -1) }
        }
        group.world.pass(.seconds(1))
        #expect(answers.sorted() == Array(1...30))
        #expect(group.values == [30, 30, 30])
        #expect(Set(group.alive.map(\.counter.applied)).count == 1)
        #expect(group.alive.allSatisfy { $0.member.leader == leader.member.settings.id })
    }

    @Test("the leader is killed: another one goes on, nothing is lost or done twice, and the dead one catches up")
    func failover() throws {
        let group = try CounterGroup(3)
        let first = try group.awaitLeader()
        let id = first.member.settings.id
        let other = id % 3 + 1
        var answers: [String] = []
        for round in 0..<10 { group[other].member.propose([UInt8(round)]) { answers.append($0.text) } }
        group.world.pass(.microseconds(300))
        first.node.end(.killed)
        group.world.pass(.seconds(4))
        #expect(answers == (1...10).map(String.init))
        try group.start(id)
        group.world.pass(.seconds(3))
        #expect(group.values == [10, 10, 10])
    }

    @Test("a leader that is cut off stops, and its command is done once the line is back", arguments: 1...5)
    func partition(seed: Int) throws {
        let group = try CounterGroup(3, seed: UInt64(seed))
        let first = try group.awaitLeader()
        let id = first.member.settings.id
        let name = "n\(id)"
        let fault = group.world.inject(.block(partition: true), from: name, both: true)
        var late: String?
        first.member.propose([1]) { late = $0.text }
        group.world.pass(.seconds(4))
        #expect(!first.member.isLeader)
        let second = try group.awaitLeader()
        #expect(second !== first)
        #expect(group.propose(second.member.settings.id, [2])?.text == "1")
        _ = group.world.faults.remove(fault)
        group.world.pass(.seconds(5))
        #expect(late == "2" || late?.contains("may have been") == true, "\(late ?? "nothing")")
        #expect(Set(group.values).count == 1)
        #expect(Set(group.alive.map(\.counter.applied)).count == 1)
    }

    @Test("a read sees every command that was answered before it, on every member")
    func reads() throws {
        let group = try CounterGroup(3)
        _ = try group.awaitLeader()
        for round in 1...5 {
            #expect(group.propose(round % 3 + 1, [0])?.text == "\(round)")
            for id in 1...3 {
                var seen: Int?
                group[id].member.read { result in if case .success = result { seen = group[id].counter.value } }
                group.world.pass(.milliseconds(50))
                #expect(seen == round)
            }
        }
    }

    @Test("a member that was away for longer than the log gets a snapshot, in pieces")
    func snapshot() throws {
        let group = try CounterGroup(3) {
            $0.snapshotEntries = 20
            $0.trailingEntries = 5
        }
        let leader = try group.awaitLeader().member.settings.id
        let away = leader % 3 + 1
        group[away].node.end(.killed)
        for round in 1...60 { #expect(group.propose(leader, [0])?.text == "\(round)") }
        let status = try #require(group[leader].member.status())
        #expect(status.snapshotIndex > 20 && status.firstIndex > 20)
        try group.start(away)
        group.world.pass(.seconds(3))
        #expect(group.values == [60, 60, 60])
        #expect(group[away].counter.applied.count < 60, "the rest came with the snapshot")
        #expect(group.propose(away, [0])?.text == "61")
    }

    @Test("members come, as learners first, and go")
    func membership() throws {
        let group = try CounterGroup(3)
        let leader = try group.awaitLeader().member.settings.id
        for _ in 0..<3 { _ = group.propose(leader, [0]) }
        try group.start(4, joins: true)
        guard case .success = group.change(leader % 3 + 1, .add(4, CounterGroup.address(4), voting: false)) else {
            Issue.record("a learner is added")
            return
        }
        group.world.pass(.seconds(1))
        #expect(group[4].counter.value == 3 && group[4].member.configuration.learners == [4])
        guard case .success = group.change(leader, .promote(4)) else {
            Issue.record("it becomes a voter")
            return
        }
        #expect(group[leader].member.configuration.voters == [1, 2, 3, 4])
        guard case .success = group.change(leader == 1 ? 2 : 1, .remove(leader)) else {
            Issue.record("the leader is removed")
            return
        }
        group.world.pass(.seconds(4))
        let next = try group.awaitLeader()
        #expect(next.member.settings.id != leader)
        #expect(next.member.configuration.voters == [1, 2, 3, 4].filter { $0 != leader })
        #expect(group.propose(next.member.settings.id, [0])?.text == "4")
        #expect(group.propose(4, [0])?.text == "5")
    }

    @Test(
        "a leader that stops in order hands over, at any moment: the group does without it at once", arguments: 0..<12)
    func stop(_ tenth: Int) throws {
        let group = try CounterGroup(3)
        let first = try group.awaitLeader()
        _ = group.propose(1, [0])
        // The leader makes sure of its majority once an election timeout, and has heard of nobody since, then.
        group.world.pass(.milliseconds(tenth * 100))
        var isStopped = false
        let begin = group.world.now
        first.member.stop { isStopped = true }
        for _ in 0..<100 where !isStopped { group.world.pass(.milliseconds(1)) }
        #expect(isStopped && group.world.now - begin < .milliseconds(100))
        first.node.end(.stopped)
        group.world.pass(.milliseconds(100))
        let second = try group.awaitLeader()
        #expect(second.member.leaderReason?.campaign == .transfer)
        #expect(group.propose(second.member.settings.id, [0])?.text == "2")
    }

    @Test("a sync that fails ends a member, which says so; the others go on, and it comes back from its disk")
    func failingSync() throws {
        let group = try CounterGroup(3)
        let leader = try group.awaitLeader().member.settings.id
        let victim = leader % 3 + 1
        _ = group.propose(leader, [0])
        group.world.inject(.disk(.failSync(count: 1)), to: "n\(victim)")
        #expect(group.propose(leader, [0])?.text == "2")
        group.world.pass(.seconds(1))
        #expect(group[victim].member.failure != nil)
        #expect(group.propose(victim, [0])?.text.contains("has stopped") == true)
        group[victim].node.end(.killed)
        try group.start(victim)
        group.world.pass(.seconds(3))
        #expect(group.propose(victim, [0])?.text == "3")
    }

    @Test(
        "a member whose snapshot is gone, or damaged, does not start with a hole; a new one takes its place",
        arguments: [true, false])
    func lostSnapshot(_ isGone: Bool) throws {
        let group = try CounterGroup(3) {
            $0.snapshotEntries = 20
            $0.trailingEntries = 5
        }
        let leader = try group.awaitLeader().member.settings.id
        let victim = leader % 3 + 1
        for round in 1...60 { #expect(group.propose(leader, [0])?.text == "\(round)") }
        group.world.pass(.seconds(1))
        let disk = group[victim].node.disk
        group[victim].node.end(.killed)
        let path = "/var/lib/counter\(victim)/snapshot"
        if isGone {
            try disk.remove(path)
        } else {
            var bytes = try disk.contents(of: path)
            bytes[bytes.count - 1] ^= 1
            try disk.store(bytes, at: path)
        }
        #expect {
            try group.start(victim)
        } throws: { error in
            "\(error)".contains("this member has stopped: \(path) is damaged at byte 0: ")
                && "\(error)".contains("remove this member from the group, and add a new one under a number of its own")
        }
        // What the error says to do.
        guard try group.replace(victim, by: 4, askedOf: leader) else { return }
        #expect(group.propose(leader, [0])?.text == "61")
        group.world.pass(.seconds(2))
        #expect(group[4].counter.value == 61 && group[leader].member.configuration.voters.contains(4))
    }

    @Test("two worlds of one seed are the same, event by event")
    func determinism() throws {
        func run() throws -> [String] {
            let group = try CounterGroup(3, seed: 7)
            let leader = try group.awaitLeader()
            _ = group.propose(leader.member.settings.id % 3 + 1, [0])
            leader.node.end(.poweredOff)
            group.world.pass(.seconds(5))
            return group.alive.flatMap { $0.events.map { "\($0)" } }
        }
        #expect(try run() == run())
    }
}

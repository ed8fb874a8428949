import ConsensusEngine
import ConsensusService
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// The same with whole nodes: streams, disks and faults of the World, and members as a service embeds them.
@Suite("Groups in a world that goes wrong")
struct HostSimulationTests {
    #if DEBUG
        private static let usualCount = 4
    #else
        private static let usualCount = 24
    #endif

    @Test(
        "clients see a counter that counts, whatever happens to members and lines",
        arguments: 0..<(isLong ? 500 : usualCount))
    func worlds(seed: Int) throws {
        let world = try HostWorld(seed: UInt64(seed))
        let failures = try world.play()
        #expect(failures == [], "seed \(seed)")
    }
}

/// A counter goes up by one with each command; so the answers say how many there were before, and the reads how many
/// at least.
private final class HostWorld {
    private let group: CounterGroup
    private var random: SeededRandom
    private var operations: [ClientOperation<Action>] = []
    private var end: LabTime { begin + .seconds(12) }
    private let begin: LabTime
    private let count: Int

    /// nil: no answer came.
    private enum Action { case add(Int?), read(Int) }

    /// Each command's answer says how many were done up to it. So that is the order, and all that is left to ask is
    /// whether it is one, and whether whatever was over before something else began comes before it.
    private var judgement: [String] {
        var failures: [String] = []
        var adders: Set<Int> = []
        for one in operations {
            if case .add(let value?) = one.action, !adders.insert(value).inserted {
                failures.append("two commands had the answer \(value)")
            }
        }
        for earlier in operations {
            for later in operations where earlier.end < later.call {
                switch (earlier.action, later.action) {
                case (.add(let a?), .add(let b?)) where a >= b: failures.append("command \(b) came after \(a)")
                case (.add(let a?), .read(let b)) where a > b: failures.append("\(b) was read after \(a) was answered")
                case (.read(let a), .add(let b?)) where a >= b: failures.append("\(b) was answered after \(a) was read")
                case (.read(let a), .read(let b)) where a > b: failures.append("\(b) was read after \(a)")
                default: break
                }
            }
        }
        return failures
    }

    init(seed: UInt64) throws {
        random = SeededRandom(seed: seed)
        count = random.chance(0.6) ? 3 : 5
        group = try CounterGroup(count, seed: seed) {
            $0.snapshotEntries = 40
            $0.trailingEntries = 10
            $0.heartbeatMilliseconds = 50
            $0.electionMilliseconds = 300
            $0.timeoutMilliseconds = 2000
        }
        begin = group.world.now
    }

    private var now: Int { Int(group.world.now.nanoseconds / 1000) }

    func play() throws -> [String] {
        for client in 0..<4 { ask(client) }
        trouble()
        group.world.pass(.seconds(9))
        heal()
        group.world.pass(.seconds(6))
        var failures = Array(judgement.prefix(5))
        if Set(group.values).count != 1 { failures.append("members differ: \(group.values)") }
        if !operations.contains(where: { $0.end != .max && $0.end > now - 5_000_000 }) {
            failures.append("nobody was answered in the end")
        }
        return failures
    }

    /// One thing after another, each on any member that is alive.
    private func ask(_ client: Int) {
        group.world.after(.milliseconds(1 + random.below(60))) { [self] in
            guard group.world.now < end else { return }
            guard let member = group.members[1 + random.below(count)], member.node.isAlive else { return ask(client) }
            let call = now
            var isDone = false
            if random.chance(0.5) {
                let done = { [self] (answer: Int?) in
                    if isDone { return }
                    isDone = true
                    operations.append(.init(client: client, .add(answer), call: call, end: answer == nil ? .max : now))
                    ask(client)
                }
                member.member.propose([0]) { result in
                    if case .failure(.notAccepted) = result, !isDone {
                        isDone = true
                        return self.ask(client)
                    }
                    done(Int(result.text))
                }
                // Its member may die, and say nothing.
                group.world.after(.milliseconds(2500)) { done(nil) }
            } else {
                member.member.read { [self] result in
                    guard !isDone else { return }
                    isDone = true
                    if case .success = result {
                        operations.append(
                            .init(client: client, .read(member.counter.value), call: call, end: now))
                    }
                    ask(client)
                }
                group.world.after(.milliseconds(2500)) { [self] in
                    if isDone { return }
                    isDone = true
                    ask(client)
                }
            }
        }
    }

    private func trouble() {
        group.world.after(.milliseconds(100 + random.below(900))) { [self] in
            guard group.world.now - begin < .seconds(8) else { return }
            let id = random.chance(0.4) ? group.leader?.member.settings.id ?? 1 : 1 + random.below(count)
            let node = group[id].node
            let name = "n\(id)"
            switch random.below(9) {
            case 0, 1:
                node.end(.killed)
                restart(id)
            case 2:
                node.end(.poweredOff, powerLoss: .random(seed: random.next()))
                restart(id)
            case 3:
                node.freeze()
                group.world.after(.milliseconds(100 + random.below(900))) { node.thaw() }
            case 4: group.world.inject(.block(partition: true), from: name, both: true, for: .milliseconds(800))
            case 5: group.world.inject(.block(partition: true), from: name, for: .milliseconds(800))
            case 6: group.world.inject(.latency(.milliseconds(30), jitter: .milliseconds(25)), for: .seconds(1))
            case 7: group.world.inject(.disk(.failSync(count: 1)), to: name)
            default: group.world.inject(.disk(.slow(.milliseconds(60))), to: name, for: .seconds(1))
            }
            trouble()
        }
    }

    private func restart(_ id: Int) {
        group.world.after(.milliseconds(200 + random.below(1000))) { [self] in
            if !group[id].node.isAlive { try? group.start(id) }
        }
    }

    private func heal() {
        _ = group.world.faults.removeAll()
        for id in 1...count {
            group[id].node.thaw()
            if group[id].member.failure != nil { group[id].node.end(.killed) }
            if !group[id].node.isAlive { restart(id) }
        }
    }
}

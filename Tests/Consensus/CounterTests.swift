import ConsensusService
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// The smallest state that can be replicated.
final class Counter: ReplicatedStateMachine {
    private(set) var value = 0
    func apply(_ index: Int, _ command: [UInt8]) -> [UInt8] {
        value += command.count
        return Array("\(value)".utf8)
    }
    func snapshot() -> [UInt8] { Array("\(value)".utf8) }
    func restore(_ snapshot: [UInt8]) throws { value = Int(String(decoding: snapshot, as: UTF8.self)) ?? 0 }
}

@Suite("A replicated counter")
struct CounterTests {
    @Test("one member alone is a group")
    func alone() throws {
        let world = memoryWorld()
        let counter = Counter()
        let settings = ConsensusMember.Settings(
            id: 1, peers: [1: HostPort(host: "a", port: 7001)], directory: "/var/lib/counter")
        let member = ConsensusMember(node: world.node("a"), settings: settings, machine: counter)
        try member.open()
        member.start()
        var answers: [String] = []
        for command in [[1], [1, 2], [7]] as [[UInt8]] {
            member.propose(command) { answers.append(String(decoding: try! $0.get().bytes, as: UTF8.self)) }
        }
        world.pass(.seconds(2))
        #expect(answers == ["1", "3", "4"])
    }
}

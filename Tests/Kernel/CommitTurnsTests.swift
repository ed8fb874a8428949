import KernelHosting
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// Replies that wait for a commit, and those that need not.
@Suite struct CommitTurnsTests {
    private final class Client: TurnConnection {
        let name: String
        var needsNoCommit = false
        var sealed: [String] = []
        var waiting: [String] = []
        let sent: (String) -> Void

        init(_ name: String, _ sent: @escaping (String) -> Void) {
            self.name = name
            self.sent = sent
        }

        func seal() { (sealed, waiting) = (sealed + waiting, []) }
        func sendSealed(_ failure: String?) {
            for one in sealed { sent("\(name) \(one)") }
            sealed = []
        }
    }

    private final class Bench {
        let world = memoryWorld()
        var sent: [String] = []
        var commits: [() -> Void] = []
        var quiet = 0
        private(set) var turns: CommitTurns<Client>!

        init() {
            turns = CommitTurns(node: world.node("db")) { [unowned self] done in commits.append { done(nil) } }
            turns.onQuiet = { [unowned self] in quiet += 1 }
        }

        func client(_ name: String) -> Client { Client(name) { [unowned self] in sent.append($0) } }

        func say(_ text: String, _ client: Client) {
            client.waiting.append(text)
            turns.note(client)
        }

        func finishCommit() {
            commits.removeFirst()()
            world.pass(.zero)
        }
    }

    @Test("replies wait for their turn's commit, and what comes meanwhile for the next")
    func group() {
        let bench = Bench()
        let (a, b) = (bench.client("a"), bench.client("b"))
        bench.say("1", a)
        bench.say("1", b)
        bench.world.pass(.zero)
        #expect(bench.sent.isEmpty && bench.commits.count == 1)
        bench.say("2", a)
        bench.world.pass(.zero)
        #expect(bench.commits.count == 1, "one at a time")
        bench.finishCommit()
        #expect(bench.sent == ["a 1", "b 1"] && bench.commits.count == 1)
        bench.finishCommit()
        #expect(bench.sent == ["a 1", "b 1", "a 2"] && bench.commits.isEmpty && bench.turns.isQuiet)
        #expect(bench.quiet == 1)
    }

    @Test("whoever needs no commit leaves at the end of the turn, even while one is under way")
    func needsNone() {
        let bench = Bench()
        let (a, b) = (bench.client("a"), bench.client("b"))
        bench.say("commit", a)
        bench.world.pass(.zero)
        b.needsNoCommit = true
        bench.say("read", b)
        #expect(bench.sent.isEmpty, "not before the turn is over")
        bench.world.pass(.zero)
        #expect(bench.sent == ["b read"] && bench.commits.count == 1)
        bench.finishCommit()
        #expect(bench.sent == ["b read", "a commit"] && bench.commits.isEmpty)
        bench.say("again", b)
        bench.world.pass(.zero)
        #expect(bench.sent.last == "b again" && bench.commits.isEmpty, "alone it begins no commit")
        #expect(bench.turns.isQuiet)
    }

    @Test("work that is noted while a commit is under way has a commit of its own")
    func work() {
        let bench = Bench()
        bench.turns.noteWork()
        bench.world.pass(.zero)
        #expect(bench.commits.count == 1)
        bench.turns.noteWork()
        bench.world.pass(.zero)
        #expect(bench.commits.count == 1)
        bench.finishCommit()
        #expect(bench.commits.count == 1, "nobody else has to come for it")
        bench.finishCommit()
        #expect(bench.commits.isEmpty && bench.turns.isQuiet)
    }
}

import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("The journal")
struct JournalTests {
    @Test("keeps the newest events and counts them all")
    func bounded() {
        let world = memoryWorld { $0.journalCapacity = 10 }
        let node = world.node("a")
        for number in 1...25 { node.log("T", "line \(number)") }
        let kept = (0..<world.journal.events.count).map { world.journal.events[$0] }
        #expect(kept.count == 10 && world.journal.count == 26)
        #expect(kept.map(\.number) == Array(17...26))
        #expect(kept.last?.description == "#26 2023-12-20T15:00:00Z a [T] line 25")
    }

    @Test("keeps nothing with no capacity, and still tells its observer")
    func silent() {
        let world = memoryWorld { $0.journalCapacity = 0 }
        var heard = 0
        world.journal.observer = { _ in heard += 1 }
        world.node("a").log("T", "x")
        #expect(world.journal.events.isEmpty && heard == 2)
    }

    @Test("links what a message caused to the message, over the wire and through timers")
    func causes() throws {
        let pair = try Pair()
        pair.server.onReceived = { recorder in
            pair.b.after(.seconds(1)) { pair.b.log("T", "answering") }
        }
        pair.client.stream.write("hello")
        pair.world.pass(.seconds(2))
        let events = (0..<pair.world.journal.events.count).map { pair.world.journal.events[$0] }
        let answer = try #require(events.last)
        guard case .log = answer.body else {
            Issue.record("\(answer)")
            return
        }
        let cause = try #require(events.first { $0.number == answer.cause })
        guard case .message(_, let from, let to, let byteCount) = cause.body else {
            Issue.record("\(cause)")
            return
        }
        #expect(from == "a" && to == "b" && byteCount == 5)
        #expect(events.allSatisfy { $0.cause < $0.number })
    }

    @Test("causes cross a link that faults hold up")
    func causesThroughFaults() throws {
        let pair = try Pair()
        pair.world.inject(.latency(.seconds(1), jitter: .zero), from: "a")
        pair.server.onReceived = { _ in pair.b.log("T", "heard") }
        pair.client.stream.write("hello")
        let sent = pair.world.journal.count
        pair.world.pass(.seconds(2))
        let events = (0..<pair.world.journal.events.count).map { pair.world.journal.events[$0] }
        let heard = try #require(events.last { if case .log = $0.body { true } else { false } })
        #expect(heard.cause == sent)
    }

    @Test("records no traffic when nobody wants it")
    func noTraffic() throws {
        let pair = try Pair(memoryWorld { $0.recordsTraffic = false })
        let before = pair.world.journal.count
        pair.client.stream.write("hello")
        pair.client.stream.close()
        pair.world.pass(.seconds(5))
        #expect(pair.world.journal.count == before)
        #expect(pair.server.text == "hello")
    }
}

import KernelStorage
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("The table of faults")
struct FaultTableTests {
    private func changes(_ world: World) -> [String] {
        (0..<world.journal.events.count).compactMap {
            guard case .fault(let number, let change, _) = world.journal.events[$0].body else { return nil }
            return "\(number) \(change.rawValue) @\(world.journal.events[$0].time - world.epoch)"
        }
    }

    @Test("a fault with a duration ends at exactly that moment, whoever is dead by then")
    func durations() throws {
        let pair = try Pair()
        let start = pair.world.elapsed
        pair.a.enqueue { pair.world.inject(.block(partition: true), from: "a", both: true, for: .seconds(30)) }
        pair.world.drain()
        pair.client.stream.write("waiting")
        pair.world.pass(.seconds(10))
        pair.a.end(.killed)
        pair.world.pass(.milliseconds(19_999))
        #expect(pair.world.faults.rules.count == 1 && pair.server.text == "")
        pair.world.pass(.milliseconds(1))
        #expect(pair.world.faults.isEmpty)
        #expect(changes(pair.world) == ["1 injected @\(start)", "1 expired @\(start + .seconds(30))"])
        pair.world.pass(.milliseconds(1))
        #expect(pair.server.text == "waiting", "it had been handed to the network before its sender died")
    }

    @Test("rules are numbered, end one by one or together, and never twice")
    func numbers() {
        let world = memoryWorld()
        _ = world.node("a")
        let first = world.inject(.refuse)
        let second = world.inject(.block(partition: true), for: .seconds(5))
        #expect(first == 1 && second == 2)
        #expect(world.faults.remove(1) && !world.faults.remove(1) && !world.faults.remove(99))
        #expect(world.faults.removeAll() == 1)
        world.pass(.seconds(10))
        #expect(changes(world).count == 4, "the timer of a rule that is gone says nothing")
        #expect(world.timerCount == 0)
        #expect(world.inject(.refuse) == 3)
    }

    @Test("there is a limit to rules")
    func limit() {
        let world = memoryWorld()
        let link = LinkSelector(from: .any, to: .any, isBothWays: true, text: "")
        for _ in 0..<FaultTable.limit { #expect(world.faults.inject(.refuse, on: link, for: nil, text: "x") != nil) }
        #expect(world.faults.inject(.refuse, on: link, for: nil, text: "x") == nil)
    }

    @Test("disk troubles reach the disks of the nodes named, of those that start later too, and go with the rule")
    func disks() throws {
        let world = memoryWorld()
        let a = world.node("a")
        let full = world.inject(.disk(.full), to: "b")
        let slow = world.inject(.disk(.slow(.milliseconds(3))))
        world.inject(.disk(.slow(.milliseconds(4))), to: "a")
        let b = world.node("b")
        #expect(!a.disk.faults.isFull && b.disk.faults.isFull)
        #expect(a.disk.faults.delay == .milliseconds(7) && b.disk.faults.delay == .milliseconds(3))
        world.faults.remove(full)
        world.faults.remove(slow)
        #expect(!b.disk.faults.isFull && b.disk.faults.delay == .zero && a.disk.faults.delay == .milliseconds(4))
        let failing = world.inject(.disk(.failSync(count: 2)), to: "a")
        world.inject(.disk(.tornWrite(count: 1)), to: "a")
        #expect(
            a.disk.faults.failingSyncs.total == 2 && a.disk.faults.tornWrites.total == 1
                && b.disk.faults.failingSyncs.total == 0)
        world.faults.remove(failing)
        #expect(a.disk.faults.failingSyncs.total == 0 && a.disk.faults.tornWrites.total == 1)
    }

    @Test("rules that count down do so each by itself: on each disk, on those of later nodes, and until it is gone")
    func counts() throws {
        let world = memoryWorld()
        let a = world.node("a")
        /// How many of ten syncs fail.
        func failures(_ node: Node) throws -> Int {
            let file = try node.disk.open("/f-\(node.name)", [.write, .create])
            return (0..<10).count { _ in (try? file.sync()) == nil }
        }
        let first = world.inject(.disk(.failSync(count: 2)))
        let second = world.inject(.disk(.failSync(count: 3)), to: "a")
        #expect(a.disk.faults.failingSyncs.total == 5)
        world.faults.remove(first)
        #expect(try failures(a) == 3, "the second rule's three are left")
        let third = world.inject(.disk(.failSync(count: 1)), to: "a")
        world.faults.remove(second)
        #expect(try failures(a) == 1)
        world.inject(.disk(.tornWrite(count: 1)), to: "b")
        #expect(try failures(a) == 0, "what is used up does not come back with another rule")
        world.faults.remove(third)
        world.inject(.disk(.failSync(count: 4)))
        let b = world.node("b")
        #expect(try failures(b) == 4 && b.disk.faults.tornWrites.total == 1)
        b.end(.killed)
        b.start()
        #expect(try failures(b) == 0, "the same machine, and the same disk")
        #expect(try failures(a) == 4)
    }

    @Test("conditions of several rules combine")
    func combined() throws {
        let pair = try Pair()
        pair.world.inject(.throttle(bytesPerSecond: 100_000), from: "a")
        pair.world.inject(.throttle(bytesPerSecond: 10_000), from: "a")
        pair.world.inject(.latency(.seconds(1), jitter: .zero), from: "a")
        let start = pair.world.now
        pair.client.stream.write([UInt8](repeating: 0, count: 20_000))
        pair.world.pass(.seconds(10))
        #expect(abs((pair.server.times.last! - start).seconds - 3) < 0.001, "the slower throttle, then the delay")
    }

    @Test("two rules that lose half of everything leave a quarter, and not nothing")
    func combinedLoss() throws {
        let pair = try Pair()
        let before = pair.server.times.count
        for _ in 0..<2 { pair.world.inject(.loss(0.5), from: "a") }
        pair.client.stream.write([1])
        pair.world.pass(.seconds(900))
        #expect(pair.server.times.count == before + 1, "what is lost is sent again")
    }

    @Test("a new rule acts on connections that are open, and on what waits in them")
    func atOnce() throws {
        let pair = try Pair()
        let slow = pair.world.inject(.latency(.seconds(10), jitter: .zero), from: "a")
        pair.client.stream.write("first")
        pair.world.pass(.seconds(1))
        pair.world.inject(.block(partition: false), from: "a", for: .seconds(60))
        pair.world.pass(.seconds(20))
        #expect(pair.server.text == "", "a block stops what was already on its way")
        pair.world.faults.remove(slow)
        pair.world.pass(.seconds(39))
        #expect(pair.server.text == "")
        pair.world.pass(.seconds(2))
        #expect(pair.server.text == "first")
    }

    @Test(
        "faults come and go on connections that keep their bytes, whatever the order",
        arguments: 1...40 as ClosedRange<UInt64>)
    func storm(_ seed: UInt64) throws {
        let pair = try Pair(memoryWorld(seed: seed))
        var random = SeededRandom(seed: seed)
        var sent: [[UInt8]] = [[], []]
        var active: [Int] = []
        for _ in 0..<120 {
            switch random.below(6) {
            case 0:
                let kinds: [FaultKind] = [
                    .latency(.milliseconds(random.below(500)), jitter: .milliseconds(random.below(100))), .loss(0.2),
                    .throttle(bytesPerSecond: 20_000 + random.below(100_000)), .block(partition: true),
                ]
                active.append(
                    pair.world.inject(
                        kinds[random.below(4)], from: random.chance(0.5) ? "a" : "b", both: random.chance(0.3),
                        for: .milliseconds(random.below(3000) + 1)))
            case 1: if !active.isEmpty { pair.world.faults.remove(active[random.below(active.count)]) }
            case 2: (random.chance(0.5) ? pair.a : pair.b).freeze()
            case 3:
                pair.a.thaw()
                pair.b.thaw()
            default:
                let side = random.below(2)
                let bytes = randomBytes(random.below(20_000), seed: random.next())
                sent[side] += bytes
                (side == 0 ? pair.client : pair.server).stream.write(bytes)
            }
            pair.world.pass(.milliseconds(random.below(200)))
        }
        pair.a.thaw()
        pair.b.thaw()
        _ = pair.world.faults.removeAll()
        pair.client.stream.finish()
        pair.server.stream.finish()
        pair.world.pass(.seconds(1))
        #expect(pair.server.bytes == sent[0] && pair.client.bytes == sent[1])
        #expect(pair.client.lastEvent == "closed finished" && pair.server.lastEvent == "closed finished")
        #expect(pair.world.network.openStreamCount == 0)
    }
}

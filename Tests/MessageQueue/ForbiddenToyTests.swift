import KernelAMQP
import KernelStorage
import KernelStructures
import KernelWorld
import MessageLogEngine
import TestSupport
import Testing

@testable import MessageQueueEngine
@testable import MessageQueueService

/// What toy brokers get wrong, each shut out by name.
@Suite("Toy message brokers") struct ForbiddenToyTests {
    private static var persistent: AMQPProperties { BrokerPublishingTests.persistent }

    private static func durableQueue(_ arguments: AMQPTable = [:]) -> AMQPMethod {
        .queueDeclare(
            queue: "q", passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false,
            arguments: arguments)
    }

    /// Power goes behind each step in turn, and whatever the disk was not told to sync is gone, or any part of it.
    ///
    /// - Parameter work: what is done before that, some milliseconds long.
    private func powerLosses(
        _ milliseconds: ClosedRange<Int>, _ work: (ToyLab) throws -> Void, _ judge: (ToyLab, String) throws -> Void
    ) throws {
        for end in milliseconds {
            for policy in [PowerLossPolicy.dropAll, .random(seed: UInt64(end))] {
                let lab = try ToyLab()
                try work(lab)
                lab.world.pass(.microseconds(end * 1000 / 16))
                try lab.restart(policy)
                try judge(lab, "power lost after \(end)/16 ms, \(policy)")
            }
        }
    }

    @Test("confirm before the sync: power goes at any moment, and what was confirmed is there, once and in order")
    func confirmedTooEarly() throws {
        var confirmedCounts: Set<Int> = []
        try powerLosses(0...40) { lab in
            lab.ask(Self.durableQueue(), .confirmSelect(noWait: false))
            for number in 0..<20 { lab.publish("\(number)") }
        } _: { lab, place in
            let found = lab.waiting
            confirmedCounts.insert(lab.confirmed.count)
            #expect(found == Array(0..<found.count).map(String.init), "\(place): \(found)")
            #expect(lab.confirmed.isSubset(of: found), "\(place): confirmed and lost")
        }
        #expect(confirmedCounts.contains(0) && confirmedCounts.contains(20), "\(confirmedCounts): no moment between")
    }

    @Test("confirm although the sync failed: nothing is confirmed any more, and the broker ends")
    func confirmedInSpiteOfTheDisk() throws {
        let lab = try ToyLab()
        lab.ask(Self.durableQueue(), .confirmSelect(noWait: false))
        lab.publish("kept")
        lab.world.pass(.milliseconds(100))
        #expect(lab.confirmed == ["kept"])
        var hasFailed = false
        lab.host.runtime.onFailure = { hasFailed = true }
        lab.host.node.disk.faults.failingSyncs = 1
        for number in 0..<5 { lab.publish("\(number)") }
        lab.world.pass(.seconds(2))
        #expect(lab.confirmed == ["kept"] && hasFailed)
        try lab.restart(.dropAll)
        #expect(lab.waiting.first == "kept")
    }

    @Test("ack removes before the log has it: after power loss what was answered stays gone, and nothing else is lost")
    func acknowledgedTooEarly() throws {
        var outcomes: Set<Int> = []
        try powerLosses(0...24) { lab in
            lab.ask(Self.durableQueue(), .confirmSelect(noWait: false))
            for number in 0..<6 { lab.publish("\(number)") }
            lab.world.pass(.milliseconds(100))
            lab.ask(.basicGet(queue: "q", noAck: false), .basicGet(queue: "q", noAck: false))
            lab.world.pass(.milliseconds(20))
            lab.client.send(.basicAck(deliveryTag: 1, multiple: false), on: 1)
            // Its answer comes behind the acknowledgement, and when that is on the disk.
            lab.client.ask(.queueDelete(queue: "none", ifUnused: false, ifEmpty: false, noWait: false), on: 1) {
                result in
                if case .success = result { lab.isSettled = true }
            }
        } _: { lab, place in
            let found = lab.waiting
            #expect(found == ["1", "2", "3", "4", "5"] || !lab.isSettled && found.count == 6, "\(place): \(found)")
            outcomes.insert(found.count)
        }
        #expect(outcomes == [5, 6], "\(outcomes): no moment between")
    }

    @Test("given back to the end of the queue: it comes first again, and several in their old order")
    func givenBackToTheEnd() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        for number in 1...6 { client.publish("\(number)", to: "q") }
        for _ in 1...4 { client.get("q") }
        _ = client.take()
        client.nack(3)
        client.nack(1)
        client.ack(2)
        client.connection.lost(now: bench.now)
        let other = bench.client()
        other.consume("q", noAck: true)
        let again = other.deliveries()
        #expect(again.map(\.text) == ["1", "3", "4", "5", "6"])
        #expect(again.map(\.redelivered) == [true, true, true, false, false])
    }

    @Test("a TTL that only a consumer notices: messages die at their time with nobody there, and memory is given back")
    func expiryOnlyWhenConsumed() {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("dead")
        client.declare(
            "q", ["x-message-ttl": .int32(5000), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"])
        client.declare("short", ["x-message-ttl": .int32(100)])
        for number in 0..<10 {
            client.publish("\(number)", to: "q")
            client.publish("gone", to: "short")
            bench.advance(.milliseconds(500))
        }
        #expect(bench.queue("q")?.readyCount == 9, "the first one's time is over at this very moment")
        bench.advance(.seconds(5))
        #expect(bench.queue("q")?.readyCount == 0 && bench.queue("short")?.readyCount == 0)
        #expect(bench.queue("dead")?.readyCount == 10)
        client.consume("dead", noAck: true)
        #expect(client.texts() == (0..<10).map(String.init))
        #expect(bench.broker.memoryBytes == 0)
    }

    @Test("prefetch that is not kept: nobody has more than it asked for, and each ack brings one", arguments: 1...5)
    func prefetchIgnored(limit: Int) {
        let bench = BrokerBench()
        let client = bench.client()
        client.declare("q")
        client.send(.basicQos(prefetchSize: 0, prefetchCount: UInt16(limit), global: false))
        client.consume("q")
        for number in 0..<20 { client.publish("\(number)", to: "q") }
        var held = client.deliveries()
        #expect(held.map(\.text) == (0..<limit).map(String.init))
        var count = held.count
        while let first = held.first {
            client.ack(first.tag)
            held.removeFirst()
            let more = client.deliveries()
            #expect(more.count == (count < 20 ? 1 : 0))
            held += more
            count += more.count
        }
        #expect(count == 20)
    }

    @Test("multiple that takes the wrong ones: all up to the number, of this channel, and none beyond")
    func wrongOnesOfMultiple() {
        let bench = BrokerBench()
        let client = bench.client()
        client.send(.channelOpen, on: 2)
        client.declare("q")
        for number in 1...8 { client.publish("\(number)", to: "q") }
        for _ in 1...3 { client.get("q") }
        client.send(.basicGet(queue: "q", noAck: false), on: 2)
        for _ in 5...6 { client.get("q") }
        _ = client.take()
        client.ack(2)
        // 1 and 3 of this channel; the other channel's first one, and those with higher numbers, stay.
        client.ack(3, multiple: true)
        #expect(bench.queue("q")?.unackedCount == 3)
        client.nack(5, multiple: true)
        #expect(bench.queue("q")?.unackedCount == 1)
        client.send(.channelClose(replyCode: 200, replyText: "", classID: 0, methodID: 0), on: 2)
        _ = client.take()
        client.consume("q", noAck: true)
        #expect(client.texts() == ["4", "5", "6", "7", "8"])
        client.ack(3, multiple: true)
        #expect(client.closeText() == "406 PRECONDITION_FAILED - unknown delivery tag 3")
    }

    @Test("dead letters that go round for ever: a circle of expiring queues ends, of any length", arguments: 1...4)
    func endlessCircle(length: Int) {
        let bench = BrokerBench()
        let client = bench.client()
        for number in 0..<length {
            client.declare(
                "q\(number)",
                [
                    "x-message-ttl": .int32(10), "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": .string("q\((number + 1) % length)"),
                ])
        }
        client.publish("round", to: "q0")
        bench.advance(.seconds(3600))
        #expect(bench.broker.counters.deadLettered == length)
        #expect((0..<length).allSatisfy { bench.queue("q\($0)")?.readyCount == 0 })
        #expect(bench.broker.memoryBytes == 0 && bench.broker.violations() == [])
    }

    @Test("a slow consumer that holds up its connection: heartbeats, acks and publishers go on, and memory stays flat")
    func slowConsumer() {
        let bench = BrokerBench()
        let slow = bench.client(heartbeatSeconds: 2)
        let publisher = bench.client()
        publisher.declare("q")
        publisher.declare("other")
        publisher.send(.confirmSelect(noWait: false))
        slow.consume("q")
        _ = (publisher.take(), slow.take())
        publisher.publish("first", to: "q")
        // Its buffers are full: it reads nothing any more, and what it says still comes.
        slow.connection.set(congested: true, now: bench.now)
        let text = String(repeating: "x", count: 10_000)
        var heartbeat = AMQPWriter()
        heartbeat.appendHeartbeat()
        for round in 1...40 {
            for _ in 0..<20 { publisher.publish(text, to: "q") }
            bench.sync()
            #expect(publisher.answers().contains { if case .basicAck = $0 { true } else { false } })
            slow.send(raw: heartbeat.bytes)
            slow.publish("own", to: "other")
            bench.advance(.milliseconds(900))
            #expect(bench.queue("other")?.readyCount == round && slow.connection.phase == .running, "round \(round)")
        }
        slow.ack(1)
        #expect(bench.queue("q")?.counters.acknowledged == 1)
        #expect(bench.queue("q")?.readyCount ?? 0 >= 770 && bench.queue("q")?.unackedBytes ?? .max < 1 << 19)
        slow.connection.set(congested: false, now: bench.now)
        #expect(slow.texts().count > 20, "and goes on when it reads")
    }

    @Test("compaction that loses the unacknowledged: one that is held for ever is there after it, and the log is short")
    func compactionLoses() throws {
        let bench = try LogBench()
        let held: Set<UInt64> = [1, 700, 1500]
        for number in 1...3000 as ClosedRange<UInt64> {
            bench.log.append(LogBench.message(number), queue: 1, sequence: number, isDurable: true)
            if held.contains(number) { bench.log.delivered(queue: 1, sequence: number, count: 1) }
            if number > 20, !held.contains(number - 20) { bench.log.settle(queue: 1, sequence: number - 20) }
            while bench.log.maintain(budgetBytes: 1000) {}
            try bench.log.commit()
            #expect(bench.log.sizeBytes <= 2 * bench.log.liveBytes + 4 * LogBench.segmentBytes, "message \(number)")
        }
        #expect(bench.log.counters.movedMessages > 0 && bench.log.counters.removedSegments > 50)
        for power in [false, true] {
            if power { _ = bench.base.losePower(owner: LogBench.owner, policy: .dropAll) }
            try bench.reopen()
            let left = try bench.log.load(queue: 1, after: 0, count: 100, bytes: 1 << 20)
            #expect(left.map(\.sequence) == held.sorted() + (2981...3000))
            #expect(left.map(\.message) == left.map { LogBench.message($0.sequence) })
            #expect(left.prefix(3).map(\.deliveryCount) == [1, 1, 1])
        }
    }
}

/// A broker with its log on a simulated disk, and a client, in a world in memory.
final class ToyLab {
    let world = memoryWorld()
    private(set) var host: MessageQueueHost
    private(set) var client: AMQPClient
    private(set) var confirmed: Set<String> = []
    var isSettled = false

    init() throws {
        var settings = MessageQueueHost.Settings()
        settings.directory = "/mq"
        settings.directoryText = "/mq"
        host = MessageQueueHost(node: world.node("mq"), port: 5672, settings: settings)
        client = AMQPClient(world.node("client"), Self.url)
        try host.start()
        client = try connect("client")
    }

    deinit { world.shutDown() }

    private static var url: AMQPURL {
        var url = AMQPURL()
        url.host = "mq"
        url.port = 5672
        return url
    }

    func connect(_ name: String) throws -> AMQPClient {
        let client = AMQPClient(world.node(name), Self.url)
        try client.connect()
        client.openChannel(1)
        world.pass(.milliseconds(20))
        return client
    }

    /// Asks, and waits for the answers.
    func ask(_ methods: AMQPMethod...) {
        for method in methods { client.ask(method, on: 1) { _ in } }
        world.pass(.milliseconds(50))
    }

    func publish(_ text: String) {
        client.publish(Array(text.utf8), BrokerPublishingTests.persistent, routingKey: "q", on: 1) {
            [unowned self] result in
            if case .success(true) = result { confirmed.insert(text) }
        }
    }

    /// The same directory after the power has gone.
    func restart(_ policy: PowerLossPolicy) throws {
        if host.node.isAlive { host.node.end(.poweredOff, powerLoss: policy) }
        var settings = MessageQueueHost.Settings()
        settings.directory = "/mq"
        settings.directoryText = "/mq"
        host = MessageQueueHost(node: try world.nodes.start("mq"), port: 5672, settings: settings)
        try host.start()
        world.pass(.milliseconds(5))
    }

    /// What is in the queue, in its order; nothing where there is no queue.
    var waiting: [String] {
        guard let queue = host.broker.virtualHosts["/"]?.queues["q"] else { return [] }
        return host.broker.peek(queue, limit: 1000).map { String(decoding: $0.message.body, as: UTF8.self) }
    }
}

/// A log with small segments, whose disk can lose its power.
private final class LogBench {
    let base = SimulatedDisk()
    let disk: NodeDisk
    var log: MessageLog
    static let owner = DiskOwner(1)
    static let segmentBytes = 3000

    private static var options: MessageLogOptions {
        var options = MessageLogOptions()
        options.segmentBytes = segmentBytes
        options.segmentMessages = 40
        options.batchBytes = 400
        options.garbageSegments = 1
        return options
    }

    init() throws {
        disk = NodeDisk(base: base, owner: Self.owner)
        log = try MessageLog.open(disk, directory: "/mq", options: Self.options, now: .documentedEpoch)
    }

    func reopen() throws {
        log = try MessageLog.open(disk, directory: "/mq", options: Self.options, now: .documentedEpoch)
    }

    static func message(_ id: UInt64) -> LoggedMessage {
        LoggedMessage(
            id: id, time: LabTime(nanoseconds: Int64(id) * 1000), head: [1, 2],
            body: (0..<30).map { UInt8(($0 + Int(id)) & 0xFF) })
    }
}

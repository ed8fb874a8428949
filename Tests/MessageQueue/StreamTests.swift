import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

@Suite("Streams")
struct StreamTests {
    private static let now = LabTime.documentedEpoch

    private func log(_ limits: StreamLimits = StreamLimits(), messages: Int, bytes: Int = 100) -> StreamLog {
        var log = StreamLog(limits)
        for number in 0..<messages { _ = log.append(bytes: bytes, now: Self.now + .seconds(number)) }
        return log
    }

    // MARK: Alone

    @Test("offsets begin with 0 and never change; a reader can begin at each, at times, and at either end")
    func starts() {
        let log = log(messages: 2500)
        #expect(log.chunks.map(\.firstOffset) == [0, 1000, 2000] && log.nextOffset == 2500)
        let later = Self.now + .seconds(2499)
        #expect(log.start(of: .first, now: later) == 0)
        #expect(log.start(of: .last, now: later) == 2000, "the last chunk")
        #expect(log.start(of: .next, now: later) == 2500)
        #expect(log.start(of: .offset(1234), now: later) == 1234)
        #expect(log.start(of: .time(Self.now + .seconds(1500)), now: later) == 1000, "the chunk that has it")
        #expect(log.start(of: .time(Self.now + .seconds(9999)), now: later) == 2500)
        #expect(log.start(of: .age(.seconds(10)), now: later) == 2000)
    }

    @Test("what is too much goes by chunks, the oldest first, and the newest stays")
    func size() {
        var log = log(StreamLimits(maximumBytes: 8000), messages: 100)
        #expect(log.chunks.count == 10 && log.bytes == 10_000)
        #expect(log.expire(now: Self.now).map(\.firstOffset) == [0, 10] && log.firstOffset == 20 && log.count == 80)
        #expect(log.start(of: .offset(3), now: Self.now) == 20, "a place that is gone is the first that is left")
        var small = StreamLog(StreamLimits(maximumBytes: 10))
        _ = small.append(bytes: 500, now: Self.now)
        #expect(small.expire(now: Self.now).isEmpty && small.count == 1)
    }

    @Test("what is too old goes at its time, and the next number stays")
    func age() {
        var log = log(StreamLimits(maximumAge: .seconds(80)), messages: 100)
        let next = log.nextExpiry
        #expect(next != nil && log.expire(now: (next ?? Self.now) - LabDuration(nanoseconds: 1)).isEmpty)
        #expect(log.expire(now: next ?? Self.now).count == 1 && log.firstOffset == 11)
        _ = log.expire(now: Self.now + .seconds(1000))
        #expect(log.count == 0 && log.nextOffset == 100 && log.firstOffset == 100 && log.bytes == 0)
    }

    @Test("after a restart it is as it was, from its complete chunks and the messages behind them")
    func restore() {
        var before = StreamLog(StreamLimits())
        var sealed: [StreamChunk] = []
        for number in 0..<2345 {
            if let chunk = before.append(bytes: number, now: Self.now + .seconds(number)).sealed {
                sealed.append(chunk)
            }
        }
        var after = StreamLog(StreamLimits())
        after.restore(sealed.reversed(), lastOffset: nil)
        for number in 2000..<2345 {
            _ = after.restore(offset: UInt64(number), bytes: number, time: Self.now + .seconds(number))
        }
        #expect(after == before)
    }

    @Test(
        "ages as RabbitMQ writes them; nothing else is one",
        arguments: [
            ("7D", 604_800), ("1h", 3600), ("2m", 120), ("90s", 90), ("1Y", 31_536_000), ("0s", 0),
        ])
    func ages(text: String, seconds: Int) {
        #expect(StreamLimits.age(text) == .seconds(seconds))
        for wrong in ["", "7", "D", "-1s", "+1s", "1w", "9999999999999999999s", "101Y", "1.5h"] {
            #expect(StreamLimits.age(wrong) == nil, "\(wrong)")
        }
    }

    @Test("any value of x-stream-offset is a place or refused", arguments: 0..<300)
    func offsets(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let values: [AMQPValue] = [
            .int64(Int64(bitPattern: random.next())), .timestamp(random.next()), .string("first"), .void,
            .string((0..<random.below(5)).map { _ in UInt8(random.below(256)) }), .uint32(7), .double(1),
        ]
        let log = log(messages: 20)
        for value in values {
            guard let wish = StreamOffset(value) else { continue }
            #expect(log.start(of: wish, now: Self.now) >= log.firstOffset)
        }
        #expect(StreamOffset(.int64(-1)) == nil && StreamOffset(.string("3h")) == .age(.seconds(10_800)))
    }

    @Test("a bookmark is where everything before is acknowledged, in whatever order that comes", arguments: 0..<60)
    func bookmark(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let bench = BrokerBench()
        let message = BrokerMessage(
            StoredMessage(
                id: 1, exchange: "", routingKey: "", properties: [0, 0], body: [], publishedAt: Self.now),
            memory: bench.broker.memory)
        var reader = StreamReader(at: 10)
        reader.readAhead(
            (11...60 as ClosedRange<UInt64>).map {
                QueueEntry(sequence: $0, message: message, expiresAt: .distantFuture, isStored: false)
            })
        var out: Set<UInt64> = []
        var next: UInt64 = 10
        for _ in 0..<200 {
            if random.below(2) == 0, let entry = reader.take() {
                #expect(entry.offset == next)
                out.insert(entry.offset)
                next += 1
            } else if let one = out.sorted().dropFirst(random.below(max(1, out.count))).first {
                let before = reader.acknowledgedOffset
                out.remove(one)
                let moved = reader.acknowledge(one)
                #expect(reader.acknowledgedOffset == out.min() ?? next && moved == (reader.acknowledgedOffset > before))
            }
        }
    }

    // MARK: In a broker

    private static let arguments: AMQPTable = ["x-queue-type": "stream"]

    private func bench(_ count: Int = 5, _ more: AMQPTable = [:]) -> (BrokerBench, BrokerTestClient) {
        let bench = BrokerBench()
        let client = bench.client()
        var arguments = Self.arguments
        arguments.fields += more.fields
        client.declare("s", durable: true, arguments)
        for number in 0..<count { client.publish("m\(number)", to: "s") }
        bench.sync()
        _ = client.take()
        return (bench, client)
    }

    // @covers MQ-C3
    @Test("everybody reads everything, from where they like, again and again, with the offset in a header")
    func reading() {
        let (bench, client) = bench()
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 10, global: false))
        client.consume("s", tag: "a", ["x-stream-offset": "first"])
        #expect(client.texts() == ["m0", "m1", "m2", "m3", "m4"])
        #expect(client.lastProperties.headers?["x-stream-offset"] == .int64(4))
        client.consume("s", tag: "b", ["x-stream-offset": .int64(3)])
        client.consume("s", tag: "n")
        #expect(client.texts() == ["m3", "m4"])
        client.publish("new", to: "s")
        #expect(client.texts() == ["new", "new", "new"])
        #expect(bench.queue("s")?.readyCount == 6)
    }

    @Test("no more than the prefetch is out, and an acknowledgement brings the next")
    func credit() {
        let (_, client) = bench()
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 2, global: false))
        client.consume("s", ["x-stream-offset": "first"])
        #expect(client.texts() == ["m0", "m1"])
        client.ack(2, multiple: true)
        #expect(client.texts() == ["m2", "m3"])
        client.nack(4, requeue: true)
        #expect(client.texts() == ["m3"], "what is given back is read again")
        client.ack(3)
        #expect(client.texts() == ["m4"])
    }

    @Test("what a stream cannot do is refused")
    func refusals() {
        let (_, client) = bench()
        client.get("s")
        #expect(
            client.closeText()
                == "540 NOT_IMPLEMENTED - basic.get not supported by stream queues queue 's' in vhost '/'")
        for (arguments, durable) in [(["x-message-ttl": .int64(5)], true), ([:], false), (["x-max-age": "5w"], true)]
            as [(AMQPTable, Bool)]
        {
            let other = BrokerBench().client()
            var all = Self.arguments
            all.fields += arguments.fields
            other.declare("t", durable: durable, all)
            #expect(other.closeText()?.hasPrefix("406") == true)
        }
        let (_, reader) = bench()
        reader.consume("s")
        #expect(reader.closeText()?.hasPrefix("406 PRECONDITION_FAILED - consumer prefetch count is not set") == true)
        let (_, lost) = bench()
        lost.send(.basicQos(prefetchSize: 0, prefetchCount: 1, global: false))
        lost.consume("s", ["x-stream-offset": "nowhere"])
        #expect(lost.closeText()?.hasPrefix("406") == true)
        let (_, purger) = bench()
        purger.send(.queuePurge(queue: "s", noWait: false))
        #expect(purger.closeText()?.hasPrefix("540") == true)
    }

    // @covers MQ-H5 MQ-M3
    @Test("a group has one bookmark: whoever goes on for another begins behind what was acknowledged")
    func group() {
        let (bench, client) = bench()
        let other = bench.client()
        for client in [client, other] {
            client.send(.basicQos(prefetchSize: 0, prefetchCount: 2, global: false))
            _ = client.take()
            client.consume("s", ["x-group": "billing"])
        }
        #expect(client.texts() == ["m0", "m1"])
        #expect(other.texts() == [], "one of a group reads at a time")
        client.ack(1)
        #expect(client.texts() == ["m2"])
        client.connection.lost(now: bench.now)
        #expect(other.texts() == ["m1", "m2"], "what was not acknowledged is read again")
        let third = bench.client()
        third.send(.basicQos(prefetchSize: 0, prefetchCount: 9, global: false))
        _ = third.take()
        third.consume("s", ["x-group": "search"])
        #expect(third.texts() == ["m0", "m1", "m2", "m3", "m4"], "another group reads all of it")
    }

    // @covers MQ-C2
    @Test("partitions go round among the members of a group, and order is kept in each")
    func partitions() {
        let bench = BrokerBench()
        let clients = [bench.client(), bench.client()]
        for number in 0...2 { clients[0].declare("orders-\(number)", durable: true, Self.arguments) }
        bench.sync()
        for client in clients {
            client.send(.basicQos(prefetchSize: 0, prefetchCount: 100, global: false))
            for number in 0...2 { client.consume("orders-\(number)", tag: "c\(number)", ["x-group": "g"]) }
            _ = client.take()
        }
        for number in 0..<9 { clients[0].publish("\(number)", to: "orders-\(number % 3)") }
        #expect(clients[0].texts() == ["0", "2", "3", "5", "6", "8"], "partitions 0 and 2")
        #expect(clients[1].texts() == ["1", "4", "7"], "partition 1")
    }

    // @covers MQ-M2
    @Test("messages, chunks and bookmarks outlive a restart, messages that were not persistent as well")
    func restart() {
        let (bench, client) = bench(2100)
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 10, global: false))
        client.consume("s", ["x-group": "g"])
        _ = client.take()
        client.ack(7, multiple: true)
        let again = BrokerBench(store: bench.store)
        again.broker.restore(
            definitions: bench.store.definitions.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
            queues: bench.store.found, now: bench.now)
        #expect(again.queue("s")?.readyCount == 2100)
        #expect(again.queue("s")?.stream?.log.chunks.map(\.firstOffset) == [0, 1000, 2000])
        let reader = again.client()
        reader.send(.basicQos(prefetchSize: 0, prefetchCount: 2, global: false))
        reader.consume("s", ["x-group": "g"])
        #expect(reader.texts() == ["m7", "m8"])
        reader.publish("last", to: "s")
        reader.consume("s", tag: "t", ["x-stream-offset": .int64(2099)])
        #expect(reader.texts() == ["m2099", "last"])
    }

    @Test("a stream stays within its limits, in the store as well, and by itself as time passes")
    func retention() {
        let (bench, client) = bench(1000, ["x-max-length-bytes": .int64(800)])
        #expect((bench.queue("s")?.readyBytes ?? 0) <= 900)
        let number = bench.queue("s")?.number ?? 0
        #expect(bench.store.queues[number]?.count == bench.queue("s")?.readyCount)
        #expect(bench.store.definitions.keys.filter { $0.hasPrefix("chunk/") }.count <= 10)
        client.declare("old", durable: true, ["x-queue-type": "stream", "x-max-age": "60s"])
        client.publish("a", to: "old")
        bench.advance(.seconds(59))
        #expect(bench.queue("old")?.readyCount == 1)
        bench.advance(.seconds(2))
        #expect(bench.queue("old")?.readyCount == 0)
        client.send(.queueDelete(queue: "s", ifUnused: false, ifEmpty: false, noWait: true))
        #expect(bench.store.definitions.keys.filter { $0.hasPrefix("chunk/\(number)/") }.isEmpty)
    }

    @Test("a reader far behind gets its messages from the store, one at the end from memory")
    func farBehind() {
        let (bench, client) = bench(3000)
        client.send(.basicQos(prefetchSize: 0, prefetchCount: 300, global: false))
        let before = bench.store.loadCount
        client.consume("s", tag: "end", ["x-stream-offset": .int64(2900)])
        #expect(client.texts().count == 100 && bench.store.loadCount == before)
        client.consume("s", tag: "old", ["x-stream-offset": "first"])
        #expect(client.texts() == (0..<300).map { "m\($0)" } && bench.store.loadCount > before)
    }
}

import KernelAMQP
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@testable import MessageQueueEngine
@testable import MessageQueueService

@Suite("Replicated queues")
struct QuorumTests {
    @Test(
        "whatever fails, what was confirmed is delivered, in order, and members agree",
        arguments: 1...UInt64(isLong ? 300 : 12))
    func worlds(seed: UInt64) {
        let world = QuorumWorld(seed: seed, memberCount: isLong && seed % 4 == 0 ? 5 : 3)
        #expect(world.play() == [])
    }

    /// A client that asks one thing after the other.
    final class Desk {
        let world: QuorumWorld
        let client: AMQPClient
        var answers: [AMQPMethod] = []
        var failures: [AMQPClientFailure] = []
        var deliveries: [AMQPDelivery] = []
        var confirms: [Bool] = []

        init(_ world: QuorumWorld, _ name: String, at id: Int) throws {
            self.world = world
            client = try #require(world.client(name, at: id))
            client.onDelivery = { [unowned self] in deliveries.append($0) }
            client.onEnd = { [unowned self] in failures.append($0) }
            try client.connect()
            client.openChannel(1)
            client.ask(.confirmSelect(noWait: false), on: 1) { _ in }
            world.world.pass(.milliseconds(50))
        }

        func ask(_ method: AMQPMethod) {
            client.ask(method, on: 1) { [unowned self] result in
                switch result {
                case .success(let answer): answers.append(answer)
                case .failure(let failure): failures.append(failure)
                }
            }
            world.world.pass(.milliseconds(200))
        }

        func publish(_ texts: String..., to queue: String) {
            for text in texts {
                client.publish(Array(text.utf8), AMQPProperties(), routingKey: queue, on: 1) { [unowned self] in
                    if case .success(let isGood) = $0 { confirms.append(isGood) }
                }
            }
            world.world.pass(.milliseconds(200))
        }

        func consume(_ queue: String, prefetch: UInt16 = 10, tag: String = "c") {
            ask(.basicQos(prefetchSize: 0, prefetchCount: prefetch, global: false))
            ask(
                .basicConsume(
                    queue: queue, consumerTag: tag, noLocal: false, noAck: false, exclusive: false, noWait: false,
                    arguments: [:]))
        }

        var texts: [String] { deliveries.map { String(decoding: $0.body, as: UTF8.self) } }
        func ack(_ tag: UInt64) {
            client.send(.basicAck(deliveryTag: tag, multiple: false), on: 1)
            world.world.pass(.milliseconds(100))
        }
    }

    @Test("since when a replicated queue's messages wait is known, of those that were given back, too")
    func waitingSince() throws {
        let world = QuorumWorld(seed: 1)
        let desk = try Desk(world, "a", at: 1)
        desk.ask(QuorumWorld.declaration("q"))
        let queue = try #require(world.hosts[1]?.broker.virtualHosts["/"]?.queues["q"])
        #expect(queue.backlogSince == nil)
        desk.publish("one", to: "q")
        let arrived = try #require(queue.backlogSince)
        desk.consume("q")
        #expect(queue.heldCount == 1 && queue.backlogSince == nil)
        world.world.pass(.seconds(5))
        desk.client.send(.channelClose(replyCode: 200, replyText: "", classID: 0, methodID: 0), on: 1)
        world.world.pass(.milliseconds(300))
        let back = try #require(queue.backlogSince)
        #expect(queue.readyCount == 1 && back - arrived >= .seconds(5))
    }

    @Test("one member's message is another member's delivery")
    func anyMember() throws {
        let world = QuorumWorld(seed: 1)
        let first = try Desk(world, "a", at: 1)
        first.ask(QuorumWorld.declaration("q"))
        first.publish("one", "two", to: "q")
        #expect(first.confirms == [true, true])
        let second = try Desk(world, "b", at: 2)
        second.consume("q")
        #expect(second.texts == ["one", "two"])
        #expect(world.replica("q", at: 3)?.heldCount == 2)
        second.ack(1)
        #expect(world.replica("q", at: 3)?.heldCount == 1 && world.replica("q", at: 1)?.readyCount == 0)
        second.client.close()
        world.world.pass(.milliseconds(200))
        let third = try Desk(world, "c", at: 3)
        third.consume("q")
        #expect(third.texts == ["two"] && third.deliveries.first?.isRedelivered == true)
    }

    @Test("the leader dies: its consumers' messages go to others, and others keep theirs")
    func failover() throws {
        let world = QuorumWorld(seed: 2)
        let leader = try #require(world.leader)
        let others = (1...3).filter { $0 != leader }
        let there = try Desk(world, "there", at: leader)
        there.ask(QuorumWorld.declaration("q"))
        let here = try Desk(world, "here", at: others[0])
        there.consume("q", prefetch: 1)
        here.consume("q", prefetch: 1)
        here.publish("one", "two", "three", to: "q")
        #expect(there.texts == ["one"] && here.texts == ["two"])
        world.end(leader, for: .seconds(60))
        world.world.pass(.seconds(5))
        #expect(world.leader != nil && world.leader != leader)
        here.publish("four", to: "q")
        #expect(here.confirms == [true, true, true, true])
        here.ack(1)
        #expect(here.texts == ["two", "one"])
        #expect(here.deliveries.map(\.isRedelivered) == [false, true])
        here.ack(2)
        here.ack(3)
        here.ack(4)
        #expect(here.texts == ["two", "one", "three", "four"])
        #expect(world.replica("q", at: others[1])?.heldCount == 0)
    }

    @Test("the largest message goes to the others in one piece, and the next one behind it")
    func largest() throws {
        let world = QuorumWorld(seed: 4)
        let desk = try Desk(world, "a", at: 1)
        desk.ask(QuorumWorld.declaration("q"))
        for count in [3_000_000, 5_000_000, 7_000_000] {
            desk.publish(String(repeating: "z", count: count), to: "q")
        }
        desk.publish("after", to: "q")
        world.world.pass(.seconds(3))
        #expect(desk.confirms == [true, true, true, true])
        #expect((1...3).allSatisfy { world.replica("q", at: $0)?.readyCount == 4 })
    }

    @Test("a consumer holds as many as it has asked for")
    func manyHeld() throws {
        let world = QuorumWorld(seed: 5)
        let desk = try Desk(world, "a", at: 1)
        desk.ask(QuorumWorld.declaration("q"))
        for number in 0..<2500 {
            desk.client.publish(Array("\(number)".utf8), AMQPProperties(), routingKey: "q", on: 1) { _ in }
        }
        world.world.pass(.seconds(2))
        desk.consume("q", prefetch: 2300)
        world.world.pass(.seconds(2))
        #expect(desk.deliveries.count == 2300)
    }

    @Test("without a majority nothing is confirmed, and classic queues go on")
    func minority() throws {
        let world = QuorumWorld(seed: 3)
        let desk = try Desk(world, "a", at: 1)
        desk.ask(QuorumWorld.declaration("q"))
        desk.ask(
            .queueDeclare(
                queue: "classic", passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false,
                arguments: [:]))
        for id in [2, 3] { world.end(id, for: .seconds(20)) }
        desk.publish("held", to: "q")
        #expect(desk.confirms.isEmpty)
        desk.publish("taken", to: "classic")
        #expect(desk.confirms == [true], "behind it another waits, and this one need not")
        // Longer than it takes a leader to notice that it is alone.
        world.world.pass(.seconds(5))
        #expect(desk.confirms == [true])
        let other = try Desk(world, "b", at: 1)
        other.ask(QuorumWorld.declaration("new"))
        world.world.pass(.seconds(11))
        guard case .refused(541, _)? = other.failures.first else { return #expect(Bool(false), "\(other.failures)") }
        world.world.pass(.seconds(15))
        #expect(desk.confirms == [true, true])
        #expect(world.replica("q", at: 3)?.readyCount == 1)
    }

    @Test("a message of several megabytes is confirmed as soon as any, and the group goes on", arguments: [5, 7])
    func largeMessages(megabytes: Int) throws {
        let world = QuorumWorld(seed: 11)
        let leader: Int = try #require(world.leader)
        let follower: Int = leader % 3 + 1
        for id in [leader, follower] {
            let desk = try Desk(world, "desk\(id)", at: id)
            desk.ask(QuorumWorld.declaration("q\(id)"))
            desk.publish(String(repeating: "z", count: megabytes << 20 - 1000), to: "q\(id)")
            world.world.pass(.seconds(3))
            #expect(desk.confirms == [true], "at member \(id), the leader was \(leader)")
            desk.publish("small", to: "q\(id)")
            desk.ask(QuorumWorld.declaration("next\(id)"))
            #expect(desk.confirms == [true, true] && desk.answers.count == 2 && desk.failures.isEmpty)
            #expect((1...3).allSatisfy { world.replica("q\(id)", at: $0)?.readyCount == 2 })
        }
    }

    @Test("a consumer holds as many messages as it has asked for")
    func largePrefetch() throws {
        let world = QuorumWorld(seed: 12)
        let desk = try Desk(world, "a", at: 2)
        desk.ask(QuorumWorld.declaration("q"))
        for _ in 0..<3000 {
            desk.client.publish([1], AMQPProperties(), routingKey: "q", on: 1) { _ in }
        }
        world.world.pass(.seconds(2))
        desk.consume("q", prefetch: 2500)
        world.world.pass(.seconds(2))
        #expect(desk.deliveries.count == 2500)
        desk.client.send(.basicAck(deliveryTag: 2500, multiple: true), on: 1)
        world.world.pass(.seconds(1))
        #expect(desk.deliveries.count == 3000)
    }

    /// All of it is in memory: nothing else bounds it.
    @Test("publishers wait at every member while what waits in the group fills the memory, and go on when it has gone")
    func memory() throws {
        let world = QuorumWorld(seed: 9, memoryLimitBytes: 200_000)
        let desk = try Desk(world, "a", at: 1)
        desk.ask(QuorumWorld.declaration("q"))
        let publishers = try (1...3).map { try Desk(world, "p\($0)", at: $0) }
        for _ in 0..<60 {
            for publisher in publishers { publisher.publish(String(repeating: "x", count: 5000), to: "q") }
        }
        world.world.pass(.seconds(2))
        let waiting = publishers.map(\.confirms.count)
        #expect(waiting.allSatisfy { $0 < 40 } && waiting.reduce(0, +) > 20, "\(waiting)")
        for host in world.hosts.values {
            #expect(host.broker.memoryBytes < 500_000, "\(host.broker.memoryBytes)")
        }
        desk.client.ask(
            .basicConsume(
                queue: "q", consumerTag: "all", noLocal: false, noAck: true, exclusive: false, noWait: false,
                arguments: [:]), on: 1
        ) { _ in }
        world.world.pass(.seconds(10))
        #expect(publishers.map(\.confirms.count) == [60, 60, 60] && desk.deliveries.count == 180)
        #expect(world.hosts.values.allSatisfy { $0.broker.memoryBytes == 0 && !$0.broker.isAlarmed })
    }

    @Test("exchanges, bindings, policies and deletions are the whole group's")
    func topology() throws {
        let world = QuorumWorld(seed: 4)
        let first = try Desk(world, "a", at: 1)
        first.ask(QuorumWorld.declaration("q"))
        first.ask(
            .exchangeDeclare(
                exchange: "events", type: "topic", passive: false, durable: true, autoDelete: false, isInternal: false,
                noWait: false, arguments: [:]))
        first.ask(
            .queueBind(queue: "q", exchange: "events", routingKey: "a.#", noWait: false, arguments: ["x": .int32(1)]))
        #expect(first.answers.count == 3)
        let second = try Desk(world, "b", at: 2)
        second.client.publish(Array("x".utf8), AMQPProperties(), exchange: "events", routingKey: "a.b", on: 1) { _ in }
        world.world.pass(.milliseconds(200))
        #expect(world.replica("q", at: 3)?.readyCount == 1)
        second.ask(.queueUnbind(queue: "q", exchange: "events", routingKey: "a.#", arguments: ["x": .int32(1)]))
        #expect(world.hosts[3]?.broker.virtualHosts["/"]?.exchanges["events"]?.bindings.isEmpty == true)
        second.ask(.queuePurge(queue: "q", noWait: false))
        #expect(second.answers.last == .queuePurgeOk(messageCount: 1))
        second.publish("y", "z", to: "q")
        second.ask(.queueDelete(queue: "q", ifUnused: false, ifEmpty: false, noWait: false))
        #expect(second.answers.last == .queueDeleteOk(messageCount: 2))
        second.ask(.exchangeDelete(exchange: "events", ifUnused: false, noWait: false))
        #expect((1...3).allSatisfy { world.hosts[$0]?.broker.virtualHosts["/"]?.queues["q"] == nil })
        #expect((1...3).allSatisfy { world.hosts[$0]?.broker.virtualHosts["/"]?.exchanges["events"] == nil })
        #expect(second.failures.isEmpty && first.failures.isEmpty)
    }

    @Test("what quorum queues do not have is refused as RabbitMQ does")
    func refusals() throws {
        let world = QuorumWorld(seed: 5)
        func refusal(_ method: AMQPMethod) throws -> String {
            let desk = try Desk(world, "r\(Int.random(in: 0..<1_000_000_000))", at: 2)
            desk.ask(method)
            return desk.failures.first.map { "\($0)" } ?? "none"
        }
        func declaration(
            durable: Bool = true, exclusive: Bool = false, autoDelete: Bool = false, _ table: AMQPTable = [:]
        )
            -> AMQPMethod
        {
            var table = table
            table["x-queue-type"] = "quorum"
            return .queueDeclare(
                queue: "q", passive: false, durable: durable, exclusive: exclusive, autoDelete: autoDelete,
                noWait: false, arguments: table)
        }
        let place = "for queue 'q' in vhost '/'"
        #expect(
            try refusal(declaration(durable: false)) == "PRECONDITION_FAILED - invalid property 'non-durable' \(place)")
        #expect(
            try refusal(declaration(exclusive: true))
                == "PRECONDITION_FAILED - invalid property 'exclusive-owner' \(place)")
        #expect(
            try refusal(declaration(autoDelete: true))
                == "PRECONDITION_FAILED - invalid property 'auto-delete' \(place)")
        #expect(
            try refusal(declaration(["x-max-priority": .int32(3)]))
                == "PRECONDITION_FAILED - invalid arg 'x-max-priority' \(place) of queue type rabbit_quorum_queue")
        let desk = try Desk(world, "global", at: 1)
        desk.ask(declaration())
        desk.ask(.basicQos(prefetchSize: 0, prefetchCount: 3, global: true))
        desk.ask(
            .basicConsume(
                queue: "q", consumerTag: "c", noLocal: false, noAck: false, exclusive: false, noWait: false,
                arguments: [:]))
        guard case .refused(540, let text)? = desk.failures.first else { return #expect(Bool(false)) }
        #expect(text == "NOT_IMPLEMENTED - queue 'q' in vhost '/' does not support global qos")
    }

    @Test("messages expire, are limited, and die on every member alike")
    func limits() throws {
        let world = QuorumWorld(seed: 6)
        let desk = try Desk(world, "a", at: 3)
        desk.ask(QuorumWorld.declaration("dead"))
        let graves: AMQPTable = ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"]
        var short = graves
        short["x-message-ttl"] = .int32(500)
        desk.ask(QuorumWorld.declaration("short", short))
        var small = graves
        small["x-max-length"] = .int32(1)
        desk.ask(QuorumWorld.declaration("small", small))
        desk.ask(
            QuorumWorld.declaration("full", ["x-max-length": .int32(1), "x-overflow": "reject-publish"]))
        desk.publish("late", to: "short")
        desk.publish("old", "new", to: "small")
        desk.publish("fits", "does not", to: "full")
        #expect(desk.confirms == [true, true, true, true, false])
        world.world.pass(.seconds(2))
        #expect((1...3).allSatisfy { world.replica("short", at: $0)?.readyCount == 0 })
        #expect((1...3).allSatisfy { world.replica("dead", at: $0)?.readyCount == 2 })
        let entries = try #require(world.replica("dead", at: 2)).ready.peek(5)
        #expect(entries.map { String(decoding: $0.message.body, as: UTF8.self) } == ["old", "late"])
        let death = entries[1].message.readProperties.headers?["x-death"]?.array?.first?.table
        #expect(death?["reason"]?.text == "expired" && death?["queue"]?.text == "short")
    }

    @Test("a message that is given back too often dies, and basic.get takes one")
    func deliveryLimit() throws {
        let world = QuorumWorld(seed: 7)
        let desk = try Desk(world, "a", at: 2)
        desk.ask(QuorumWorld.declaration("dead"))
        desk.ask(
            QuorumWorld.declaration(
                "q",
                [
                    "x-delivery-limit": .int32(2), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead",
                ]))
        desk.publish("poison", to: "q")
        desk.consume("q")
        for tag in 1...3 {
            desk.client.send(.basicNack(deliveryTag: UInt64(tag), multiple: false, requeue: true), on: 1)
            world.world.pass(.milliseconds(200))
        }
        #expect(desk.texts == ["poison", "poison", "poison"])
        #expect(desk.deliveries[2].properties.headers?["x-delivery-count"]?.integer == 2)
        let getter = try Desk(world, "b", at: 1)
        var got: [String] = []
        for _ in 0..<2 {
            getter.client.get("dead", on: 1) { result in
                guard case .success(let delivery) = result else { return got.append("failed") }
                got.append(delivery.map { String(decoding: $0.body, as: UTF8.self) } ?? "none")
            }
            world.world.pass(.milliseconds(200))
        }
        #expect(got == ["poison", "none"])
    }
}

import ConsensusService
import KernelAMQP
import KernelStorage
import KernelStructures
import KernelWorld
import TestSupport

@testable import MessageQueueEngine
@testable import MessageQueueService

/// Brokers in a group as they are run, and clients that speak AMQP with them, in a world where members are killed, lose
/// power, are paused and cut off; and a judge of what the clients have seen.
final class QuorumWorld {
    let world: World
    var random: SeededRandom
    private(set) var hosts: [Int: MessageQueueHost] = [:]
    let memberCount: Int
    private(set) var isHealed = false
    private(set) var failures: [String] = []

    // What clients have seen.
    private(set) var published: Set<String> = []
    private(set) var confirmed: Set<String> = []
    private(set) var delivered: [String: Int] = [:]
    private(set) var acknowledgedCount = 0
    private(set) var killCount = 0
    private var publishers: [QuorumPublisher] = []
    private var consumers: [QuorumConsumer] = []

    static let queue = "jobs"
    static let graveyard = "jobs.dead"
    static let port: UInt16 = 5672

    private let memoryLimitBytes: Int?

    init(seed: UInt64, memberCount: Int = 3, memoryLimitBytes: Int? = nil) {
        self.memoryLimitBytes = memoryLimitBytes
        world = memoryWorld(seed: seed) {
            $0.recordsTraffic = false
            $0.journalCapacity = 1000
        }
        random = SeededRandom(seed: seed).fork("quorum")
        self.memberCount = memberCount
        for id in 1...memberCount { start(id) }
        world.pass(.seconds(3))
    }

    deinit { world.shutDown() }

    func fail(_ reason: String) { failures.append("\(world.seconds)s: \(reason)") }

    // MARK: Members

    static func name(_ id: Int) -> String { "m\(id)" }

    func start(_ id: Int) {
        guard let node = try? world.nodes.start(Self.name(id)) else { return fail("member \(id) has no node") }
        let members = (1...memberCount).map {
            ($0, GroupPlace.meeting(HostPort(host: Self.name($0), port: Self.port)))
        }
        var settings = MessageQueueHost.Settings()
        settings.directory = "/mq\(id)"
        settings.directoryText = settings.directory
        settings.consensus = GroupPlace.settings(
            id: id, members: Dictionary(uniqueKeysWithValues: members), directory: "/mq\(id)",
            electionMilliseconds: 500)
        settings.consensus?.snapshotEntries = 40
        settings.consensus?.trailingEntries = 5
        if let memoryLimitBytes { settings.broker.memoryLimitBytes = memoryLimitBytes }
        let host = MessageQueueHost(node: node, port: Self.port, settings: settings)
        do {
            try host.start()
            hosts[id] = host
        } catch { fail("member \(id) cannot start: \(error)") }
    }

    func end(_ id: Int, powerLoss: PowerLossPolicy? = nil, for pause: LabDuration) {
        guard let host = hosts.removeValue(forKey: id), host.node.isAlive else { return }
        killCount += 1
        if let powerLoss { host.node.end(.poweredOff, powerLoss: powerLoss) } else { host.node.end(.killed) }
        world.after(pause) { [unowned self] in start(id) }
    }

    var leader: Int? {
        hosts.filter { $0.value.node.isAlive && $0.value.member?.member.isLeader == true }
            .max { $0.value.member!.member.term < $1.value.member!.member.term }?.key
    }

    var anyMember: Int { 1 + random.below(memberCount) }

    func replica(_ queue: String, at id: Int) -> ReplicatedQueue? {
        hosts[id]?.broker.virtualHosts["/"]?.queues[queue]?.replica
    }

    // MARK: Clients

    func client(_ name: String, at id: Int) -> AMQPClient? {
        guard let node = try? world.nodes.start(name) else { return nil }
        return client(on: node, at: id)
    }

    func client(on node: Node, at id: Int) -> AMQPClient {
        var url = AMQPURL()
        url.host = Self.name(id)
        url.port = Self.port
        return AMQPClient(node, url)
    }

    /// The queue, and where its dead letters go.
    func declare() {
        guard let client = client("declarer", at: 1) else { return }
        try? client.connect()
        client.openChannel(1)
        var isDone = false
        client.ask(Self.declaration(Self.graveyard), on: 1) { _ in }
        client.ask(
            Self.declaration(
                Self.queue,
                [
                    "x-delivery-limit": .int32(4), "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": .string(Self.graveyard),
                ]), on: 1
        ) { result in if case .success = result { isDone = true } }
        world.pass(.seconds(2))
        if !isDone { fail("the queue was not declared") }
        client.close()
    }

    static func declaration(_ name: String, _ arguments: AMQPTable = [:]) -> AMQPMethod {
        var arguments = arguments
        arguments["x-queue-type"] = "quorum"
        return .queueDeclare(
            queue: name, passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false,
            arguments: arguments)
    }

    func notePublished(_ body: String) { published.insert(body) }
    func noteConfirmed(_ body: String) { confirmed.insert(body) }
    func noteAcknowledged() { acknowledgedCount += 1 }
    func noteDelivered(_ body: String, from queue: String) {
        if !published.contains(body) { fail("'\(body)' was delivered, and nobody has published it") }
        if queue == Self.queue { delivered[body, default: 0] += 1 }
    }

    // MARK: Trouble

    private func trouble(until end: Double) {
        guard world.seconds < end else { return }
        world.after(.milliseconds(200 + random.below(1500))) { [unowned self] in trouble(until: end) }
        let id = random.chance(0.5) ? leader ?? anyMember : anyMember
        let pause = LabDuration.milliseconds(100 + random.below(2500))
        switch random.below(9) {
        case 0, 1: self.end(id, for: pause)
        case 2: self.end(id, powerLoss: .dropAll, for: pause)
        case 3: self.end(id, powerLoss: .random(seed: random.next()), for: pause)
        case 4:
            guard let node = hosts[id]?.node, node.state == .running else { return }
            node.freeze()
            let life = node.lifeCount
            world.after(pause) { if node.lifeCount == life, node.isFrozen { node.thaw() } }
        case 5, 6:
            // It and the others do not hear one another; its clients hear it.
            for other in 1...memberCount where other != id {
                world.inject(.block(partition: true), from: Self.name(id), to: Self.name(other), both: true, for: pause)
            }
        case 7: world.inject(.block(partition: true), from: Self.name(id), both: true, for: pause)
        default: try? hosts[leader ?? id]?.member?.member.transferLeadership(to: id)
        }
    }

    /// Clients work while things go wrong; then all is well, and everything has to come to its end.
    func play(seconds: Double = 12) -> [String] {
        declare()
        for number in 1...2 { publishers.append(QuorumPublisher(self, "p\(number)")) }
        for number in 1...2 { consumers.append(QuorumConsumer(self, "c\(number)", Self.queue)) }
        for publisher in publishers { publisher.begin() }
        for consumer in consumers { consumer.begin() }
        trouble(until: world.seconds + seconds)
        world.pass(.milliseconds(Int(seconds * 1000)))
        isHealed = true
        _ = world.faults.removeAll()
        for host in hosts.values where host.node.isFrozen { host.node.thaw() }
        world.pass(.seconds(4))
        for publisher in publishers { publisher.isStopped = true }
        for _ in 0..<40 where !isDrained { world.pass(.seconds(1)) }
        judge()
        return failures
    }

    private var isDrained: Bool {
        hosts.count == memberCount
            && hosts.keys.allSatisfy { id in
                guard let replica = replica(Self.queue, at: id) else { return false }
                return replica.readyCount == 0 && replica.heldCount == 0 && replica.dead.isEmpty
            } && publishers.allSatisfy { $0.openCount == 0 }
    }

    private func judge() {
        if !isDrained {
            let counts = hosts.keys.sorted().map { id in
                let replica = replica(Self.queue, at: id)
                let open = hosts[id]?.member?.group.desk.openCount ?? -1
                return "\(id): \(replica?.readyCount ?? -1) ready, \(replica?.heldCount ?? -1) held, "
                    + "\(replica?.dead.count ?? -1) dead, \(replica?.consumerCount ?? -1) consumers, \(open) open"
            }
            fail("the queue does not empty: \(counts.joined(separator: "; ")), leader \(leader ?? 0)")
        }
        // What was given back too often, seen or not.
        let graves = replica(Self.graveyard, at: leader ?? 1)?.ready.peek(.max) ?? []
        let dead = graves.map { String(decoding: $0.message.body, as: UTF8.self) }
        for body in dead { noteDelivered(body, from: Self.queue) }
        if Set(dead).count != dead.count { fail("a dead letter is there twice") }
        for body in confirmed.subtracting(delivered.keys).sorted().prefix(5) {
            fail("'\(body)' was confirmed, and never delivered")
        }
        if confirmed.count < 20 { fail("only \(confirmed.count) messages were confirmed") }
        world.pass(.seconds(2))
        let states = hosts.mapValues { $0.member?.group.snapshot ?? [] }
        if Set(states.values).count != 1 { fail("members that have agreed on the same have different states") }
    }
}

/// Publishes numbered messages, a few at a time, at one member after the other.
final class QuorumPublisher {
    private unowned let world: QuorumWorld
    let name: String
    private let node: Node
    private var client: AMQPClient?
    private var number = 0
    private(set) var openCount = 0
    private var lastAnswer = 0.0
    private var attempt = 0
    var isStopped = false

    init(_ world: QuorumWorld, _ name: String) {
        self.world = world
        self.name = name
        node = world.world.node(name)
    }

    func begin(at id: Int? = nil) {
        attempt += 1
        openCount = 0
        lastAnswer = world.world.seconds
        let client = world.client(on: node, at: id ?? world.anyMember)
        self.client = client
        client.onEnd = { [unowned self] _ in if client === self.client { again() } }
        guard (try? client.connect()) != nil else { return again() }
        client.openChannel(1)
        client.ask(.confirmSelect(noWait: false), on: 1) { _ in }
        work(attempt)
    }

    private func again() {
        client?.onEnd = nil
        client?.close()
        client = nil
        openCount = 0
        if isStopped { return }
        world.world.after(.milliseconds(200)) { [unowned self] in if client == nil, !isStopped { begin() } }
    }

    private func work(_ attempt: Int) {
        guard attempt == self.attempt, let client else { return }
        // Nobody answers: another member may.
        if openCount > 0, world.world.seconds - lastAnswer > 3 { return again() }
        while openCount < 5, !isStopped {
            number += 1
            openCount += 1
            let body = "\(name).\(attempt)-\(number)"
            world.notePublished(body)
            var properties = AMQPProperties()
            properties.deliveryMode = 2
            client.publish(Array(body.utf8), properties, routingKey: QuorumWorld.queue, on: 1) {
                [unowned self] result in
                guard attempt == self.attempt else { return }
                openCount -= 1
                lastAnswer = world.world.seconds
                if case .success(true) = result { world.noteConfirmed(body) }
            }
        }
        world.world.after(.milliseconds(20)) { [unowned self] in work(attempt) }
    }
}

/// Consumes at one member after the other: acknowledges most, and gives some back.
final class QuorumConsumer {
    private unowned let world: QuorumWorld
    let name: String
    let queue: String
    private let node: Node
    private var client: AMQPClient?
    private var lastDelivery = 0.0
    private var attempt = 0
    /// The highest number of each publisher that came for the first time.
    private var highest: [Substring: Int] = [:]
    private var random: SeededRandom

    init(_ world: QuorumWorld, _ name: String, _ queue: String) {
        self.world = world
        self.name = name
        self.queue = queue
        node = world.world.node(name)
        random = world.random.fork(name)
    }

    func begin(at id: Int? = nil) {
        attempt += 1
        highest = [:]
        lastDelivery = world.world.seconds
        let client = world.client(on: node, at: id ?? world.anyMember)
        self.client = client
        client.onEnd = { [unowned self] _ in if client === self.client { again() } }
        client.onDelivery = { [unowned self] in if client === self.client { received($0) } }
        guard (try? client.connect()) != nil else { return again() }
        client.openChannel(1)
        client.ask(.basicQos(prefetchSize: 0, prefetchCount: 3, global: false), on: 1) { _ in }
        client.ask(
            .basicConsume(
                queue: queue, consumerTag: "", noLocal: false, noAck: false, exclusive: false, noWait: false,
                arguments: [:]), on: 1
        ) { [unowned self] result in
            if case .failure = result, client === self.client { again() }
        }
        watch(attempt)
    }

    private func again() {
        client?.onEnd = nil
        client?.close()
        client = nil
        world.world.after(.milliseconds(200)) { [unowned self] in if client == nil { begin() } }
    }

    private func watch(_ attempt: Int) {
        guard attempt == self.attempt, client != nil else { return }
        if world.world.seconds - lastDelivery > 4 || (!world.isHealed && random.chance(0.02)) { return again() }
        world.world.after(.milliseconds(250)) { [unowned self] in watch(attempt) }
    }

    private func received(_ delivery: AMQPDelivery) {
        lastDelivery = world.world.seconds
        let body = String(decoding: delivery.body, as: UTF8.self)
        world.noteDelivered(body, from: queue)
        let parts = body.split(separator: "-")
        if !delivery.isRedelivered, let number = Int(parts[1]) {
            if number <= highest[parts[0]] ?? 0 {
                world.fail("\(name) got '\(body)' for the first time after number \(highest[parts[0]] ?? 0)")
            }
            highest[parts[0]] = number
        }
        let attempt = attempt
        world.world.after(.milliseconds(1 + random.below(30))) { [unowned self] in
            guard attempt == self.attempt, let client else { return }
            if random.chance(0.1) {
                client.send(.basicNack(deliveryTag: delivery.deliveryTag, multiple: false, requeue: true), on: 1)
            } else {
                world.noteAcknowledged()
                client.send(.basicAck(deliveryTag: delivery.deliveryTag, multiple: false), on: 1)
            }
        }
    }
}

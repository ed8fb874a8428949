import KernelAMQP
import KernelStructures
import Testing

@testable import MessageQueueEngine

@Suite struct TopologyTests {
    /// The obvious way, word by word: what the tree has to agree with.
    private func fits(_ pattern: ArraySlice<Substring>, _ key: ArraySlice<Substring>) -> Bool {
        guard let first = pattern.first else { return key.isEmpty }
        if first == "#" {
            return fits(pattern.dropFirst(), key) || (!key.isEmpty && fits(pattern, key.dropFirst()))
        }
        guard let word = key.first, first == "*" || first == word else { return false }
        return fits(pattern.dropFirst(), key.dropFirst())
    }

    /// All patterns of up to four words of `a * #` against all keys of up to four of `a b`.
    @Test func topicsAreMatchedAsWritten() {
        func words(_ letters: [String], upTo count: Int) -> [String] {
            var all: [[String]] = [[]]
            var last: [[String]] = [[]]
            for _ in 0..<count {
                last = last.flatMap { word in letters.map { word + [$0] } }
                all += last
            }
            return all.map { $0.joined(separator: ".") }
        }
        let patterns = words(["a", "*", "#"], upTo: 4)
        let keys = words(["a", "b"], upTo: 4)
        var index = TopicIndex()
        for pattern in patterns {
            index.add(.init(source: "x", destination: .queue(pattern), routingKey: pattern, arguments: [:]))
        }
        func check(_ patterns: [String]) {
            for key in keys {
                var found: Set<String> = []
                index.matches(key, headers: { [:] }) { found.insert($0.name) }
                let expected = patterns.filter { fits(TopicIndex.words($0)[...], TopicIndex.words(key)[...]) }
                #expect(found == Set(expected), "\(key)")
            }
        }
        check(patterns)
        for pattern in patterns.dropFirst(60) {
            index.remove(.init(source: "x", destination: .queue(pattern), routingKey: pattern, arguments: [:]))
        }
        check(Array(patterns.prefix(60)))
    }

    /// A pattern of many `#` takes no exponential time.
    @Test func manyHashesAreHarmless() {
        var index = TopicIndex()
        let pattern = Array(repeating: "#.a", count: 40).joined(separator: ".") + ".b"
        index.add(.init(source: "x", destination: .queue("q"), routingKey: pattern, arguments: [:]))
        var count = 0
        index.matches(Array(repeating: "a", count: 120).joined(separator: "."), headers: { [:] }) { _ in count += 1 }
        #expect(count == 0)
    }

    private func bench() -> (BrokerBench, BrokerTestClient) {
        let bench = BrokerBench()
        return (bench, bench.client())
    }

    private func exchange(
        _ client: BrokerTestClient, _ name: String, _ type: String, _ arguments: AMQPTable = [:],
        isInternal: Bool = false, autoDelete: Bool = false
    ) {
        client.send(
            .exchangeDeclare(
                exchange: name, type: type, passive: false, durable: false, autoDelete: autoDelete,
                isInternal: isInternal, noWait: false, arguments: arguments))
    }

    private func bind(
        _ client: BrokerTestClient, _ queue: String, _ exchange: String, _ key: String = "",
        _ arguments: AMQPTable = [:]
    ) {
        client.send(.queueBind(queue: queue, exchange: exchange, routingKey: key, noWait: false, arguments: arguments))
    }

    @Test func headersMatchAllOrAny() {
        let (bench, client) = bench()
        for name in ["all", "any", "x"] { client.declare(name) }
        bind(client, "all", "amq.headers", "", ["x-match": "all", "a": .int32(1), "b": "two"])
        bind(client, "any", "amq.headers", "", ["x-match": "any", "a": .int32(1), "b": "two"])
        bind(client, "x", "amq.headers", "", ["x-match": "all-with-x", "x-kind": .void])
        _ = client.take()
        func publish(_ headers: AMQPTable) -> [Int] {
            client.publish("m", to: "", exchange: "amq.headers", AMQPProperties(headers: headers))
            defer { for name in ["all", "any", "x"] { _ = bench.queue(name)?.purge() } }
            return ["all", "any", "x"].map { bench.queue($0)?.readyCount ?? -1 }
        }
        #expect(publish(["a": .int64(1), "b": "two"]) == [1, 1, 0])
        #expect(publish(["a": .int8(1)]) == [0, 1, 0])
        #expect(publish(["a": .int8(2), "x-kind": "anything"]) == [0, 0, 1])
        bind(client, "all", "amq.headers", "", ["x-match": "most"])
        #expect(
            client.closeText()?.hasPrefix("406 PRECONDITION_FAILED - Invalid x-match field value <<\"most\">>") == true)
    }

    /// Exchanges that lead to one another in a circle, an alternate one, and each queue once.
    @Test func exchangesLeadToExchanges() {
        let (bench, client) = bench()
        exchange(client, "a", "fanout")
        exchange(client, "b", "direct", ["alternate-exchange": "rest"])
        exchange(client, "rest", "fanout")
        for name in ["q", "left"] { client.declare(name) }
        bind(client, "q", "a")
        bind(client, "q", "b", "k")
        bind(client, "left", "rest")
        for (source, target) in [("a", "b"), ("b", "a")] {
            client.send(
                .exchangeBind(destination: target, source: source, routingKey: "k", noWait: true, arguments: [:]))
        }
        client.publish("x", to: "k", exchange: "a")
        #expect(bench.queue("q")?.readyCount == 1)
        client.publish("y", to: "other", exchange: "b")
        #expect(bench.queue("left")?.readyCount == 1)
    }

    @Test func autoDeleteAndInternalExchanges() {
        let (bench, client) = bench()
        exchange(client, "temporary", "fanout", autoDelete: true)
        exchange(client, "hidden", "fanout", isInternal: true)
        client.declare("q")
        bind(client, "q", "temporary")
        client.send(.queueUnbind(queue: "q", exchange: "temporary", routingKey: "", arguments: [:]))
        #expect(bench.broker.virtualHosts["/"]?.exchanges["temporary"] == nil)
        client.publish("x", to: "", exchange: "hidden")
        #expect(
            client.closeText() == "403 ACCESS_REFUSED - cannot publish to internal exchange 'hidden' in vhost '/'")
    }

    // @covers MQ-M2
    @Test func durableThingsAreThereAfterARestart() throws {
        let (bench, client) = bench()
        client.send(
            .exchangeDeclare(
                exchange: "e/x", type: "topic", passive: false, durable: true, autoDelete: false, isInternal: false,
                noWait: true, arguments: [:]))
        client.declare("q%/", durable: true, ["x-max-length": .int32(100)])
        client.declare("gone")
        bind(client, "q%/", "e/x", "a.#", ["n": .int32(1)])
        bind(client, "gone", "e/x", "a.#")
        for text in ["one", "two", "three"] {
            client.publish(text, to: "a.b", exchange: "e/x", BrokerPublishingTests.persistent)
        }
        client.publish("transient", to: "a.b", exchange: "e/x")
        _ = client.take()
        client.get("q%/", noAck: true)
        client.get("q%/")
        _ = client.take()
        // A crash: only what the store has is left, and of transient messages nothing.
        let later = BrokerBench(store: bench.store)
        later.broker.restore(
            definitions: bench.store.definitions.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
            queues: bench.store.found, now: later.now)
        let second = later.client()
        #expect(later.queue("gone") == nil)
        second.declare("q%/", durable: true, passive: true)
        second.consume("q%/")
        second.publish("four", to: "a.c", exchange: "e/x")
        later.sync()
        let deliveries = second.deliveries()
        #expect(deliveries.map(\.text) == ["two", "three", "four"])
        // It was delivered before, and not acknowledged.
        #expect(deliveries.map(\.redelivered) == [true, false, false])
        #expect(later.queue("q%/")?.settings.maxLength == 100)
    }

    @Test func policiesApplyToWhatIsThere() throws {
        let (bench, client) = bench()
        let host = try #require(bench.broker.virtualHosts["/"])
        client.declare("orders.eu", ["x-max-length": .int32(10)])
        for number in 0..<8 { client.publish("\(number)", to: "orders.eu") }
        try bench.broker.set(
            try BrokerPolicy(
                name: "short", pattern: "^orders\\.", target: .queues,
                definition: ["max-length": .int32(3), "message-ttl": .int32(50)]), in: host, now: bench.now)
        #expect(bench.queue("orders.eu")?.readyCount == 3)
        #expect(bench.queue("orders.eu")?.policyName == "short")
        try bench.broker.set(
            try BrokerPolicy(name: "long", pattern: ".", priority: 5, definition: ["max-length": .int32(50)]),
            in: host, now: bench.now)
        #expect(bench.queue("orders.eu")?.settings.maxLength == 10)
        #expect(throws: BrokerPolicy.Wrong.self) {
            try BrokerPolicy(name: "bad", pattern: "(", definition: ["max-length": .int32(1)])
        }
        #expect(throws: BrokerPolicy.Wrong.self) {
            try BrokerPolicy(name: "bad", pattern: "x", definition: ["max-length": "many"])
        }
        #expect(try bench.broker.clearPolicy("long", in: host, now: bench.now))
        #expect(bench.queue("orders.eu")?.settings.maxLength == 3)
    }
}

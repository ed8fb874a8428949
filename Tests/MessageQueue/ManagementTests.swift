import KernelAMQP
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import MessageQueueEngine
import TestSupport
import Testing

@testable import MessageQueueService

@Suite("The broker's management")
struct ManagementTests {
    /// A broker in a world in memory, and somebody who asks it by HTTP.
    final class Lab {
        let world: World
        let node: Node
        private(set) var host: MessageQueueHost
        private let client: Node
        private let settings: MessageQueueHost.Settings

        init(directory: String? = "/mq") throws {
            world = memoryWorld()
            node = world.node("mq")
            client = world.node("client")
            var settings = MessageQueueHost.Settings()
            settings.directory = directory
            settings.directoryText = directory
            settings.managementPort = 15_672
            self.settings = settings
            host = MessageQueueHost(node: node, port: 5672, settings: settings)
            try host.start()
            world.pass(.milliseconds(1))
        }

        deinit { world.shutDown() }

        func ask(_ method: String, _ path: String, _ body: String? = nil, as user: String = "guest:guest") throws
            -> (status: Int, json: JSONValue)
        {
            var request = HTTPCall.Request(method, url: try HTTPURL("http://mq:15672" + path))
            request.fields = [("Authorization", "Basic " + Base64.standard.encode(Array(user.utf8)))]
            request.body = body.map { Array($0.utf8) }
            var answer: (Int, JSONValue)?
            HTTPCall(client, request) { result in
                guard case .success(let response) = result else { return }
                let json =
                    response.body.isEmpty ? .null : (try? JSONValue(parsing: response.body)) ?? .string("no JSON")
                answer = (response.status, json)
            }.start()
            world.pass(.milliseconds(50))
            return try #require(answer)
        }

        func status(_ method: String, _ path: String, _ body: String? = nil, as user: String = "guest:guest") throws
            -> Int
        {
            try ask(method, path, body, as: user).status
        }

        func names(_ path: String, as user: String = "guest:guest") throws -> [String] {
            guard case .array(let elements) = try ask("GET", path, as: user).json else { return ["no list"] }
            return elements.map { element in
                if case .string(let name)? = element["name"] { name } else { "" }
            }
        }
    }

    @Test("queues, exchanges and bindings are made, listed, and deleted")
    func topology() throws {
        let lab = try Lab()
        #expect(
            try lab.status("PUT", "/api/queues/%2F/orders", #"{"durable": "true", "arguments": {"x-max-length": 5}}"#)
                == 201)
        #expect(
            try lab.status("PUT", "/api/queues/%2F/orders", #"{"durable": true, "arguments": {"x-max-length": 5}}"#)
                == 204)
        let wrong = try lab.ask("PUT", "/api/queues/%2F/orders", #"{"durable": false}"#)
        #expect(wrong.status == 400 && wrong.json["error"] == "bad_request")
        #expect(
            wrong.json["reason"]
                == "inequivalent arg 'durable' for queue 'orders' in vhost '/': received 'false' but current is 'true'")
        #expect(try lab.status("PUT", "/api/exchanges/%2F/events", #"{"type": "topic"}"#) == 201)
        let path = "/api/bindings/%2F/e/events/q/orders"
        #expect(try lab.status("POST", path, #"{"routing_key": "a.#"}"#) == 201)
        #expect(try lab.ask("GET", path).json[0]?["properties_key"] == "a.#")
        #expect(try lab.names("/api/queues") == ["orders"])
        #expect(try lab.names("/api/exchanges/%2F").contains("events"))
        #expect(try lab.status("DELETE", path + "/a.%23") == 204)
        #expect(try lab.ask("GET", path).json == [])
        #expect(try lab.status("DELETE", "/api/queues/%2F/orders") == 204)
        #expect(try lab.status("GET", "/api/queues/%2F/orders") == 404)
        #expect(try lab.status("DELETE", "/api/exchanges/%2F/amq.topic") == 400)
    }

    @Test("messages are published, taken, put back, looked at and purged")
    func messages() throws {
        let lab = try Lab()
        _ = try lab.ask("PUT", "/api/queues/%2F/q", "{}")
        for number in 0..<3 {
            let properties = #"{"delivery_mode": 2, "message_id": "m\#(number)"}"#
            let body = #"{"routing_key": "q", "properties": \#(properties), "payload": "x\#(number)"}"#
            #expect(try lab.ask("POST", "/api/exchanges/%2F/amq.default/publish", body).json == ["routed": true])
        }
        let lost = #"{"routing_key": "nowhere", "properties": {}, "payload": "x"}"#
        #expect(try lab.ask("POST", "/api/exchanges/%2F/amq.default/publish", lost).json == ["routed": false])
        let get = { (mode: String, count: Int) in
            try lab.ask(
                "POST", "/api/queues/%2F/q/get", #"{"count": \#(count), "ackmode": "\#(mode)", "encoding": "auto"}"#
            ).json
        }
        let seen = try get("ack_requeue_true", 2)
        #expect(seen[1]?["payload"] == "x1" && seen[1]?["message_count"] == 1 && seen[1]?["redelivered"] == false)
        #expect(try get("ack_requeue_false", 1)[0]?["redelivered"] == true)
        let peek = try lab.ask("GET", "/api/queues/%2F/q/peek").json
        #expect(peek["ready"]?[0]?["payload"] == "x1" && peek["ready"]?[0]?["returns"] == 1)
        #expect(try lab.ask("GET", "/api/queues/%2F/q").json["messages"] == 2)
        let log = try lab.ask("GET", "/api/log?count=4").json
        #expect(log["records"]?[3]?["operation"] == "settle" && log["records"]?[0]?["queue"] == "q")
        #expect(try lab.ask("GET", "/api/trace/m0").json[0]?["event"] == "published")
        #expect(try lab.status("DELETE", "/api/queues/%2F/q/contents") == 204)
        #expect(try lab.ask("GET", "/api/queues/%2F/q").json["messages"] == 0)
        #expect(try lab.status("POST", "/api/queues/%2F/q/get", #"{"count": 0}"#) == 400)
    }

    /// Nothing is committed between two messages that come four seconds apart, and each has its own time.
    @Test("the log dates a message by when it came, as its trace does, and not by what was done before")
    func logTimes() throws {
        let lab = try Lab()
        _ = try lab.ask("PUT", "/api/queues/%2F/q", "{}")
        for number in 0..<3 {
            let properties = #"{"delivery_mode": 2, "message_id": "m\#(number)"}"#
            let body = #"{"routing_key": "q", "properties": \#(properties), "payload": "x"}"#
            _ = try lab.ask("POST", "/api/exchanges/%2F/amq.default/publish", body)
            lab.world.pass(.seconds(4))
        }
        let log = try lab.ask("GET", "/api/log?count=10").json
        for number in 0..<3 {
            let record = try #require(
                (0..<10).compactMap { log["records"]?[$0] }.first { $0["message_id"] == .string("m\(number)") })
            let published = try #require(try lab.ask("GET", "/api/trace/m\(number)").json[0]?["time"])
            #expect(record["timestamp"] == published, "m\(number)")
        }
    }

    @Test("a connection that an operator closes is told so, with the reply's name once")
    func closed() throws {
        let lab = try Lab()
        var url = AMQPURL()
        url.host = "mq"
        url.port = 5672
        let client = AMQPClient(lab.world.node("reader"), url)
        var failures: [AMQPClientFailure] = []
        client.onEnd = { failures.append($0) }
        try client.connect()
        client.openChannel(1)
        lab.world.pass(.milliseconds(50))
        let name = try #require(try lab.names("/api/connections").first)
        let encoded = PercentCoding.encode(name)
        #expect(try lab.status("DELETE", "/api/connections/\(encoded)") == 204)
        #expect(failures.map(\.description) == ["CONNECTION_FORCED - Closed via management plugin"])
    }

    @Test("users see and do what their tags and permissions let them, and outlive a restart")
    func users() throws {
        let lab = try Lab()
        #expect(try lab.status("GET", "/api/whoami", as: "guest:wrong") == 401)
        #expect(try lab.status("PUT", "/api/users/ann", #"{"password": "secret", "tags": "management"}"#) == 201)
        _ = try lab.ask("PUT", "/api/vhosts/shop", nil)
        #expect(try lab.status("PUT", "/api/queues/shop/in", "{}") == 401, "nor has guest")
        _ = try lab.ask("PUT", "/api/permissions/shop/guest", #"{"configure": ".*", "write": ".*", "read": ".*"}"#)
        _ = try lab.ask("PUT", "/api/queues/shop/in", "{}")
        #expect(try lab.names("/api/queues", as: "ann:secret") == [], "no permission yet")
        #expect(
            try lab.status("PUT", "/api/permissions/shop/ann", #"{"configure": "^$", "write": "in", "read": ".*"}"#)
                == 201)
        #expect(try lab.names("/api/vhosts", as: "ann:secret") == ["shop"])
        #expect(try lab.names("/api/queues", as: "ann:secret") == ["in"])
        #expect(try lab.status("PUT", "/api/queues/shop/mine", "{}", as: "ann:secret") == 401)
        #expect(try lab.status("GET", "/api/users", as: "ann:secret") == 401)
        #expect(
            try lab.status("PUT", "/api/permissions/shop/nobody", #"{"configure": "", "write": "", "read": ""}"#) == 400
        )
        #expect(
            try lab.status("PUT", "/api/permissions/shop/ann", #"{"configure": "(", "write": "", "read": ""}"#) == 400)
        let hash = try lab.ask("GET", "/api/users/ann").json["password_hash"]
        let again = BrokerUsers(store: VolatileStore()) { 1 }
        again.restore(lab.host.store?.definitions ?? [])
        #expect(again.authenticate(user: "ann", password: "secret") == "ann")
        #expect(again.authenticate(user: "ann", password: "Secret") == nil)
        #expect(again.user("ann").map { JSONValue.string($0.passwordHash) } == hash)
        #expect(again.allows("ann", .write, on: "in", virtualHost: "shop"))
        #expect(!again.allows("ann", .configure, on: "in", virtualHost: "shop") && !again.isOpen)
    }

    @Test("a hash that RabbitMQ made is understood")
    func hashes() {
        let users = BrokerUsers(store: VolatileStore()) { 0 }
        // From RabbitMQ's documentation of password hashes: the salt 908DC60A and the password test12.
        users.set(
            .init(
                name: "test", passwordHash: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", algorithm: .sha256,
                tags: []))
        #expect(users.authenticate(user: "test", password: "test12") == "test")
        #expect(users.authenticate(user: "test", password: "") == nil)
    }

    @Test("policies are applied, and refused where they mean nothing")
    func policies() throws {
        let lab = try Lab()
        _ = try lab.ask("PUT", "/api/queues/%2F/orders", "{}")
        let body = #"{"pattern": "^ord", "definition": {"max-length": 1}, "priority": 3, "apply-to": "queues"}"#
        #expect(try lab.status("PUT", "/api/policies/%2F/short", body) == 201)
        #expect(try lab.ask("GET", "/api/queues/%2F/orders").json["policy"] == "short")
        #expect(try lab.ask("GET", "/api/policies").json[0]?["definition"] == ["max-length": 1])
        for wrong in [
            #"{"pattern": "(", "definition": {"max-length": 1}}"#, #"{"pattern": ".*", "definition": {}}"#,
            #"{"pattern": ".*", "definition": {"max-length": -1}}"#, #"{"pattern": ".*", "definition": {"no": 1}}"#,
            #"{"definition": {"max-length": 1}}"#, "[]", "{",
        ] {
            let answer = try lab.ask("PUT", "/api/policies/%2F/bad", wrong)
            #expect(answer.status == 400 && answer.json["reason"] != nil, "\(wrong)")
        }
        #expect(try lab.status("DELETE", "/api/policies/%2F/short") == 204)
        #expect(try lab.ask("GET", "/api/queues/%2F/orders").json["policy"] == .null)
    }

    @Test("definitions of one broker make another the same")
    func definitions() throws {
        let lab = try Lab()
        _ = try lab.ask("PUT", "/api/vhosts/shop", nil)
        _ = try lab.ask("PUT", "/api/permissions/shop/guest", #"{"configure": ".*", "write": ".*", "read": ".*"}"#)
        _ = try lab.ask("PUT", "/api/users/ann", #"{"password": "secret", "tags": ["monitoring"]}"#)
        _ = try lab.ask("PUT", "/api/permissions/shop/ann", #"{"configure": "a", "write": "b", "read": "c"}"#)
        _ = try lab.ask("PUT", "/api/queues/shop/q", #"{"arguments": {"x-message-ttl": 9}}"#)
        _ = try lab.ask("PUT", "/api/exchanges/shop/e", #"{"type": "headers"}"#)
        _ = try lab.ask("POST", "/api/bindings/shop/e/e/q/q", #"{"arguments": {"x-match": "any", "k": "v"}}"#)
        _ = try lab.ask("PUT", "/api/policies/shop/p", #"{"pattern": "x", "definition": {"expires": 1}}"#)
        let exported = try lab.ask("GET", "/api/definitions").json
        let other = try Lab(directory: nil)
        #expect(try other.status("POST", "/api/definitions", exported.text) == 204)
        #expect(try other.ask("GET", "/api/definitions").json == exported)
        #expect(try other.names("/api/queues", as: "ann:secret") == ["q"])
        let wrong = #"{"queues": [{"name": "x", "vhost": "nowhere"}]}"#
        #expect(try other.ask("POST", "/api/definitions", wrong).json["reason"] == "vhost 'nowhere' not found")
    }

    @Test("lists are sorted, cut to columns, and given out by pages")
    func listing() throws {
        let lab = try Lab()
        for name in ["b", "a", "c"] { _ = try lab.ask("PUT", "/api/queues/%2F/\(name)", "{}") }
        #expect(
            try lab.ask("GET", "/api/queues?columns=name&sort=name&sort_reverse=true").json == [
                ["name": "c"], ["name": "b"], ["name": "a"],
            ])
        let page = try lab.ask("GET", "/api/queues?page=2&page_size=2&columns=name").json
        #expect(page["items"] == [["name": "c"]] && page["page_count"] == 2 && page["total_count"] == 3)
        #expect(try lab.status("GET", "/api/queues?page=3&page_size=2") == 400)
        #expect(try lab.names("/api/queues?name=^[ab]&use_regex=true") == ["a", "b"])
        #expect(
            try lab.ask("GET", "/api/queues?columns=message_stats.publish,name&name=a").json == [
                ["name": "a", "message_stats": ["publish": 0]]
            ])
    }

    @Test("overview, node, health and aliveness")
    func health() throws {
        let lab = try Lab()
        let overview = try lab.ask("GET", "/api/overview").json
        #expect(overview["rabbitmq_version"] == "3.10.8" && overview["object_totals"]?["queues"] == 0)
        #expect(try lab.names("/api/nodes") == ["rabbit@sdlab"])
        #expect(try lab.ask("GET", "/api/aliveness-test/%2F").json == ["status": "ok"])
        #expect(try lab.ask("GET", "/api/health/checks/alarms").json == ["status": "ok"])
        #expect(try lab.status("GET", "/api/health/checks/port-listener/5672") == 200)
        #expect(try lab.status("GET", "/api/health/checks/port-listener/99999") == 503)
        #expect(try lab.ask("GET", "/api/connections").json == [])
    }

    @Test("whatever is asked, the answer is one, and the broker goes on", arguments: 0..<UInt64(40))
    func fuzz(seed: UInt64) throws {
        let lab = try Lab()
        var random = SeededRandom(seed: seed)
        let words = [
            "%2F", "q", "amq.default", "e", "%00", "..", "queues", "get", "publish", "peek", "~", "bindings", "users",
        ]
        let roots = ["queues", "exchanges", "bindings", "users", "permissions", "policies", "definitions", "vhosts"]
        let bodies = [
            "{}", "[]", "1", #"{"durable": 7, "arguments": 3}"#, #"{"count": 99999999999999999999}"#,
            #"{"routing_key": "q", "payload": "x", "properties": {"priority": 300}}"#, #"{"type": []}"#,
            #"{"arguments": {"x-max-priority": 18446744073709551615}}"#, #"{"priority": 9223372036854775807}"#,
        ]
        for _ in 0..<25 {
            let path =
                "/api/"
                + ([roots[random.below(roots.count)]]
                + (0..<random.below(5)).map { _ in words[random.below(words.count)] }).joined(separator: "/")
            let method = ["GET", "PUT", "POST", "DELETE"][random.below(4)]
            let body = method == "GET" ? nil : bodies[random.below(bodies.count)]
            let status = try lab.status(method, path, body)
            #expect((200..<500).contains(status), "\(method) \(path) \(body ?? ""): \(status)")
            _ = try lab.ask("PUT", "/api/users/guest", #"{"password": "guest", "tags": "administrator"}"#)
        }
        #expect((200...401).contains(try lab.status("GET", "/api/overview")))
    }
}

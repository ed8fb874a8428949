import KernelAMQP
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import MessageQueueEngine

/// Publishing, taking, and looking without taking.
extension ManagementAPI {
    /// Messages that are taken or shown at a time.
    private static let countLimit = 10_000
    /// Bytes of a body that is looked at without being taken.
    private static let peekBytes = 4096

    func mountMessages(on router: HTTPRouter) {
        route(router, "POST", "/api/exchanges/{vhost}/{name}/publish") { [self] call in
            let (exchange, host) = try exchange(call)
            try check(call, .write, on: exchange.name, in: host)
            if exchange.isInternal { throw Self.problem(400, "bad_request", "exchange '\(exchange.name)' is internal") }
            let body = try call.object()
            guard let key = body["routing_key"]?.word, key.utf8.count <= 255 else {
                throw Self.problem(400, "bad_request", "routing_key: a text of at most 255 bytes")
            }
            var properties = AMQPProperties()
            if let wrong = properties.read(body["properties"] ?? .object([])) {
                throw Self.problem(400, "bad_request", "\(wrong): not a property, or none that a message can have")
            }
            if let user = properties.userID, user != call.user.name {
                throw Self.problem(
                    400, "bad_request",
                    "406 PRECONDITION_FAILED - user_id property set to '\(user)' but authenticated user was "
                        + "'\(call.user.name)'")
            }
            let isRouted = try broker.operatePublish(
                properties, body: try Self.payload(body), routingKey: key, to: exchange, in: host, now: now)
            call.exchange.answer(json: ["routed": .bool(isRouted)])
        }
        route(router, "POST", "/api/queues/{vhost}/{name}/get") { [self] call in
            let queue = try queue(call)
            try check(call, .read, on: queue.name, in: virtualHost(call))
            let body = try call.object()
            guard let count = try Self.number(body, "count") else {
                throw Self.problem(400, "bad_request", "key_missing: count")
            }
            let word = try Self.text(body, "ackmode")
            guard let mode = Broker.TakeMode(rawValue: word) else {
                throw Self.problem(400, "bad_request", "ackmode: '\(word)' is none")
            }
            guard (0...Self.countLimit).contains(count) else {
                throw Self.problem(400, "bad_request", "count: 0 to \(Self.countLimit)")
            }
            let encoding = try Self.text(body, "encoding")
            guard ["auto", "base64"].contains(encoding) else {
                throw Self.problem(400, "bad_request", "encoding: '\(encoding)' is neither auto nor base64")
            }
            let isBase64 = encoding == "base64"
            let limit = try Self.number(body, "truncate") ?? .max
            guard limit >= 0 else { throw Self.problem(400, "bad_request", "truncate: a number of bytes") }
            let taken = try broker.operateTake(queue, count: count, mode, now: now)
            call.exchange.answer(
                json: .array(taken.map { json($0.entry, left: $0.left, isBase64: isBase64, limitBytes: limit) }))
        }
    }

    private static func payload(_ body: JSONValue) throws -> [UInt8] {
        let text = try text(body, "payload")
        switch body["payload_encoding"]?.word ?? "string" {
        case "string": return Array(text.utf8)
        case "base64":
            guard let bytes = Base64.standard.decode(text) else {
                throw problem(400, "bad_request", "payload: not base64")
            }
            return bytes
        case let other: throw problem(400, "bad_request", "payload_encoding: '\(other)' is neither string nor base64")
        }
    }

    func json(_ entry: QueueEntry, left: Int, isBase64: Bool = false, limitBytes: Int = .max) -> JSONValue {
        let message = entry.message
        let body = Array(message.body.prefix(max(0, limitBytes)))
        let text = isBase64 ? nil : String(validating: body, as: UTF8.self)
        return [
            "payload_bytes": .integer(message.body.count), "redelivered": .bool(entry.isRedelivered),
            "exchange": .string(message.exchange), "routing_key": .string(message.routingKey),
            "message_count": .integer(left), "properties": message.readProperties.json,
            "payload": .string(text ?? Base64.standard.encode(body)),
            "payload_encoding": text == nil ? "base64" : "string",
        ]
    }

    // MARK: The lab's own

    func mountLab(on router: HTTPRouter) {
        route(router, "GET", "/api/queues/{vhost}/{name}/peek") { [self] call in
            let queue = try queue(call)
            try check(call, .read, on: queue.name, in: virtualHost(call))
            let count = try count(call, 20)
            let ready = broker.peek(queue, limit: count).map { entry in peeked(entry) }
            let out = broker.unacked(of: queue).prefix(count).map { delivery -> JSONValue in
                guard case .object(let members) = peeked(delivery.entry) else { return .null }
                return .object(
                    members + [
                        ("consumer", delivery.consumer.map { .string($0.tag) } ?? "basic.get"),
                        ("channel", delivery.consumer.map { .string($0.channelName) } ?? .null),
                        ("held_milliseconds", .milliseconds(now - delivery.deliveredAt)),
                    ])
            }
            call.exchange.answer(json: [
                "queue": .string(queue.name), "messages_ready": .integer(queue.readyCount),
                "messages_unacknowledged": .integer(queue.unackedCount), "ready": .array(ready),
                "unacknowledged": .array(out),
            ])
        }
        route(router, "GET", "/api/trace/{id}", needs: .monitoring) { [self] call in
            let events = broker.trace.events(of: call.parameter("id")).map { event -> JSONValue in
                [
                    "time": .string(event.time.description), "id": .integer(Int(clamping: event.message.id)),
                    "message_id": .string(event.message.name), "event": .string(event.kind.rawValue),
                    "place": .string(event.place), "detail": .string(event.detail),
                ]
            }
            call.exchange.answer(json: .array(events))
        }
        route(router, "GET", "/api/log", needs: .monitoring) { [self] call in
            guard let store = host.store else {
                throw Self.problem(
                    404, "Object Not Found", "this broker keeps no log: it was started without --data-dir")
            }
            call.exchange.answer(json: try LogDescription(store, broker).json(limit: try count(call, 50)))
        }
    }

    private func count(_ call: Call, _ preset: Int) throws -> Int {
        guard let text = call.option("count") else { return preset }
        guard let count = Int(text), (1...Self.countLimit).contains(count) else {
            throw Self.problem(400, "bad_request", "count: 1 to \(Self.countLimit)")
        }
        return count
    }

    private func peeked(_ entry: QueueEntry) -> JSONValue {
        let message = entry.message
        let shown = Array(message.body.prefix(Self.peekBytes))
        let text = String(validating: shown, as: UTF8.self)
        return [
            "position": .integer(Int(clamping: entry.sequence)), "message_id": .string(message.displayName),
            "returns": .integer(entry.returnCount), "age_milliseconds": .milliseconds(now - message.publishedAt),
            "exchange": .string(message.exchange), "routing_key": .string(message.routingKey),
            "persistent": .bool(message.isPersistent), "payload_bytes": .integer(message.body.count),
            "payload": .string(text ?? Base64.standard.encode(shown)),
            "payload_encoding": text == nil ? "base64" : "string",
        ]
    }
}

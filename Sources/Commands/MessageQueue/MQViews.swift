import CommandKit
import KernelJSON
import KernelStructures

/// The management's answers as people read them.
enum MQViews {
    static func view(of question: MQQuestion, _ json: JSONValue) -> View {
        switch question {
        case .queues: queues(json)
        case .peek(let queue, _): peek(queue, json)
        case .log: log(json)
        case .trace(let id): trace(id, json)
        case .stats: stats(json)
        }
    }

    private static func elements(_ json: JSONValue?) -> [JSONValue] {
        if case .array(let elements)? = json { elements } else { [] }
    }

    private static func text(_ json: JSONValue?) -> View.Cell {
        switch json {
        case .string(let text)?: .text(MQClient.text(Array(text.utf8)))
        case .integer(let number)?: .integer(number)
        case .bool(let flag)?: View.Cell(flag ? "yes" : "no", json: .bool(flag))
        default: .none
        }
    }

    /// `15:00:05.012`; the whole of it for programs.
    private static func clock(_ json: JSONValue?) -> View.Cell {
        guard case .string(let text)? = json, let time = LabTime(parsing: text) else { return self.text(json) }
        return View.Cell(time.timeOfDayToMilliseconds, json: .string(text))
    }

    private static func milliseconds(_ json: JSONValue?) -> View.Cell {
        switch json {
        case .integer(let number)?: .duration(.milliseconds(number))
        case .number(let number)? where number.isFinite && abs(number) < 1e12:
            .duration(LabDuration(nanoseconds: Int64(number * 1_000_000)))
        default: .none
        }
    }

    private static func queues(_ json: JSONValue) -> View {
        // Of a broker alone there is nothing to be said about members.
        let isGroup = elements(json).contains { $0["members"] != nil }
        let rows = elements(json).map { queue in
            [
                text(queue["name"]), text(queue["type"]), text(queue["messages_ready"]),
                text(queue["messages_unacknowledged"]), text(queue["consumers"]), text(queue["policy"]),
            ] + (isGroup ? group(queue) : [])
        }
        return View(
            .table(
                .init(
                    [
                        .init("QUEUE", key: "queue", flexible: true), .init("TYPE", key: "type"),
                        .init("READY", key: "ready", right: true), .init("UNACKED", key: "unacknowledged", right: true),
                        .init("CONSUMERS", key: "consumers", right: true), .init("POLICY", key: "policy"),
                    ] + (isGroup ? [.init("LEADER", key: "leader"), .init("UP", key: "up")] : []), rows: rows,
                    whenEmpty: "no queues")))
    }

    private static func group(_ queue: JSONValue) -> [View.Cell] {
        guard queue["members"] != nil else { return [.none, .none] }
        let leader: String? = if case .string(let name)? = queue["leader"] { name } else { nil }
        return group(leader: leader, elements(queue["online"]).count, of: elements(queue["members"]).count)
    }

    /// Who leads, and how many of the members are there: `localhost:5672`, `2/3`.
    static func group(leader: String?, _ onlineCount: Int, of memberCount: Int) -> [View.Cell] {
        [
            leader.map { .text(String($0.trimmingPrefix("rabbit@"))) } ?? .none,
            .text("\(onlineCount)/\(memberCount)"),
        ]
    }

    private static func peek(_ queue: String, _ json: JSONValue) -> View {
        func row(_ message: JSONValue) -> [View.Cell] {
            [
                text(message["message_id"]), text(message["returns"]), text(message["consumer"]),
                milliseconds(message["held_milliseconds"]), text(message["payload"]),
            ]
        }
        // What is out was in front.
        let rows = (elements(json["unacknowledged"]) + elements(json["ready"])).map(row)
        return View(
            .table(
                .init(
                    [
                        .init("MESSAGE", key: "message"), .init("RETURNS", key: "returns", right: true),
                        .init("HELD BY", key: "consumer"), .init("FOR", key: "held", right: true),
                        .init("BODY", key: "body", flexible: true),
                    ], rows: rows, whenEmpty: "queue '\(queue)' is empty")))
    }

    private static func log(_ json: JSONValue) -> View {
        let rows = elements(json["records"]).map { record in
            [
                clock(record["timestamp"]), text(record["operation"]), text(record["queue"]),
                text(record["message_id"]), text(record["payload_length"]),
                record["operation"] == "publish" ? text(record["payload"]) : text(record["detail"]),
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("TIMESTAMP", key: "timestamp"), .init("OPERATION", key: "operation"),
                        .init("QUEUE", key: "queue"), .init("MESSAGE_ID", key: "message_id"),
                        .init("LENGTH", key: "payload_length", right: true),
                        .init("PAYLOAD", key: "payload", flexible: true),
                    ], rows: rows, whenEmpty: "the log is empty")))
    }

    private static func trace(_ id: String, _ json: JSONValue) -> View {
        let rows = elements(json).map { [clock($0["time"]), text($0["event"]), text($0["place"]), text($0["detail"])] }
        return View(
            .table(
                .init(
                    [
                        .init("TIME", key: "time"), .init("EVENT", key: "event"), .init("WHERE", key: "place"),
                        .init("DETAIL", key: "detail", flexible: true),
                    ], rows: rows, whenEmpty: "nothing is known of a message '\(id)' any more")))
    }

    private static func stats(_ json: JSONValue) -> View {
        let rows = [
            ("queues", json["object_totals"]?["queues"]), ("connections", json["object_totals"]?["connections"]),
            ("consumers", json["object_totals"]?["consumers"]),
            ("messages ready", json["queue_totals"]?["messages_ready"]),
            ("messages unacknowledged", json["queue_totals"]?["messages_unacknowledged"]),
            ("published", json["message_stats"]?["publish"]), ("confirmed", json["message_stats"]?["confirm"]),
            ("delivered", json["message_stats"]?["deliver"]), ("acknowledged", json["message_stats"]?["ack"]),
            ("redelivered", json["message_stats"]?["redeliver"]),
            ("unroutable", json["message_stats"]?["drop_unroutable"]),
        ].map { [View.Cell.text($0.0), text($0.1)] }
        return View(
            .table(
                .init(
                    [.init("WHAT", key: "what"), .init("COUNT", key: "count", right: true)], rows: rows,
                    whenEmpty: "nothing")))
    }
}

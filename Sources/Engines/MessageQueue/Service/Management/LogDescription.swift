import KernelAMQP
import KernelJSON
import KernelStructures
import MessageLogEngine
import MessageQueueEngine

/// A broker's log as people read it: the newest records, with queues by their names.
struct LogDescription {
    private let log: MessageLog
    private var names: [UInt64: String] = [:]

    init(_ store: DurableStore, _ broker: Broker) {
        log = store.log
        for host in broker.sortedVirtualHosts {
            for queue in host.sortedQueues {
                names[queue.number] = host.name == "/" ? queue.name : "\(host.name)/\(queue.name)"
            }
        }
    }

    /// - Throws: `MessageLogError`.
    func json(limit: Int) throws -> JSONValue {
        let lines = try log.lines(limit: limit)
        let segments = log.segmentSummaries.map { segment -> JSONValue in
            [
                "segment": .integer(Int(clamping: segment.number)), "bytes": .integer(segment.sizeBytes),
                "messages": .integer(segment.messages), "live_messages": .integer(segment.liveMessages),
                "live_bytes": .integer(segment.liveBytes),
            ]
        }
        return ["segments": .array(segments), "records": .array(lines.map(json))]
    }

    /// Field by field as the documentation names them.
    private func json(_ line: MessageLogLine) -> JSONValue {
        let id = line.messageID.map { number in Self.name(of: line) ?? "#\(number)" }
        let isMessage = line.operation == "publish"
        return [
            "segment": .integer(Int(clamping: line.segment)), "offset": .integer(line.offsetBytes),
            "timestamp": .string(line.timestamp.description), "operation": .string(line.operation),
            "queue": line.queue.map { .string(names[$0] ?? "#\($0)") } ?? .null,
            "message_id": id.map { .string($0) } ?? .null,
            "positions": line.sequences.map {
                .string($0.lowerBound == $0.upperBound ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)")
            } ?? .null,
            "payload_length": .integer(line.payload.count),
            "payload": isMessage ? .string(String(decoding: line.payload.prefix(200), as: UTF8.self)) : .null,
            "detail": .string(line.detail),
        ]
    }

    /// What its publisher calls the message.
    private static func name(of line: MessageLogLine) -> String? {
        let logged = LoggedMessage(id: 0, time: line.timestamp, head: line.head, body: [])
        return StoredMessage(logged).flatMap { try? AMQPProperties(encoded: $0.properties) }?.messageID
    }
}

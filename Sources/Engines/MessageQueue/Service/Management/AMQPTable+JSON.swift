import KernelAMQP
import KernelCryptography
import KernelJSON

/// Field tables and properties as RabbitMQ's management shows and reads them.
extension AMQPValue {
    var json: JSONValue {
        switch self {
        case .boolean(let flag): .bool(flag)
        case .int8, .uint8, .int16, .uint16, .int32, .uint32: .integer(integer ?? 0)
        case .int64(let number): .integer(Int(number))
        case .timestamp(let seconds): .unsigned(seconds).small
        case .float(let number): .number(Double(number))
        case .double(let number): .number(number)
        case .decimal(let scale, let value): .string("\(value)e-\(scale)")
        case .string(let raw), .bytes(let raw):
            .string(String(validating: raw, as: UTF8.self) ?? Base64.standard.encode(raw))
        case .table(let table): table.json
        case .array(let elements): .array(elements.map(\.json))
        case .void: .null
        }
    }

    /// - Returns: nil for numbers that no value has.
    init?(_ json: JSONValue) {
        switch json {
        case .null: self = .void
        case .bool(let flag): self = .boolean(flag)
        case .integer(let number): self = .int64(Int64(number))
        case .number(let number): self = .double(number)
        case .unsigned, .decimal: return nil
        case .string(let text): self = .string(text)
        case .array(let elements):
            let values = elements.compactMap(AMQPValue.init)
            guard values.count == elements.count else { return nil }
            self = .array(values)
        case .object:
            guard let table = AMQPTable(json) else { return nil }
            self = .table(table)
        }
    }
}

extension JSONValue {
    /// A number as it is written most shortly.
    fileprivate var small: JSONValue {
        if case .unsigned(let number) = self, let integer = Int(exactly: number) { return .integer(integer) }
        return self
    }

    /// Text, or a number as text: some clients send one for the other.
    var word: String? {
        switch self {
        case .string(let text): text
        case .integer(let number): String(number)
        case .bool(let flag): String(flag)
        default: nil
        }
    }

    /// `true`, or the text of it.
    var flag: Bool? {
        switch self {
        case .bool(let flag): flag
        case .string("true"): true
        case .string("false"), .string(""): false
        default: nil
        }
    }

    /// A whole number, or the text of one.
    var whole: Int? {
        switch self {
        case .integer(let number): number
        case .string(let text): Int(text)
        default: nil
        }
    }
}

extension AMQPTable {
    var json: JSONValue { .object(fields.map { ($0.name, $0.value.json) }) }

    /// - Returns: nil for what is no object, or has what no table has.
    init?(_ json: JSONValue) {
        guard case .object(let members) = json else { return nil }
        self.init()
        for (name, value) in members {
            guard name.utf8.count <= 255, let value = AMQPValue(value) else { return nil }
            fields.append(Field(name, value))
        }
    }
}

extension AMQPProperties {
    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        func add(_ name: String, _ text: String?) { if let text { members.append((name, .string(text))) } }
        add("content_type", contentType)
        add("content_encoding", contentEncoding)
        if let headers { members.append(("headers", headers.json)) }
        if let deliveryMode { members.append(("delivery_mode", .integer(Int(deliveryMode)))) }
        if let priority { members.append(("priority", .integer(Int(priority)))) }
        add("correlation_id", correlationID)
        add("reply_to", replyTo)
        add("expiration", expiration)
        add("message_id", messageID)
        if let timestamp { members.append(("timestamp", .integer(Int(clamping: timestamp)))) }
        add("type", type)
        add("user_id", userID)
        add("app_id", appID)
        add("cluster_id", clusterID)
        return .object(members)
    }

    /// - Returns: the name of what cannot be.
    mutating func read(_ json: JSONValue) -> String? {
        guard case .object(let members) = json else { return "properties" }
        for (name, value) in members {
            let text = value.word
            if let text, text.utf8.count > 255 { return name }
            switch name {
            case "content_type": contentType = text
            case "content_encoding": contentEncoding = text
            case "headers":
                guard let table = AMQPTable(value) else { return name }
                headers = table
            case "delivery_mode", "priority":
                guard let number = value.whole.flatMap({ UInt8(exactly: $0) }) else { return name }
                if name == "priority" { priority = number } else { deliveryMode = number }
            case "correlation_id": correlationID = text
            case "reply_to": replyTo = text
            case "expiration":
                guard let text, let time = Int(text), time >= 0 else { return name }
                expiration = text
            case "message_id": messageID = text
            case "timestamp":
                guard let number = value.whole.flatMap({ UInt64(exactly: $0) }) else { return name }
                timestamp = number
            case "type": type = text
            case "user_id": userID = text
            case "app_id": appID = text
            case "cluster_id": clusterID = text
            default: return name
            }
        }
        return nil
    }
}

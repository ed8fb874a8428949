import KernelJSON
import KernelStructures

/// Commands and outcomes as bytes, for a log that several members share.
extension RegistryCommand {
    public var encoded: [UInt8] { record.bytes() }

    /// Nil for what no member wrote.
    public init?(encoded: [UInt8]) {
        let limits = JSONLimits(bytes: 64 << 20, depth: 64, values: 1_000_000)
        guard let value = try? JSONValue(parsing: encoded, limits: limits) else { return nil }
        self.init(record: value)
    }
}

extension RegistryCommand: CatalogRecord {
    var record: JSONValue {
        switch self {
        case .register(let node, let instance, let checks):
            .object([
                ("do", "register"), ("node", node.record), ("instance", instance?.record ?? .null),
                ("checks", .array(checks.map(\.record))),
            ])
        case .deregister(let node, let instance, let check, let index):
            .object([
                ("do", "deregister"), ("node", .string(node)), ("instance", .optional(instance)),
                ("check", .optional(check)), ("after", index.map { .index($0) } ?? .null),
            ])
        case .updateCheck(let node, let check, let status, let output):
            .object([
                ("do", "update"), ("node", .string(node)), ("check", .string(check)),
                ("status", .string(status.rawValue)), ("output", .string(output)),
            ])
        case .catalogued(let command): .object([("do", "catalogued"), ("command", command.record)])
        case .report(let node, let instance, let failures, let successes, let name):
            .object([
                ("do", "report"), ("node", .string(node)), ("instance", .string(instance)),
                ("failures", .integer(failures)), ("successes", .integer(successes)), ("by", .string(name)),
            ])
        case .key(let operation): .object([("do", "key"), ("key", operation.record)])
        case .transaction(let operations):
            .object([("do", "transaction"), ("steps", .array(operations.map(\.record)))])
        case .createSession(let session): .object([("do", "session"), ("session", session.record)])
        case .renewSession(let id): .object([("do", "renew"), ("id", .string(id))])
        case .destroySession(let id): .object([("do", "destroy"), ("id", .string(id))])
        case .fire(let event): .object([("do", "fire"), ("event", event.record)])
        }
    }

    init?(record: JSONValue) {
        switch record.text("do") {
        case "register"?:
            guard let node = record["node"].flatMap({ CatalogNode(record: $0) }), let checks = record.elements("checks")
            else { return nil }
            self = .register(
                node: node, instance: record["instance"].flatMap { ServiceInstance(record: $0) },
                checks: checks.compactMap { CatalogCheck(record: $0) })
        case "deregister"?:
            guard let node = record.text("node") else { return nil }
            self = .deregister(
                node: node, instance: record.text("instance"), check: record.text("check"),
                unlessAfter: record.unsigned("after"))
        case "update"?:
            guard let node = record.text("node"), let check = record.text("check"),
                let status = record.text("status").flatMap(ServiceStatus.init)
            else { return nil }
            self = .updateCheck(node: node, check: check, status: status, output: record.text("output") ?? "")
        case "report"?:
            guard let node = record.text("node"), let instance = record.text("instance") else { return nil }
            self = .report(
                node: node, instance: instance, failures: record.integer("failures") ?? 0,
                successes: record.integer("successes") ?? 0, by: record.text("by") ?? "")
        default: self.init(other: record)
        }
    }

    private init?(other record: JSONValue) {
        switch record.text("do") {
        case "catalogued"?:
            guard let command = record["command"].flatMap({ RegistryCommand(record: $0) }) else { return nil }
            self = .catalogued(command)
        case "key"?:
            guard let operation = record["key"].flatMap({ KeyOperation(record: $0) }) else { return nil }
            self = .key(operation)
        case "transaction"?:
            guard let steps = record.elements("steps") else { return nil }
            let operations = steps.compactMap { TransactionOperation(record: $0) }
            guard operations.count == steps.count else { return nil }
            self = .transaction(operations)
        case "session"?:
            guard let session = record["session"].flatMap({ RegistrySession(record: $0) }) else { return nil }
            self = .createSession(session)
        case "renew"?: self = .renewSession(record.text("id") ?? "")
        case "destroy"?: self = .destroySession(record.text("id") ?? "")
        case "fire"?:
            guard let event = record["event"].flatMap({ RegistryEvent(record: $0) }) else { return nil }
            self = .fire(event)
        default: return nil
        }
    }
}

extension KeyOperation: CatalogRecord {
    var record: JSONValue {
        func put(_ verb: String, _ key: String, _ value: [UInt8], _ flags: UInt64) -> [(key: String, value: JSONValue)]
        {
            [("do", .string(verb)), ("key", .string(key)), ("value", .bytes(value)), ("flags", .index(flags))]
        }
        switch self {
        case .set(let key, let value, let flags): return .object(put("set", key, value, flags))
        case .compareAndSet(let key, let value, let flags, let index):
            return .object(put("cas", key, value, flags) + [("index", .index(index))])
        case .acquire(let key, let value, let flags, let session):
            return .object(put("acquire", key, value, flags) + [("session", .string(session))])
        case .release(let key, let value, let flags, let session):
            return .object(put("release", key, value, flags) + [("session", .string(session))])
        case .delete(let key): return .object([("do", "delete"), ("key", .string(key))])
        case .compareAndDelete(let key, let index):
            return .object([("do", "delete-cas"), ("key", .string(key)), ("index", .index(index))])
        case .deleteTree(let prefix): return .object([("do", "delete-tree"), ("key", .string(prefix))])
        }
    }

    init?(record: JSONValue) {
        guard let key = record.text("key") else { return nil }
        let value = record.bytes("value") ?? []
        let flags = record.unsigned("flags") ?? 0
        let index = record.unsigned("index") ?? 0
        let session = record.text("session") ?? ""
        switch record.text("do") {
        case "set"?: self = .set(key: key, value: value, flags: flags)
        case "cas"?: self = .compareAndSet(key: key, value: value, flags: flags, index: index)
        case "acquire"?: self = .acquire(key: key, value: value, flags: flags, session: session)
        case "release"?: self = .release(key: key, value: value, flags: flags, session: session)
        case "delete"?: self = .delete(key: key)
        case "delete-cas"?: self = .compareAndDelete(key: key, index: index)
        case "delete-tree"?: self = .deleteTree(prefix: key)
        default: return nil
        }
    }
}

extension TransactionOperation: CatalogRecord {
    var record: JSONValue {
        func step(_ verb: String, _ key: String, _ more: (key: String, value: JSONValue)...) -> JSONValue {
            .object([("do", .string(verb)), ("key", .string(key))] + more)
        }
        switch self {
        case .key(let operation): return .object([("do", "key"), ("operation", operation.record)])
        case .get(let key): return step("get", key)
        case .getTree(let prefix): return step("get-tree", prefix)
        case .checkIndex(let key, let index): return step("check-index", key, ("index", .index(index)))
        case .checkSession(let key, let session): return step("check-session", key, ("session", .string(session)))
        case .checkNotExists(let key): return step("check-not-exists", key)
        case .catalog(let command): return .object([("do", "catalog"), ("command", command.record)])
        }
    }

    init?(record: JSONValue) {
        let key = record.text("key") ?? ""
        switch record.text("do") {
        case "key"?:
            guard let operation = record["operation"].flatMap({ KeyOperation(record: $0) }) else { return nil }
            self = .key(operation)
        case "get"?: self = .get(key: key)
        case "get-tree"?: self = .getTree(prefix: key)
        case "check-index"?: self = .checkIndex(key: key, index: record.unsigned("index") ?? 0)
        case "check-session"?: self = .checkSession(key: key, session: record.text("session") ?? "")
        case "check-not-exists"?: self = .checkNotExists(key: key)
        case "catalog"?:
            guard let command = record["command"].flatMap({ RegistryCommand(record: $0) }) else { return nil }
            self = .catalog(command)
        default: return nil
        }
    }
}

extension RegistryOutcome {
    public var encoded: [UInt8] {
        switch self {
        case .done: Array("{}".utf8)
        case .unmet: Array(#"{"unmet":true}"#.utf8)
        case .refused(let error):
            JSONValue.object([
                ("kind", .string(error.kind.rawValue)), ("text", .string(error.description)),
                ("remedy", .optional(error.remedy)),
            ]).bytes()
        case .transaction(let entries, let errors):
            JSONValue.object([
                ("entries", .array(entries.map(\.record))),
                ("errors", .array(errors.map { .array([.integer($0.operation), .string($0.text)]) })),
            ]).bytes()
        }
    }

    /// Nil for what no member wrote.
    public init?(encoded: [UInt8]) {
        guard let value = try? JSONValue(parsing: encoded, limits: JSONLimits(bytes: 64 << 20)) else { return nil }
        if let kind = value.text("kind").flatMap(RegistryError.Kind.init) {
            self = .refused(RegistryError(kind, value.text("text") ?? "", remedy: value.text("remedy")))
        } else if let entries = value.elements("entries") {
            let errors = (value.elements("errors") ?? []).compactMap { pair -> TransactionFailure? in
                guard case .integer(let number)? = pair[0], case .string(let text)? = pair[1] else { return nil }
                return TransactionFailure(operation: number, text: text)
            }
            self = .transaction(entries: entries.compactMap { KeyEntry(record: $0) }, errors: errors)
        } else {
            self = value.flag("unmet") == true ? .unmet : .done
        }
    }
}

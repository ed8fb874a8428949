import KernelCryptography
import KernelJSON
import KernelStructures

/// Records as JSON, exactly: for commands in a replicated log, and for snapshots. Reading gives nil for what was not
/// written here.
protocol CatalogRecord {
    var record: JSONValue { get }
    init?(record: JSONValue)
}

extension JSONValue {
    func text(_ name: String) -> String? { if case .string(let text)? = self[name] { text } else { nil } }
    func integer(_ name: String) -> Int? { if case .integer(let number)? = self[name] { number } else { nil } }
    func flag(_ name: String) -> Bool? { if case .bool(let flag)? = self[name] { flag } else { nil } }
    func unsigned(_ name: String) -> UInt64? {
        switch self[name] {
        case .integer(let number)?: UInt64(exactly: number)
        case .unsigned(let number)?: number
        default: nil
        }
    }
    func elements(_ name: String) -> [JSONValue]? {
        if case .array(let elements)? = self[name] { elements } else { nil }
    }
    func texts(_ name: String) -> [String]? {
        elements(name)?.compactMap { if case .string(let text) = $0 { text } else { nil } }
    }
    func pairs(_ name: String) -> [String: String]? {
        guard case .object(let members)? = self[name] else { return nil }
        return Dictionary(
            members.compactMap { member in
                if case .string(let text) = member.value { (member.key, text) } else { nil }
            }, uniquingKeysWith: { $1 })
    }
    func bytes(_ name: String) -> [UInt8]? { text(name).flatMap { Base64.standard.decode($0) } }
    func duration(_ name: String) -> LabDuration? { integer(name).map { LabDuration(nanoseconds: Int64($0)) } }

    static func bytes(_ bytes: [UInt8]) -> JSONValue { .string(Base64.standard.encode(bytes)) }
    static func duration(_ duration: LabDuration?) -> JSONValue {
        duration.map { .integer(Int($0.nanoseconds)) } ?? .null
    }
    static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}

extension CatalogNode: CatalogRecord {
    var record: JSONValue {
        .object([
            ("name", .string(name)), ("id", .string(id)), ("address", .string(address)),
            ("tagged", RegistryCatalog.pairs(taggedAddresses)), ("meta", RegistryCatalog.pairs(meta)),
            ("create", .index(createIndex)), ("modify", .index(modifyIndex)),
        ])
    }

    init?(record: JSONValue) {
        guard let name = record.text("name"), let address = record.text("address") else { return nil }
        self.init(name: name, address: address)
        id = record.text("id") ?? ""
        taggedAddresses = record.pairs("tagged") ?? [:]
        meta = record.pairs("meta") ?? [:]
        createIndex = record.unsigned("create") ?? 0
        modifyIndex = record.unsigned("modify") ?? 0
    }
}

extension ServiceInstance: CatalogRecord {
    var record: JSONValue {
        .object([
            ("node", .string(node)), ("id", .string(id)), ("name", .string(name)), ("tags", .texts(tags)),
            ("address", .string(address)), ("port", .integer(port)), ("meta", RegistryCatalog.pairs(meta)),
            ("passing", .integer(passingWeight)), ("warning", .integer(warningWeight)),
            ("override", .bool(allowsTagOverride)), ("create", .index(createIndex)), ("modify", .index(modifyIndex)),
        ])
    }

    init?(record: JSONValue) {
        guard let node = record.text("node"), let id = record.text("id"), let name = record.text("name") else {
            return nil
        }
        self.init(node: node, id: id, name: name)
        tags = record.texts("tags") ?? []
        address = record.text("address") ?? ""
        port = record.integer("port") ?? 0
        meta = record.pairs("meta") ?? [:]
        passingWeight = record.integer("passing") ?? 1
        warningWeight = record.integer("warning") ?? 1
        allowsTagOverride = record.flag("override") ?? false
        createIndex = record.unsigned("create") ?? 0
        modifyIndex = record.unsigned("modify") ?? 0
    }
}

extension CatalogCheck: CatalogRecord {
    var record: JSONValue {
        .object([
            ("node", .string(node)), ("id", .string(id)), ("name", .string(name)), ("status", .string(status.rawValue)),
            ("notes", .string(notes)), ("output", .string(output)), ("service", .string(serviceID)),
            ("serviceName", .string(serviceName)), ("definition", definition?.record ?? .null),
            ("create", .index(createIndex)), ("modify", .index(modifyIndex)),
        ])
    }

    init?(record: JSONValue) {
        guard let node = record.text("node"), let id = record.text("id"),
            let status = record.text("status").flatMap(ServiceStatus.init)
        else { return nil }
        self.init(node: node, id: id, name: record.text("name") ?? "")
        self.status = status
        notes = record.text("notes") ?? ""
        output = record.text("output") ?? ""
        serviceID = record.text("service") ?? ""
        serviceName = record.text("serviceName") ?? ""
        definition = record["definition"].flatMap { CheckDefinition(record: $0) }
        createIndex = record.unsigned("create") ?? 0
        modifyIndex = record.unsigned("modify") ?? 0
    }
}

extension CheckDefinition: CatalogRecord {
    var record: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("kind", .string(kind.word)), ("interval", .duration(interval)), ("timeout", .duration(timeout)),
            ("successes", .integer(successesBeforePassing)),
            ("warnings", failuresBeforeWarning.map { .integer($0) } ?? .null),
            ("failures", .integer(failuresBeforeCritical)), ("deregisters", .duration(deregistersAfter)),
        ]
        switch kind {
        case .http(let url, let method, let fields, let body):
            members += [
                ("url", .string(url)), ("method", .string(method)), ("fields", RegistryCatalog.pairs(fields)),
                ("body", .string(body)),
            ]
        case .tcp(let place): members.append(("place", .string(place)))
        case .alias(let node, let service): members += [("node", .string(node)), ("service", .string(service))]
        case .ttl, .passive: break
        }
        return .object(members)
    }

    init?(record: JSONValue) {
        guard let interval = record.duration("interval") else { return nil }
        switch record.text("kind") {
        case "http"?:
            guard let url = record.text("url") else { return nil }
            let kind = Kind.http(
                url: url, method: record.text("method") ?? "GET", fields: record.pairs("fields") ?? [:],
                body: record.text("body") ?? "")
            self.init(kind, interval: interval)
        case "tcp"?: self.init(.tcp(record.text("place") ?? ""), interval: interval)
        case "alias"?:
            self.init(
                .alias(node: record.text("node") ?? "", service: record.text("service") ?? ""), interval: interval)
        case "ttl"?: self.init(.ttl, interval: interval)
        case "passive"?: self.init(.passive, interval: interval)
        default: return nil
        }
        timeout = record.duration("timeout") ?? timeout
        successesBeforePassing = record.integer("successes") ?? 0
        failuresBeforeWarning = record.integer("warnings")
        failuresBeforeCritical = record.integer("failures") ?? 0
        deregistersAfter = record.duration("deregisters")
    }
}

extension KeyEntry: CatalogRecord {
    var record: JSONValue {
        .object([
            ("key", .string(key)), ("value", .bytes(value)), ("flags", .index(flags)), ("session", .optional(session)),
            ("locks", .index(lockIndex)), ("create", .index(createIndex)), ("modify", .index(modifyIndex)),
        ])
    }

    init?(record: JSONValue) {
        guard let key = record.text("key"), let value = record.bytes("value") else { return nil }
        self.init(key: key, value: value)
        flags = record.unsigned("flags") ?? 0
        session = record.text("session")
        lockIndex = record.unsigned("locks") ?? 0
        createIndex = record.unsigned("create") ?? 0
        modifyIndex = record.unsigned("modify") ?? 0
    }
}

extension RegistrySession: CatalogRecord {
    var record: JSONValue {
        .object([
            ("id", .string(id)), ("name", .string(name)), ("node", .string(node)), ("checks", .texts(checks)),
            ("behavior", .string(behavior.rawValue)), ("ttl", .duration(ttl)), ("delay", .duration(lockDelay)),
            ("create", .index(createIndex)), ("modify", .index(modifyIndex)),
        ])
    }

    init?(record: JSONValue) {
        guard let id = record.text("id"), let node = record.text("node") else { return nil }
        self.init(id: id, node: node)
        name = record.text("name") ?? ""
        checks = record.texts("checks") ?? []
        behavior = record.text("behavior").flatMap(Behavior.init) ?? .release
        ttl = record.duration("ttl")
        lockDelay = record.duration("delay") ?? .zero
        createIndex = record.unsigned("create") ?? 0
        modifyIndex = record.unsigned("modify") ?? 0
    }
}

extension RegistryEvent: CatalogRecord {
    var record: JSONValue {
        .object([
            ("id", .string(id)), ("name", .string(name)), ("payload", .bytes(payload)), ("nodes", .string(nodeFilter)),
            ("services", .string(serviceFilter)), ("tags", .string(tagFilter)), ("index", .index(index)),
        ])
    }

    init?(record: JSONValue) {
        guard let id = record.text("id"), let name = record.text("name") else { return nil }
        self.init(id: id, name: name)
        payload = record.bytes("payload") ?? []
        nodeFilter = record.text("nodes") ?? ""
        serviceFilter = record.text("services") ?? ""
        tagFilter = record.text("tags") ?? ""
        index = record.unsigned("index") ?? 0
    }
}

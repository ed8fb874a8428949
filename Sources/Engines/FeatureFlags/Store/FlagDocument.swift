import KernelJSON
import KernelStructures

/// A piece of the store as it is kept on a disk.
public struct FlagDocument: Equatable, Sendable {
    public let kind: String
    public let key: String
    /// Nil for one that is gone.
    public let body: JSONValue?

    public init(kind: String, key: String, body: JSONValue?) {
        self.kind = kind
        self.key = key
        self.body = body
    }
}

enum DocumentKey: Hashable, Sendable {
    case meta
    case flag(String)
    case segment(Int)
    case schedule(String)
    case token(String)
    case audit(Int)
}

extension FlagStore {
    mutating func touch(_ key: DocumentKey) { if dirtySet.insert(key).inserted { dirty.append(key) } }

    /// What has to be written since the last call, in the order in which it was touched.
    public mutating func takeDocuments() -> [FlagDocument] {
        let documents = dirty.map { document($0) }
        dirty = []
        dirtySet = []
        return documents
    }

    private func document(_ key: DocumentKey) -> FlagDocument {
        switch key {
        case .meta: FlagDocument(kind: "meta", key: "", body: metaJSON)
        case .flag(let name): FlagDocument(kind: "flag", key: name, body: flags[name]?.json)
        case .segment(let id): FlagDocument(kind: "segment", key: "\(id)", body: segments[id]?.json)
        case .schedule(let key): FlagDocument(kind: "schedule", key: key, body: schedules[key]?.json)
        case .token(let name): FlagDocument(kind: "token", key: name, body: tokens[name]?.json)
        case .audit(let id):
            FlagDocument(kind: "audit", key: padded(id, 12), body: audit.last { $0.id == id }?.json)
        }
    }

    private var metaJSON: JSONValue {
        .object([
            ("environments", .array(environments.map { .string($0) })), ("revision", .integer(revision)),
            ("nextAudit", .integer(nextAuditID)), ("nextSegment", .integer(nextSegmentID)),
            ("nextStrategy", .integer(nextStrategyID)),
        ])
    }

    /// The store that these documents are; without a `meta` among them, a new one.
    ///
    /// - Parameter environments: of a new one.
    /// - Throws: `JSONTypeError` for a document that this did not write.
    public init(_ documents: [FlagDocument], environments: [String]) throws(JSONTypeError) {
        self.init(environments: environments)
        guard documents.contains(where: { $0.kind == "meta" }) else { return }
        takeDocumentsOff()
        for document in documents {
            guard let body = document.body else { continue }
            try read(document, JSONCursor(body))
        }
        audit.sort { $0.id < $1.id }
    }

    private mutating func takeDocumentsOff() { _ = takeDocuments() }

    private mutating func read(_ document: FlagDocument, _ body: JSONCursor) throws(JSONTypeError) {
        switch document.kind {
        case "meta":
            let names = try FlagReading.list(body["environments"]) { one throws(JSONTypeError) in try one.string() }
            guard !names.isEmpty else { throw body.error("no environment") }
            environments = names
            let range = 0...Int.max / 2
            revision = try body["revision"].integer(in: range)
            nextAuditID = try body["nextAudit"].integer(in: range)
            nextSegmentID = try body["nextSegment"].integer(in: range)
            nextStrategyID = try body["nextStrategy"].integer(in: range)
        case "flag":
            let flag = try FlagRecord(body)
            flags[flag.name] = flag
        case "segment":
            let segment = try FlagSegment(body)
            segments[segment.id] = segment
        case "schedule": schedules[document.key] = try RolloutSchedule(body)
        case "token":
            let token = try FlagToken(body)
            tokens[token.name] = token
        case "audit": audit.append(try FlagAuditEntry(body))
        default: break
        }
    }
}

// MARK: Records

extension FlagRecord {
    public var json: JSONValue {
        .object([
            ("name", .string(name)), ("description", .string(description)), ("kind", .string(kind.rawValue)),
            ("hasVariants", .bool(hasVariants)), ("createdAt", .string(createdAt.description)),
            ("archived", .bool(isArchived)), ("stale", .bool(isStale)), ("impressionData", .bool(hasImpressionData)),
            ("dependencies", .array(dependencies.map(\.json))),
            ("environments", .object(states.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })),
            ("lastSeenAt", lastSeenAt.map { .string($0.description) } ?? .null),
        ])
    }

    init(_ body: JSONCursor) throws(JSONTypeError) {
        let kind = FlagKind(rawValue: try body["kind"].string())
        self.init(
            try body["name"].string(), kind: kind ?? .release, hasVariants: try body["hasVariants"].bool(),
            createdAt: try body["createdAt"].time())
        description = try body["description"].string()
        isArchived = try body["archived"].bool()
        isStale = try body["stale"].bool()
        hasImpressionData = try body["impressionData"].bool()
        dependencies = try FlagReading.list(body["dependencies"]) { one throws(JSONTypeError) in
            try FlagDependency(one)
        }
        for (name, state) in try body["environments"].members() { states[name] = try FlagState(state) }
        lastSeenAt = try body["lastSeenAt"].ifPresent?.time()
    }
}

extension FlagState {
    var json: JSONValue {
        .object([
            ("enabled", .bool(isEnabled)), ("killed", .bool(isKilled)),
            ("strategies", .array(strategies.map(\.json))), ("variants", .array(variants.map(\.json))),
            ("changedAt", .string(changedAt.description)),
        ])
    }

    init(_ body: JSONCursor) throws(JSONTypeError) {
        self.init(changedAt: try body["changedAt"].time())
        isEnabled = try body["enabled"].bool()
        isKilled = try body["killed"].bool()
        strategies = try FlagReading.list(body["strategies"]) { one throws(JSONTypeError) in try FlagStrategy(one) }
        variants = try FlagReading.list(body["variants"]) { one throws(JSONTypeError) in
            try FlagVariantDefinition(one)
        }
    }
}

extension RolloutSchedule {
    public var json: JSONValue {
        .object([
            ("flag", .string(flag)), ("environment", .string(environment)),
            ("steps", .array(steps.map { .integer($0) })), ("everyMilliseconds", .milliseconds(every)),
            ("next", .integer(next)), ("nextAt", .string(nextAt.description)),
        ])
    }

    init(_ body: JSONCursor) throws(JSONTypeError) {
        let steps = try FlagReading.list(body["steps"]) { one throws(JSONTypeError) in try one.integer(in: 0...100) }
        guard !steps.isEmpty else { throw body.error("no steps") }
        self.init(
            flag: try body["flag"].string(), environment: try body["environment"].string(), steps: steps,
            every: .milliseconds(try body["everyMilliseconds"].integer(in: 1...Int(Int32.max) * 100)),
            next: try body["next"].integer(in: 0...steps.count - 1), nextAt: try body["nextAt"].time())
    }
}

extension FlagToken {
    var json: JSONValue {
        .object([
            ("name", .string(name)), ("kind", .string(kind.rawValue)),
            ("environment", environment.map { .string($0) } ?? .null), ("digest", .string(digest)),
            ("createdAt", .string(createdAt.description)),
        ])
    }

    init(_ body: JSONCursor) throws(JSONTypeError) {
        guard let kind = Kind(rawValue: try body["kind"].string()) else { throw body.error("no kind of token") }
        self.init(
            name: try body["name"].string(), kind: kind, environment: try body["environment"].ifPresent?.string(),
            digest: try body["digest"].string(), createdAt: try body["createdAt"].time())
    }
}

extension FlagAuditEntry {
    public var json: JSONValue {
        .object([
            ("id", .integer(id)), ("createdAt", .string(at.description)), ("createdBy", .string(who)),
            ("type", .string(kind)), ("featureName", flag.map { .string($0) } ?? .null),
            ("environment", environment.map { .string($0) } ?? .null), ("text", .string(text)),
        ])
    }

    init(_ body: JSONCursor) throws(JSONTypeError) {
        self.init(
            id: try body["id"].integer(), at: try body["createdAt"].time(), who: try body["createdBy"].string(),
            kind: try body["type"].string(), flag: try body["featureName"].ifPresent?.string(),
            environment: try body["environment"].ifPresent?.string(), text: try body["text"].string())
    }
}

extension JSONCursor {
    /// RFC 3339.
    func time() throws(JSONTypeError) -> LabTime {
        guard let time = LabTime(parsing: try string()) else { throw error("no time such as 2023-12-20T15:00:00Z") }
        return time
    }
}

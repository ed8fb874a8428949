import KernelJSON

/// What has changed since: Unleash's delta.
extension FlagStore {
    /// Events for a client in that environment.
    ///
    /// - Parameter known: the revision that it has; nil, or one too long ago, or one from another life of the server:
    ///   everything.
    public func delta(since known: Int?, in environment: String) -> [JSONValue] {
        guard let known, known <= revision, known >= (recentChanges.first?.revision ?? revision + 1) - 1 else {
            return [hydration(in: environment)]
        }
        // Of several changes of the same thing the last one is enough.
        var last: [RecentChange.Subject: Int] = [:]
        for change in recentChanges
        where change.revision > known && (change.environment == nil || change.environment == environment) {
            last[change.subject] = change.revision
        }
        return last.sorted { $0.value < $1.value }.map { subject, revision in event(subject, revision, environment) }
    }

    private func hydration(in environment: String) -> JSONValue {
        let definitions = definitions(in: environment)
        return .object([
            ("eventId", .integer(revision)), ("type", "hydration"),
            ("features", .array(definitions.flags.map(\.json))),
            ("segments", .array(definitions.segments.map(\.json))),
        ])
    }

    private func event(_ subject: RecentChange.Subject, _ revision: Int, _ environment: String) -> JSONValue {
        switch subject {
        case .flag(let name):
            guard let flag = flags[name], !flag.isArchived else {
                return .object([
                    ("eventId", .integer(revision)), ("type", "feature-removed"), ("featureName", .string(name)),
                    ("project", "default"),
                ])
            }
            return .object([
                ("eventId", .integer(revision)), ("type", "feature-updated"),
                ("feature", flag.definition(in: environment).json),
            ])
        case .segment(let id):
            guard let segment = segments[id] else {
                return .object([
                    ("eventId", .integer(revision)), ("type", "segment-removed"), ("segmentId", .integer(id)),
                ])
            }
            return .object([
                ("eventId", .integer(revision)), ("type", "segment-updated"), ("segment", segment.json),
            ])
        }
    }
}

extension FlagDefinitions {
    /// Takes over the events of a delta, in their order.
    ///
    /// - Returns: the last event's id; nil for none.
    /// - Throws: `JSONTypeError`, and what came before the mistake is kept.
    @discardableResult
    public mutating func apply(delta value: JSONValue) throws(JSONTypeError) -> Int? {
        var last: Int?
        for event in try JSONCursor(value)["events"].array() {
            switch try event["type"].string() {
            case "hydration": self = try FlagDefinitions(event.value ?? .null)
            case "feature-updated":
                let flag = try FlagDefinition(event["feature"])
                flags.removeAll { $0.name == flag.name }
                flags.append(flag)
            case "feature-removed":
                let name = try event["featureName"].string()
                flags.removeAll { $0.name == name }
            case "segment-updated":
                let segment = try FlagSegment(event["segment"])
                segments.removeAll { $0.id == segment.id }
                segments.append(segment)
            case "segment-removed":
                let id = try event["segmentId"].integer()
                segments.removeAll { $0.id == id }
            // One of tomorrow: an event that nobody knows changes nothing.
            default: break
            }
            last = try event["eventId"].ifPresent?.integer() ?? last
        }
        flags.sort { $0.name < $1.name }
        return last
    }
}

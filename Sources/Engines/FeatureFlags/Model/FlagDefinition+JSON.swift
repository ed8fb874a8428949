import KernelJSON

// Unleash's JSON, as its servers write it. Reading is lenient where Unleash's clients are: members that nobody knows
// are passed over, and what is missing has its usual value.

extension FlagDefinitions {
    /// Flags, segments and members within them beyond these are refused.
    static let countLimit = 10_000
    public static let byteLimit = 16 << 20

    /// The body of `GET /api/client/features`, or of a delta's `hydration`.
    ///
    /// - Throws: `JSONTypeError` with the path to what is wrong.
    public init(_ value: JSONValue) throws(JSONTypeError) {
        let body = JSONCursor(value)
        flags = try FlagReading.list(body["features"]) { flag throws(JSONTypeError) in try FlagDefinition(flag) }
        segments = try FlagReading.list(body["segments"]) { one throws(JSONTypeError) in try FlagSegment(one) }
    }

    /// - Throws: `JSONError`, `JSONTypeError`.
    public init(parsing bytes: [UInt8]) throws {
        try self.init(JSONValue(parsing: bytes, limits: JSONLimits(bytes: Self.byteLimit)))
    }

    public var json: JSONValue {
        .object([
            ("version", .integer(2)), ("features", .array(flags.map(\.json))),
            ("segments", .array(segments.map(\.json))),
        ])
    }
}

extension FlagDefinition {
    public init(_ flag: JSONCursor) throws(JSONTypeError) {
        name = try flag["name"].string()
        isEnabled = try flag["enabled"].bool()
        description = try flag["description"].ifPresent?.string()
        kind = try flag["type"].ifPresent?.string() ?? "release"
        project = try flag["project"].ifPresent?.string() ?? "default"
        isStale = try flag["stale"].ifPresent?.bool() ?? false
        hasImpressionData = try flag["impressionData"].ifPresent?.bool() ?? false
        strategies = try FlagReading.list(flag["strategies"]) { one throws(JSONTypeError) in try FlagStrategy(one) }
        variants = try FlagReading.list(flag["variants"]) { one throws(JSONTypeError) in
            try FlagVariantDefinition(one)
        }
        dependencies = try FlagReading.list(flag["dependencies"]) { one throws(JSONTypeError) in
            try FlagDependency(one)
        }
    }

    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("name", .string(name)), ("type", .string(kind)), ("description", description.map { .string($0) } ?? .null),
            ("enabled", .bool(isEnabled)), ("project", .string(project)), ("stale", .bool(isStale)),
            ("impressionData", .bool(hasImpressionData)), ("strategies", .array(strategies.map(\.json))),
            ("variants", .array(variants.map(\.json))),
        ]
        if !dependencies.isEmpty { members.append(("dependencies", .array(dependencies.map(\.json)))) }
        return .object(members)
    }
}

extension FlagStrategy {
    public init(_ strategy: JSONCursor) throws(JSONTypeError) {
        id = try strategy["id"].ifPresent?.string()
        name = try strategy["name"].string()
        title = try strategy["title"].ifPresent?.string()
        parameters = try FlagReading.texts(strategy["parameters"])
        constraints = try FlagReading.list(strategy["constraints"]) { one throws(JSONTypeError) in
            try FlagConstraint(one)
        }
        segments = try FlagReading.list(strategy["segments"]) { one throws(JSONTypeError) in try one.integer() }
        variants = try FlagReading.list(strategy["variants"]) { one throws(JSONTypeError) in
            try FlagVariantDefinition(one)
        }
        isDisabled = try strategy["disabled"].ifPresent?.bool() ?? false
    }

    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        if let id { members.append(("id", .string(id))) }
        members.append(("name", .string(name)))
        if let title { members.append(("title", .string(title))) }
        members += [
            ("parameters", .object(parameters.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
            ("constraints", .array(constraints.map(\.json))), ("segments", .array(segments.map { .integer($0) })),
            ("variants", .array(variants.map(\.json))), ("disabled", .bool(isDisabled)),
        ]
        return .object(members)
    }
}

extension FlagConstraint {
    public init(_ constraint: JSONCursor) throws(JSONTypeError) {
        contextName = try constraint["contextName"].string()
        `operator` = FlagOperator(try constraint["operator"].string())
        values = try FlagReading.list(constraint["values"]) { one throws(JSONTypeError) in try FlagReading.text(one) }
        value = try constraint["value"].ifPresent.map { one throws(JSONTypeError) in try FlagReading.text(one) }
        isInverted = try constraint["inverted"].ifPresent?.bool() ?? false
        ignoresCase = try constraint["caseInsensitive"].ifPresent?.bool() ?? false
    }

    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("contextName", .string(contextName)), ("operator", .string(`operator`.name)),
            ("values", .array(values.map { .string($0) })), ("inverted", .bool(isInverted)),
            ("caseInsensitive", .bool(ignoresCase)),
        ]
        if let value { members.append(("value", .string(value))) }
        return .object(members)
    }
}

extension FlagSegment {
    public init(_ segment: JSONCursor) throws(JSONTypeError) {
        id = try segment["id"].integer()
        name = try segment["name"].ifPresent?.string() ?? "\(id)"
        constraints = try FlagReading.list(segment["constraints"]) { one throws(JSONTypeError) in
            try FlagConstraint(one)
        }
    }

    public var json: JSONValue {
        .object([
            ("id", .integer(id)), ("name", .string(name)), ("constraints", .array(constraints.map(\.json))),
        ])
    }
}

extension FlagVariantDefinition {
    public static let weightRange = 0...1_000_000

    public init(_ variant: JSONCursor) throws(JSONTypeError) {
        name = try variant["name"].string()
        weight = try variant["weight"].ifPresent?.integer(in: Self.weightRange) ?? 0
        stickiness = try variant["stickiness"].ifPresent?.string()
        if let payload = variant["payload"].ifPresent {
            self.payload = FlagPayload(
                type: try payload["type"].string(), value: try FlagReading.text(payload["value"]))
        }
        overrides = try FlagReading.list(variant["overrides"]) { one throws(JSONTypeError) in
            FlagOverride(
                try one["contextName"].string(),
                try FlagReading.list(one["values"]) { value throws(JSONTypeError) in try FlagReading.text(value) })
        }
    }

    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [("name", .string(name)), ("weight", .integer(weight))]
        if let stickiness { members.append(("stickiness", .string(stickiness))) }
        if let payload { members.append(("payload", payload.json)) }
        if !overrides.isEmpty {
            members.append(
                (
                    "overrides",
                    .array(
                        overrides.map { one in
                            .object([
                                ("contextName", .string(one.contextName)),
                                ("values", .array(one.values.map { .string($0) })),
                            ])
                        })
                ))
        }
        return .object(members)
    }
}

extension FlagPayload {
    public var json: JSONValue { .object([("type", .string(type)), ("value", .string(value))]) }
}

extension FlagDependency {
    public init(_ dependency: JSONCursor) throws(JSONTypeError) {
        feature = try dependency["feature"].string()
        isEnabled = try dependency["enabled"].ifPresent?.bool() ?? true
        variants = try FlagReading.list(dependency["variants"]) { one throws(JSONTypeError) in try one.string() }
    }

    public var json: JSONValue {
        .object([
            ("feature", .string(feature)), ("enabled", .bool(isEnabled)),
            ("variants", .array(variants.map { .string($0) })),
        ])
    }
}

extension FlagVariant {
    /// As Unleash's specification writes it.
    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [("name", .string(name))]
        if let payload { members.append(("payload", payload.json)) }
        return .object(members + [("enabled", .bool(isEnabled)), ("feature_enabled", .bool(isFeatureEnabled))])
    }
}

/// Reading what others write with and without quotes.
enum FlagReading {
    /// Text, or a number or truth value as text.
    static func text(_ cursor: JSONCursor) throws(JSONTypeError) -> String {
        switch cursor.value {
        case .bool(let value)?: value ? "true" : "false"
        case .integer?, .unsigned?, .number?, .decimal?: cursor.value?.text ?? ""
        default: try cursor.string()
        }
    }

    /// Members of an object as texts; those that are nothing of the kind are left out.
    static func texts(_ cursor: JSONCursor) throws(JSONTypeError) -> [String: String] {
        guard let cursor = cursor.ifPresent else { return [:] }
        var found: [String: String] = [:]
        for (name, member) in try cursor.members() {
            switch member.value {
            case .null?, .object?, .array?, nil: break
            default: found[name] = try text(member)
            }
        }
        return found
    }

    /// Elements; none where there is no array.
    static func list<Element>(
        _ cursor: JSONCursor, _ read: (JSONCursor) throws(JSONTypeError) -> Element
    ) throws(JSONTypeError) -> [Element] {
        guard let cursor = cursor.ifPresent else { return [] }
        let elements = try cursor.array()
        guard elements.count <= FlagDefinitions.countLimit else {
            throw cursor.error("more than \(FlagDefinitions.countLimit) elements")
        }
        var found: [Element] = []
        found.reserveCapacity(elements.count)
        for element in elements { found.append(try read(element)) }
        return found
    }
}

import KernelJSON
import KernelStructures

extension FlagContext {
    /// More properties than this are refused.
    public static let propertyLimit = 1_000

    /// A context as people and protocols write it: Unleash's names, OpenFeature's `targetingKey`, plain `id`,
    /// properties beside them or in an object of their own.
    ///
    /// ```
    /// {"id": "123", "country": "US"}   {"targetingKey": "123"}   {"userId": "123", "properties": {"country": "US"}}
    /// ```
    ///
    /// - Throws: `JSONTypeError` with the path to what is wrong.
    public init(_ value: JSONValue) throws(JSONTypeError) {
        self.init()
        let cursor = JSONCursor(value)
        for (name, member) in try cursor.members() {
            switch name {
            case "userId", "targetingKey", "id":
                if let text = try Self.scalar(member), userID == nil || name == "userId" { userID = text }
            case "sessionId": sessionID = try Self.scalar(member)
            case "remoteAddress": remoteAddress = try Self.scalar(member)
            case "environment": environment = try Self.scalar(member)
            case "appName": appName = try Self.scalar(member)
            case "currentTime": currentTime = try Self.time(member)
            case "properties": properties.merge(try FlagReading.texts(member)) { $1 }
            default: properties[name] = try Self.scalar(member)
            }
        }
        if properties.count > Self.propertyLimit {
            throw cursor.error("more than \(Self.propertyLimit) properties")
        }
    }

    /// - Throws: `JSONError`, `JSONTypeError`.
    public init(parsing text: String) throws {
        try self.init(JSONValue(parsing: text, limits: JSONLimits(bytes: 1 << 20)))
    }

    /// Objects and arrays are no values to compare with: they are left out.
    private static func scalar(_ member: JSONCursor) throws(JSONTypeError) -> String? {
        switch member.value {
        case .null?, .object?, .array?, nil: nil
        default: try FlagReading.text(member)
        }
    }

    private static func time(_ member: JSONCursor) throws(JSONTypeError) -> LabTime? {
        guard let text = try scalar(member) else { return nil }
        guard let time = LabTime(parsing: text) else {
            throw member.error("'\(text.prefix(40))' is no time such as 2023-12-20T15:00:00Z")
        }
        return time
    }

    /// What it says, with properties in the order of their names.
    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        func add(_ name: String, _ value: String?) { if let value { members.append((name, .string(value))) } }
        add("userId", userID)
        add("sessionId", sessionID)
        add("remoteAddress", remoteAddress)
        add("environment", environment)
        add("appName", appName)
        add("currentTime", currentTime?.description)
        if !properties.isEmpty {
            let sorted = properties.sorted { $0.key < $1.key }
            members.append(("properties", .object(sorted.map { ($0.key, .string($0.value)) })))
        }
        return .object(members)
    }
}

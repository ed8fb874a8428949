import KernelStructures

/// Another way for some of a link's visitors: those with a telephone, those who read Spanish, those of next week. The
/// first rule whose conditions all hold says where a visitor goes; whom none fits goes where the link leads.
///
/// Kinds and their words are Shlink's (its REST API, version 3), so that its clients can set them.
public struct RedirectRule: Equatable, Sendable {
    public var target: String
    public var conditions: [RedirectCondition]

    public static let limit = 30
    public static let conditionLimit = 10

    public init(target: String, conditions: [RedirectCondition]) {
        self.target = target
        self.conditions = conditions
    }
}

/// What must be true of a visitor.
public enum RedirectCondition: Equatable, Sendable {
    case device(VisitorDevice)
    /// `es`, `es-MX`: among the languages that the visitor reads at all.
    case language(String)
    /// `?name=value`, `?name=anything`, `?name` or `?name=`
    case query(name: String, value: String)
    case anyQuery(name: String)
    case emptyQuery(name: String)
    /// An address, a block (`10.0.0.0/8`), or numbers with stars (`10.0.*.*`).
    case address(VisitorAddressPattern)
    case before(LabTime)
    case after(LabTime)
}

/// Who asks, as far as rules look at it.
public struct Visitor: Sendable {
    public var agent: String?
    public var languages: String?
    /// Without `?`.
    public var query: String
    public var address: String
    public var now: LabTime

    public init(
        agent: String? = nil, languages: String? = nil, query: String = "", address: String = "", now: LabTime
    ) {
        self.agent = agent
        self.languages = languages
        self.query = query
        self.address = address
        self.now = now
    }
}

extension RedirectCondition {
    public func holds(for visitor: Visitor) -> Bool {
        switch self {
        case .device(let device): VisitorDevice.all(visitor.agent).contains(device)
        case .language(let wanted): Self.reads(wanted, visitor.languages)
        case .query(let name, let value): Self.values(name, visitor.query).contains(value)
        case .anyQuery(let name): !Self.values(name, visitor.query).isEmpty
        case .emptyQuery(let name): Self.values(name, visitor.query).contains("")
        case .address(let pattern): pattern.contains(visitor.address)
        case .before(let time): visitor.now < time
        case .after(let time): visitor.now >= time
        }
    }

    /// RFC 9110, section 12.5.4: `es-ES;q=0.8, en`. A rule for `es` fits `es-MX`, one for `es-MX` that alone.
    private static func reads(_ wanted: String, _ field: String?) -> Bool {
        guard let field else { return false }
        let wanted = wanted.lowercased()
        return field.prefix(1024).lowercased().split(separator: ",").contains { item in
            let parts = item.filter { $0 != " " && $0 != "\t" }.split(separator: ";")
            guard let tag = parts.first, !parts.dropFirst().contains(where: isNever) else { return false }
            return tag == wanted || tag.hasPrefix(wanted + "-")
        }
    }

    /// `q=0`, `q=0.000`: not this one.
    private static func isNever(_ weight: Substring) -> Bool {
        weight.hasPrefix("q=0") && weight.dropFirst(3).allSatisfy { $0 == "." || $0 == "0" }
    }

    private static func values(_ name: String, _ query: String) -> [String] {
        query.split(separator: "&").prefix(200).compactMap { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = parts.first, text(key) == name else { return nil }
            return parts.count > 1 ? text(parts[1]) : ""
        }
    }

    private static func text(_ part: Substring) -> String {
        String(decoding: PercentCoding.decode(Array(part.replacing("+", with: " ").utf8)[...]), as: UTF8.self)
    }
}

extension Link {
    /// Where this visitor goes.
    public func target(for visitor: Visitor) -> String {
        rules.first { $0.conditions.allSatisfy { $0.holds(for: visitor) } }?.target ?? target
    }
}

import KernelHosting
import KernelJSON
import KernelStructures
import ShortenerEngine

/// Rules as Shlink writes them:
/// `{"longUrl": …, "conditions": [{"type": "device", "matchKey": null, "matchValue": "ios"}]}`.
extension RedirectRule {
    /// - Parameter target: checks an address and writes it as it is stored.
    /// - Throws: `JSONError` at the place, or what `target` throws.
    init(_ cursor: JSONCursor, target: (String) throws -> String) throws {
        try cursor.expectNoMembers(besides: ["longUrl", "conditions", "priority"])
        let address = try target(try cursor["longUrl"].string())
        let conditions = try cursor["conditions"].array()
        guard (1...Self.conditionLimit).contains(conditions.count) else {
            throw cursor["conditions"].error("a rule has 1 to \(Self.conditionLimit) conditions")
        }
        self.init(target: address, conditions: try conditions.map { try RedirectCondition($0) })
    }

    var json: JSONValue {
        ["longUrl": .string(target), "conditions": .array(conditions.map(\.json))]
    }

    /// As the database keeps them.
    static func stored(_ rules: [RedirectRule]) -> String { JSONValue.array(rules.map(\.json)).text }

    static func list(stored: String?) -> [RedirectRule] {
        guard let stored, let value = try? JSONValue(parsing: stored),
            let items = try? JSONCursor(value).array()
        else { return [] }
        return items.compactMap { try? RedirectRule($0) { $0 } }
    }
}

extension RedirectCondition {
    private static let kinds = [
        "device", "language", "query-param", "any-value-query-param", "valueless-query-param", "ip-address",
        "before-date", "after-date",
    ]

    init(_ cursor: JSONCursor) throws {
        try cursor.expectNoMembers(besides: ["type", "matchKey", "matchValue"])
        let kind = try cursor["type"].string()
        switch kind {
        case "query-param":
            self = .query(name: try Self.word(cursor["matchKey"]), value: try cursor["matchValue"].string())
        case "any-value-query-param": self = .anyQuery(name: try Self.word(cursor["matchKey"]))
        case "valueless-query-param": self = .emptyQuery(name: try Self.word(cursor["matchKey"]))
        default: self = try Self.valued(kind, cursor)
        }
    }

    private static func valued(_ kind: String, _ cursor: JSONCursor) throws -> RedirectCondition {
        let value = cursor["matchValue"]
        switch kind {
        case "device":
            let all = VisitorDevice.allCases.map(\.rawValue)
            guard let device = VisitorDevice(rawValue: try value.string()) else {
                throw value.error("no device; there are \(all.joined(separator: ", "))")
            }
            return .device(device)
        case "language":
            let word = try word(value)
            guard word.utf8.allSatisfy({ $0 | 32 >= 97 && $0 | 32 <= 122 || (48...57).contains($0) || $0 == 45 }) else {
                throw value.error("no language such as es or es-MX")
            }
            return .language(word)
        case "ip-address":
            guard let pattern = VisitorAddressPattern(try value.string()) else {
                throw value.error("no address such as 10.1.2.3, 10.0.0.0/8 or 10.0.*.*")
            }
            return .address(pattern)
        case "before-date", "after-date":
            guard let time = try LinkAPI.moment(value) else {
                throw value.error("no time such as 2030-01-31T12:00:00Z")
            }
            return kind == "before-date" ? .before(time) : .after(time)
        default:
            let hint = didYouMean(kind, among: kinds)
            throw cursor["type"].error("'\(kind.prefix(40))' is none of \(kinds.joined(separator: ", "))\(hint)")
        }
    }

    /// Something, and not much of it.
    private static func word(_ cursor: JSONCursor) throws -> String {
        let text = try cursor.string()
        guard (1...100).contains(text.utf8.count) else { throw cursor.error("1 to 100 bytes are wanted") }
        return text
    }

    var json: JSONValue {
        let (kind, key, value): (String, String?, String?) =
            switch self {
            case .device(let device): ("device", nil, device.rawValue)
            case .language(let language): ("language", nil, language)
            case .query(let name, let value): ("query-param", name, value)
            case .anyQuery(let name): ("any-value-query-param", name, nil)
            case .emptyQuery(let name): ("valueless-query-param", name, nil)
            case .address(let pattern): ("ip-address", nil, pattern.description)
            case .before(let time): ("before-date", nil, "\(time)")
            case .after(let time): ("after-date", nil, "\(time)")
            }
        return [
            "type": .string(kind), "matchKey": key.map { .string($0) } ?? .null,
            "matchValue": value.map { .string($0) } ?? .null,
        ]
    }
}

/// Which products somebody wants to see, and in which order.
public struct ProductFilter: Hashable, Sendable {
    public enum Order: String, Sendable, CaseIterable {
        case id = "id"
        case name = "name"
        case cheapest = "price"
        case dearest = "-price"
    }

    public var category: String?
    /// Words that all stand in the name or the description, in any case.
    public var words: [String] = []
    public var minimum: Int?
    public var maximum: Int?
    public var onlyInStock = false
    public var order = Order.id
    public var limit = 50
    /// Products before this place in the order are left out.
    public var offset = 0

    public init() {}

    public static let limitRange = 1...200
    public static let offsetRange = 0...100_000
    public static let wordLimit = 8

    /// The same for filters that mean the same: what a cache calls the page.
    public var key: String {
        let parts: [String] = [
            category ?? "", words.joined(separator: " "), minimum.map(String.init) ?? "",
            maximum.map(String.init) ?? "", order.rawValue, String(limit), String(offset),
        ]
        return parts.joined(separator: "|")
    }

    /// Words of a search, without those that say nothing.
    public mutating func search(_ text: String) {
        words = text.lowercased().split(whereSeparator: \.isWhitespace).prefix(Self.wordLimit).map {
            String($0.prefix(40))
        }
    }

    public func matches(_ product: Product) -> Bool {
        if let category, product.category != category { return false }
        if let minimum, product.price.minor < minimum { return false }
        if let maximum, product.price.minor > maximum { return false }
        let text = (product.name + " " + product.description).lowercased()
        return words.allSatisfy { text.contains($0) }
    }

    /// The condition of a statement, and what its parameters are: `$1`, `$2` …
    public var condition: (sql: String, parameters: [Parameter]) {
        var conditions: [String] = []
        var parameters: [Parameter] = []
        func add(_ condition: String, _ parameter: Parameter) {
            parameters.append(parameter)
            conditions.append(condition + " $\(parameters.count)")
        }
        if let category { add("category =", .text(category)) }
        if let minimum { add("price_minor >=", .number(minimum)) }
        if let maximum { add("price_minor <=", .number(maximum)) }
        for word in words { add("lower(name || ' ' || description) like", .text("%\(Self.escaped(word))%")) }
        return (conditions.isEmpty ? "true" : conditions.joined(separator: " and "), parameters)
    }

    public enum Parameter: Hashable, Sendable {
        case text(String)
        case number(Int)
    }

    public var orderSQL: String {
        switch order {
        case .id: "number"
        case .name: "name, number"
        case .cheapest: "price_minor, number"
        case .dearest: "price_minor desc, number"
        }
    }

    /// `%`, `_` and `\` mean something to LIKE.
    private static func escaped(_ word: String) -> String {
        word.reduce(into: "") { text, character in
            if "%_\\".contains(character) { text.append("\\") }
            text.append(character)
        }
    }
}

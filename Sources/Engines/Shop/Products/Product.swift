import KernelJSON

/// Something that is for sale. How many there are is the inventory's business.
public struct Product: Hashable, Sendable {
    public let id: String
    public var name: String
    public var description: String
    public var category: String
    public var price: Money
    public var version: Int

    public init(
        id: String, name: String, description: String = "", category: String, price: Money, version: Int = 1
    ) {
        self.id = id
        self.name = name
        self.description = description
        self.category = category
        self.price = price
        self.version = version
    }

    public static let nameLimit = 200
    public static let descriptionLimit = 10_000

    /// What is wrong with what somebody has sent, as a sentence with its remedy.
    public struct Invalid: Error, Equatable, Sendable { public let text: String }

    /// Reads `{"name": "Laptop", "category": "electronics", "price": 999}`. A price is in whole units, or exactly in
    /// `price_minor`; a price with decimals has to be said that way, because 19.99 is no number of binary.
    ///
    /// - Parameter present: the product before, whose members stay where they are not given.
    public init(_ json: JSONValue, id: String, present: Product? = nil) throws(Invalid) {
        let cursor = JSONCursor(json)
        do throws(JSONTypeError) {
            try cursor.expectNoMembers(
                besides: ["id", "name", "description", "category", "price", "price_minor", "currency", "stock"])
            let name = try cursor["name"].ifPresent?.string() ?? present?.name
            let category = try cursor["category"].ifPresent?.string() ?? present?.category
            let description = try cursor["description"].ifPresent?.string() ?? present?.description ?? ""
            let code = try cursor["currency"].ifPresent?.string() ?? present?.price.currency.code ?? "usd"
            guard let currency = Money.Currency(code) else { throw cursor["currency"].error("no currency's code") }
            let range = 0...Money.largestMinor
            let exact = try cursor["price_minor"].ifPresent?.integer(in: range)
            let units = try cursor["price"].ifPresent?.integer(in: 0...(Money.largestMinor / currency.minorPerUnit))
            let minor = exact ?? units.map { $0 * currency.minorPerUnit } ?? present?.price.minor
            guard let name, (1...Self.nameLimit).contains(name.count) else {
                throw cursor["name"].error("a name of 1 to \(Self.nameLimit) characters is wanted")
            }
            guard let category, Self.isIdentifier(category) else {
                throw cursor["category"].error("a category is wanted: letters, digits, - and _")
            }
            guard description.count <= Self.descriptionLimit else {
                throw cursor["description"].error("more than \(Self.descriptionLimit) characters")
            }
            guard let minor else { throw cursor["price"].error("a price is wanted, in whole units, or price_minor") }
            self.init(
                id: id, name: name, description: description, category: category,
                price: Money(minor: minor, currency), version: (present?.version ?? 0) + 1)
        } catch {
            throw Invalid(text: "\(error)")
        }
    }

    public static func isIdentifier(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
                default: false
                }
            }
    }

    /// - Parameter stock: what is available; nil where the inventory cannot be asked.
    public func json(stock: Int?) -> JSONValue {
        .object([
            ("id", .string(id)), ("name", .string(name)), ("price", price.unitsJSON),
            ("stock", stock.map { .integer($0) } ?? .null),
        ])
    }

    public func details(stock: Int?) -> JSONValue {
        .object([
            ("id", .string(id)), ("name", .string(name)), ("description", .string(description)),
            ("category", .string(category)), ("price", price.unitsJSON), ("price_minor", .integer(price.minor)),
            ("currency", .string(price.currency.code)), ("stock", stock.map { .integer($0) } ?? .null),
            ("version", .integer(version)),
        ])
    }
}

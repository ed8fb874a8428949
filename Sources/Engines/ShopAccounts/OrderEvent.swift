import KernelJSON
import KernelStructures

/// What happened to an order, as the broker brings it.
public struct OrderEvent: Equatable, Sendable {
    public let id: String
    /// `order.created`
    public let type: String
    public let orderID: String
    public let sequence: Int
    public let userID: String
    public let email: String
    public let totalMinor: Int
    public let currency: String
    public let items: [Item]
    public let reason: String?

    public struct Item: Equatable, Sendable {
        public let productID: String
        public let quantity: Int
    }

    public static let limitBytes = 256 << 10
    private static let itemLimit = 1000

    /// - Throws: `JSONError` or `JSONTypeError`: it will not become better, so it is one for the dead letters.
    public init(parsing bytes: [UInt8]) throws {
        let json = JSONCursor(
            try JSONValue(parsing: bytes, limits: JSONLimits(bytes: Self.limitBytes, depth: 16, values: 20_000)))
        func name(_ member: String) throws -> String {
            let text = try json[member].string()
            guard (1...200).contains(text.utf8.count), text.unicodeScalars.allSatisfy({ $0.value > 32 }) else {
                throw json[member].error("a name of 1 to 200 bytes without blanks is wanted")
            }
            return text
        }
        id = try name("event_id")
        type = try name("type")
        orderID = try name("order_id")
        userID = try name("user_id")
        sequence = try json["sequence"].integer(in: 0...Int.max)
        email = try json["email"].ifPresent?.string() ?? ""
        totalMinor = try json["total_minor"].integer(in: 0...Int.max)
        currency = try name("currency")
        reason = try json["reason"].ifPresent?.string()
        let items = try json["items"].array()
        guard items.count <= Self.itemLimit else { throw json["items"].error("more than \(Self.itemLimit)") }
        self.items = try items.map {
            Item(productID: try $0["product_id"].string(), quantity: try $0["quantity"].integer(in: 1...1_000_000))
        }
    }

    /// `19.98 USD`
    public var totalText: String {
        // Currencies without a minor unit (ISO 4217).
        if ["jpy", "krw", "vnd", "clp"].contains(currency.lowercased()) {
            return "\(totalMinor) \(currency.uppercased())"
        }
        return "\(grouped(totalMinor / 100)).\(padded(totalMinor % 100, 2)) \(currency.uppercased())"
    }

    /// What templates can say.
    public var values: JSONValue {
        [
            "event_id": .string(id), "order_id": .string(orderID), "user_id": .string(userID), "email": .string(email),
            "total": .string(totalText), "reason": .string(Self.words(reason ?? "")), "failed": .bool(reason != nil),
            "items": .array(
                items.map { ["product_id": .string($0.productID), "quantity": .integer($0.quantity)] }),
        ]
    }

    /// `payment_declined` for people.
    private static func words(_ reason: String) -> String { String(reason.prefix(100)).replacing("_", with: " ") }
}

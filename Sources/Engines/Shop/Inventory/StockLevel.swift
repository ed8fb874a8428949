/// How many pieces of a product there are, and whose they are.
public struct StockLevel: Hashable, Sendable {
    public let productID: String
    /// Anybody may have them.
    public var available: Int
    /// Held for orders at the till.
    public var reserved: Int
    public var sold: Int
    /// All that ever came in: `available + reserved + sold`, always. It changes with deliveries only, so a piece that
    /// is lost or made by a mistake shows.
    public var received: Int
    /// Counts changes: whoever has read the row may write it only if this is still the same (optimistic locking).
    public var version: Int

    public init(
        productID: String, available: Int, reserved: Int = 0, sold: Int = 0, received: Int? = nil, version: Int = 0
    ) {
        self.productID = productID
        self.available = available
        self.reserved = reserved
        self.sold = sold
        self.received = received ?? available + reserved + sold
        self.version = version
    }

    /// Pieces of one product.
    public static let limit = 1_000_000_000

    /// What is in the house, held or not.
    public var onHand: Int { available + reserved }
    public var isBalanced: Bool {
        available >= 0 && reserved >= 0 && sold >= 0 && available + reserved + sold == received
    }

    /// A delivery, or a correction downwards. False if there are not so many to take away, or too many in all.
    public mutating func receive(_ count: Int) -> Bool {
        guard (-Self.limit...Self.limit).contains(count), available + count >= 0, received + count <= Self.limit else {
            return false
        }
        available += count
        received += count
        return true
    }
}

/// A line of an order: so many pieces of a product.
public struct OrderLine: Hashable, Sendable {
    public let productID: String
    public let quantity: Int

    public init(_ productID: String, _ quantity: Int) {
        self.productID = productID
        self.quantity = quantity
    }
}

/// Pieces that are held for one order.
public struct Reservation: Hashable, Sendable {
    public enum State: String, Sendable, CaseIterable {
        /// The pieces are `reserved`.
        case held
        /// They are `sold`.
        case confirmed
        /// They are `available` again. Also for an order that never had any: it is barred from getting some.
        case released
        /// As `released`, because it took too long at the till; it may still be confirmed if the pieces are there.
        case expired
    }

    public let id: String
    public let orderID: String
    public var lines: [OrderLine]
    public var state: State
    /// Unix time.
    public var expiresAtSeconds: Int
    public var version: Int

    public init(
        id: String, orderID: String, lines: [OrderLine], state: State, expiresAtSeconds: Int, version: Int = 0
    ) {
        self.id = id
        self.orderID = orderID
        self.lines = lines
        self.state = state
        self.expiresAtSeconds = expiresAtSeconds
        self.version = version
    }
}

/// Why pieces are not to be had.
public enum InventoryRefusal: Error, Hashable, Sendable {
    case unknownProduct(String)
    case outOfStock(productID: String, wanted: Int, available: Int)
    /// It was held, the time is over, and somebody else has the pieces.
    case expired(orderID: String)
    /// The order was released before: nothing is held for it any more.
    case released(orderID: String)
    case notReserved(orderID: String)
    /// The same order asks for something else than before.
    case differs(orderID: String)

    /// For programs.
    public var word: String {
        switch self {
        case .unknownProduct: "unknown_product"
        case .outOfStock: "out_of_stock"
        case .expired: "expired"
        case .released: "released"
        case .notReserved: "not_reserved"
        case .differs: "differs"
        }
    }

    public var text: String {
        switch self {
        case .unknownProduct(let id): "there is no product '\(id)'"
        case .outOfStock(let id, let wanted, let available): "\(wanted) of '\(id)' were wanted, \(available) are left"
        case .expired(let id): "the reservation of order '\(id)' has expired, and its pieces are gone"
        case .released(let id): "the reservation of order '\(id)' was released"
        case .notReserved(let id): "nothing is reserved for order '\(id)'"
        case .differs(let id): "order '\(id)' has reserved something else before"
        }
    }
}

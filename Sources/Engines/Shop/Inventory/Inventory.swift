/// Who gets which pieces.
///
/// A cloakroom with numbered hooks: a coat that somebody is putting on hangs at nobody's hook and is not for sale, and
/// it comes back if its owner has gone out for too long. `available` counts hooks that are free for anybody, `reserved`
/// those at the till, `sold` those that left.
///
/// ```
///              reserve            confirm
///   available ─────────▶ reserved ─────────▶ sold
///       ▲  ▲                │                 │
///       │  └─ release, 5 min┘                 │
///       └────────── release (given back) ─────┘
/// ```
///
/// This value holds those rows that a request is about, or in a test all of them. A host reads the rows, lets this
/// decide, and writes what has changed: with locks taken before (pessimistic), or on the condition that nobody else has
/// written meanwhile (optimistic, by `version`). The decision is the same.
///
/// Every change can be asked for twice: what has been done already is answered as it was. And a release bars the order:
/// a `reserve` that was sent before it and arrives after it must not hold pieces that nobody will ever release.
public struct Inventory: Sendable {
    public private(set) var levels: [String: StockLevel]
    public private(set) var reservations: [String: Reservation]

    public init(levels: [StockLevel] = [], reservations: [Reservation] = []) {
        self.levels = Dictionary(levels.map { ($0.productID, $0) }, uniquingKeysWith: { $1 })
        self.reservations = Dictionary(reservations.map { ($0.orderID, $0) }, uniquingKeysWith: { $1 })
    }

    /// In the order of their names, so that locks are taken in the same order by everybody.
    public var sortedLevels: [StockLevel] { levels.values.sorted { $0.productID < $1.productID } }

    public mutating func put(_ level: StockLevel) { levels[level.productID] = level }

    /// Lines of one product put together, in the order of the products' names.
    public static func gathered(_ lines: [OrderLine]) -> [OrderLine] {
        var counts: [String: Int] = [:]
        for line in lines {
            let (sum, overflow) = counts[line.productID, default: 0].addingReportingOverflow(line.quantity)
            counts[line.productID] = overflow ? Int.max : sum
        }
        return counts.sorted { $0.key < $1.key }.map { OrderLine($0.key, $0.value) }
    }

    /// Holds all lines of an order, or none.
    ///
    /// - Parameter id: of the reservation, if it is new.
    public mutating func reserve(
        orderID: String, lines: [OrderLine], id: String, nowSeconds: Int, holdSeconds: Int = Shop.holdSeconds
    ) throws(InventoryRefusal) -> Reservation {
        let lines = Self.gathered(lines)
        if let known = reservations[orderID] {
            switch known.state {
            case .released: throw .released(orderID: orderID)
            case .held, .confirmed:
                guard known.lines == lines else { throw .differs(orderID: orderID) }
                return known
            case .expired:
                guard known.lines == lines else { throw .differs(orderID: orderID) }
            }
        }
        try take(lines)
        let version = reservations[orderID]?.version ?? 0
        let reservation = Reservation(
            id: reservations[orderID]?.id ?? id, orderID: orderID, lines: lines, state: .held,
            expiresAtSeconds: nowSeconds + holdSeconds, version: version + 1)
        reservations[orderID] = reservation
        return reservation
    }

    /// From available to reserved; all lines or none.
    private mutating func take(_ lines: [OrderLine]) throws(InventoryRefusal) {
        for line in lines {
            guard let level = levels[line.productID] else { throw .unknownProduct(line.productID) }
            guard level.available >= line.quantity else {
                throw .outOfStock(productID: line.productID, wanted: line.quantity, available: level.available)
            }
        }
        for line in lines {
            change(line) { level, count in
                level.available -= count
                level.reserved += count
            }
        }
    }

    /// What was held is sold. One that has expired is taken once more, if the pieces are still there: the card has been
    /// charged, and nobody is served by undoing that without need.
    public mutating func confirm(orderID: String) throws(InventoryRefusal) -> Reservation {
        guard var reservation = reservations[orderID] else { throw .notReserved(orderID: orderID) }
        switch reservation.state {
        case .confirmed: return reservation
        case .released: throw .released(orderID: orderID)
        case .expired:
            do throws(InventoryRefusal) { try take(reservation.lines) } catch { throw .expired(orderID: orderID) }
        case .held: break
        }
        for line in reservation.lines {
            change(line) { level, count in
                level.reserved -= count
                level.sold += count
            }
        }
        set(&reservation, .confirmed)
        return reservation
    }

    /// Gives back whatever an order has, and sees to it that it gets nothing any more.
    public mutating func release(orderID: String, id: String) -> Reservation {
        var reservation =
            reservations[orderID]
            ?? Reservation(id: id, orderID: orderID, lines: [], state: .expired, expiresAtSeconds: 0)
        giveBack(reservation)
        if reservation.state != .released { set(&reservation, .released) }
        return reservation
    }

    /// Gives back what is held for too long. False if it is not.
    public mutating func expire(orderID: String, nowSeconds: Int) -> Bool {
        guard var reservation = reservations[orderID], reservation.state == .held,
            reservation.expiresAtSeconds <= nowSeconds
        else { return false }
        giveBack(reservation)
        set(&reservation, .expired)
        return true
    }

    private mutating func giveBack(_ reservation: Reservation) {
        for line in reservation.lines {
            change(line) { level, count in
                switch reservation.state {
                case .held:
                    level.reserved -= count
                    level.available += count
                case .confirmed:
                    level.sold -= count
                    level.available += count
                case .released, .expired: break
                }
            }
        }
    }

    private mutating func set(_ reservation: inout Reservation, _ state: Reservation.State) {
        reservation.state = state
        reservation.version += 1
        reservations[reservation.orderID] = reservation
    }

    private mutating func change(_ line: OrderLine, _ body: (inout StockLevel, Int) -> Void) {
        guard var level = levels[line.productID] else { return }
        let before = level
        body(&level, line.quantity)
        if level != before { level.version += 1 }
        levels[line.productID] = level
    }
}

import KernelJSON

/// The judge: pieces, money and orders have to add up, whatever has been killed, cut off or asked twice.
///
/// It looks at what the databases hold and at nothing else, and knows nothing of how they came to hold it.
public struct ShopLedger: Sendable {
    public struct OrderEntry: Hashable, Sendable {
        public let id: String
        /// `confirmed`, `failed`, or `pending`.
        public let status: String
        public let totalMinor: Int
        public let lines: [OrderLine]
        /// How far its saga has come, as far as it is stored; nil: nobody says.
        public let phase: CheckoutSaga.Phase?

        public init(
            id: String, status: String, totalMinor: Int, lines: [OrderLine], phase: CheckoutSaga.Phase? = nil
        ) {
            self.id = id
            self.status = status
            self.totalMinor = totalMinor
            self.lines = lines
            self.phase = phase
        }
    }

    public struct PaymentEntry: Hashable, Sendable {
        public let orderID: String?
        public let chargedMinor: Int
        public let refundedMinor: Int

        public init(orderID: String?, chargedMinor: Int, refundedMinor: Int) {
            self.orderID = orderID
            self.chargedMinor = chargedMinor
            self.refundedMinor = refundedMinor
        }
    }

    /// An event that somebody was told of.
    public struct EventEntry: Hashable, Sendable {
        public let orderID: String
        /// `order.created`
        public let type: String

        public init(orderID: String, type: String) {
            self.orderID = orderID
            self.type = type
        }
    }

    public var stock: [StockLevel] = []
    public var orders: [OrderEntry] = []
    /// Nil: nobody is there who could have been told.
    public var events: [EventEntry]?
    /// Only those of orders: what somebody charges by hand is none of the shop's business.
    public var payments: [PaymentEntry] = []
    /// Of whom nothing is known, since they did not answer: nothing is judged that they have a say in.
    public var silent: Set<Party> = []

    /// Whose books they are.
    public enum Party: String, Sendable, CaseIterable { case orders, stock, payments }

    public init() {}

    public init(
        stock: [StockLevel], orders: [OrderEntry], payments: [PaymentEntry], events: [EventEntry]? = nil
    ) {
        self.events = events
        self.stock = stock.sorted { $0.productID < $1.productID }
        self.orders = orders.sorted { $0.id < $1.id }
        self.payments = payments
    }

    public var chargedMinor: Int { payments.filter { $0.orderID != nil }.reduce(0) { $0 + $1.chargedMinor } }
    public var refundedMinor: Int { payments.filter { $0.orderID != nil }.reduce(0) { $0 + $1.refundedMinor } }
    public var confirmedMinor: Int { orders.filter { $0.status == "confirmed" }.reduce(0) { $0 + $1.totalMinor } }
    public var pendingCount: Int { orders.count { $0.status == "pending" } }

    public func count(_ status: String) -> Int { orders.count { $0.status == status } }

    /// What does not add up, in words; empty if all is well. Orders that are under way are left out: they have neither
    /// to be paid nor to be sold yet. `pendingCount` says whether there are any.
    public var complaints: [String] {
        balanceComplaints + (knows(.orders, .stock) ? soldComplaints : [])
            + (knows(.orders, .payments) ? dueComplaints + liveMoneyComplaints : [])
    }

    private func knows(_ parties: Party...) -> Bool { silent.isDisjoint(with: parties) }

    var balanceComplaints: [String] {
        stock.filter { !$0.isBalanced }.map { level in
            "\(level.productID): available \(level.available) + reserved \(level.reserved) + sold \(level.sold) "
                + "is not the \(level.received) received"
        }
    }

    /// What was charged, given back, and how many charges that were, order by order.
    var paidByOrder: [String: (charged: Int, refunded: Int, charges: Int)] {
        var paid: [String: (charged: Int, refunded: Int, charges: Int)] = [:]
        for payment in payments {
            guard let id = payment.orderID else { continue }
            paid[id, default: (0, 0, 0)].charged += payment.chargedMinor
            paid[id, default: (0, 0, 0)].refunded += payment.refundedMinor
            if payment.chargedMinor > 0 { paid[id, default: (0, 0, 0)].charges += 1 }
        }
        return paid
    }

    /// An order that is over has cost what it costs, or nothing.
    private var dueComplaints: [String] {
        let paid = paidByOrder
        return orders.filter { $0.status != "pending" }.compactMap { order in
            let (charged, refunded, _) = paid[order.id] ?? (0, 0, 0)
            let due = order.status == "confirmed" ? order.totalMinor : 0
            guard charged - refunded != due else { return nil }
            return "\(order.id) is \(order.status): charged \(charged), refunded \(refunded), due \(due)"
        }
    }

    /// Sold is what confirmed orders have. Pending ones may be sold already, so with any of a product it is a range.
    private var soldComplaints: [String] {
        var confirmed: [String: Int] = [:]
        var pending: [String: Int] = [:]
        for order in orders where order.status != "failed" {
            for line in order.lines {
                if order.status == "confirmed" {
                    confirmed[line.productID, default: 0] += line.quantity
                } else {
                    pending[line.productID, default: 0] += line.quantity
                }
            }
        }
        var complaints: [String] = []
        for level in stock {
            let least = confirmed[level.productID] ?? 0
            let most = least + (pending[level.productID] ?? 0)
            if level.sold < least || level.sold > most {
                complaints.append("\(level.productID): \(level.sold) sold, and orders were confirmed for \(least)")
            }
            // Nobody at the till, and still something held.
            if level.reserved > most - level.sold {
                complaints.append("\(level.productID): \(level.reserved) reserved for orders that are over")
            }
        }
        return complaints
    }
}

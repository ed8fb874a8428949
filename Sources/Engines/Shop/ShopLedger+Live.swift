extension ShopLedger {
    /// What must hold at every moment, while orders are under way and half of the shop is down.
    ///
    /// At rest a shop that does things in the wrong order looks like any other: what it did too early it has stored by
    /// then. What tells is that its databases contradict one another as long as it cannot go on. So these are the rules
    /// that no moment may break, because each thing is stored before the next one is asked for:
    ///
    /// - a card is charged for an order that is stored, of which it is stored that its pieces are reserved, once;
    /// - whoever was told how an order has ended finds it ended like that.
    ///
    /// What they speak of never goes back. So what was read one after the other does not have to be of one moment, as
    /// long as effects are read before their causes: events, payments and stock before orders.
    public var liveComplaints: [String] { balanceComplaints + liveMoneyComplaints }

    var liveMoneyComplaints: [String] {
        var complaints: [String] = []
        var paid = paidByOrder
        for order in orders {
            let (charged, refunded, charges) = paid.removeValue(forKey: order.id) ?? (0, 0, 0)
            if charges > 1 { complaints.append("\(order.id): charged \(charges) times") }
            if order.phase == .reserving, charged != refunded {
                complaints.append("\(order.id): charged \(charged) before it is stored that its pieces are reserved")
            }
        }
        for (id, payment) in paid.sorted(by: { $0.key < $1.key }) where payment.charged != payment.refunded {
            complaints.append("\(id): charged \(payment.charged), and there is no such order")
        }
        return complaints + eventComplaints
    }

    /// Events without what they tell of.
    private var eventComplaints: [String] {
        guard let events, !events.isEmpty else { return [] }
        let status = Dictionary(orders.map { ($0.id, $0.status) }, uniquingKeysWith: { first, _ in first })
        return Set(events).sorted { ($0.orderID, $0.type) < ($1.orderID, $1.type) }.compactMap { event in
            guard let due = Self.statuses[event.type] else { return nil }
            guard let stored = status[event.orderID] else {
                return "\(event.orderID): \(event.type) was published, and there is no such order"
            }
            return stored == due ? nil : "\(event.orderID): \(event.type) was published, and it is \(stored)"
        }
    }

    /// What is stored of an order of which these events tell.
    private static let statuses = ["order.created": "confirmed", "order.failed": "failed"]

    /// What must hold once there was time enough for everything: nobody is under way, nobody has pieces or money that
    /// are not his, and of every order that has ended somebody was told.
    public var settledComplaints: [String] {
        var complaints = complaints
        for order in orders where order.status == "pending" {
            complaints.append("\(order.id) is not over" + (order.phase.map { ": \($0.rawValue)" } ?? ""))
        }
        guard let events else { return complaints }
        let told = Set(events.map(\.orderID))
        for order in orders where order.status != "pending" && !told.contains(order.id) {
            complaints.append("\(order.id) is \(order.status), and nobody was told")
        }
        return complaints
    }
}

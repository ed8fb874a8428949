import KernelJSON

extension ShopLedger {
    /// Reads what the services say of themselves: the orders' `/ledger`, the inventory's `/stock`, the payments'
    /// `/ledger`, and the notifications', if there are any. Null is for one who did not answer.
    public init(
        orders: JSONValue, stock: JSONValue, payments: JSONValue, events: JSONValue = .null
    ) throws(JSONTypeError) {
        var silent: Set<Party> = []
        func rows(_ json: JSONValue, _ name: String, of party: Party) throws(JSONTypeError) -> [JSONCursor] {
            if json != .null { return try JSONCursor(json)[name].array() }
            silent.insert(party)
            return []
        }
        var levels: [StockLevel] = []
        let counts = -StockLevel.limit...StockLevel.limit
        for row in try rows(stock, "stock", of: .stock) {
            levels.append(
                StockLevel(
                    productID: try row["product_id"].string(), available: try row["available"].integer(in: counts),
                    reserved: try row["reserved"].integer(in: counts), sold: try row["sold"].integer(in: counts),
                    received: try row["received"].integer(in: counts)))
        }
        var entries: [OrderEntry] = []
        for row in try rows(orders, "orders", of: .orders) {
            let phase = try row["phase"].ifPresent?.string() ?? ""
            entries.append(
                OrderEntry(
                    id: try row["order_id"].string(), status: try row["status"].string(),
                    totalMinor: try row["total_minor"].integer(in: 0...Money.largestMinor),
                    lines: try OrderLine.read(row["items"]),
                    phase: CheckoutSaga.Phase(rawValue: phase)))
        }
        var paid: [PaymentEntry] = []
        let amounts = 0...Money.largestMinor
        for row in try rows(payments, "payments", of: .payments) {
            paid.append(
                PaymentEntry(
                    orderID: try row["order_id"].ifPresent?.string(),
                    chargedMinor: try row["charged_minor"].integer(in: amounts),
                    refundedMinor: try row["refunded_minor"].integer(in: amounts)))
        }
        var told: [EventEntry]?
        if let rows = try JSONCursor(events)["events"].ifPresent?.array() {
            told = []
            for row in rows {
                told?.append(EventEntry(orderID: try row["order_id"].string(), type: try row["type"].string()))
            }
        }
        self.init(stock: levels, orders: entries, payments: paid, events: told)
        self.silent = silent
    }
}

extension ShopLedger {
    /// What `ledger --json` and the shop's own page show.
    ///
    /// What is not known, of those who are `silent`, is null.
    ///
    /// - Parameters:
    ///   - stock: the inventory's answer, which has more than is judged.
    ///   - complaints: by other rules than the usual ones.
    public func json(stock: JSONValue, complaints: [String]? = nil) -> JSONValue {
        func number(_ value: Int, of party: Party) -> JSONValue { silent.contains(party) ? .null : .integer(value) }
        return .object([
            ("orders", number(orders.count, of: .orders)), ("confirmed", number(count("confirmed"), of: .orders)),
            ("failed", number(count("failed"), of: .orders)), ("pending", number(pendingCount, of: .orders)),
            ("charged_minor", number(chargedMinor, of: .payments)),
            ("refunded_minor", number(refundedMinor, of: .payments)),
            ("confirmed_minor", number(confirmedMinor, of: .orders)), ("stock", stock["stock"] ?? .null),
            ("complaints", .array((complaints ?? self.complaints).map { .string($0) })),
        ])
    }
}

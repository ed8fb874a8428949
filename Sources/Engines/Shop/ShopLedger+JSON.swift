import KernelJSON

extension ShopLedger {
    /// Reads what the services say of themselves: the orders' `/ledger`, the inventory's `/stock`, the payments'
    /// `/ledger`.
    public init(orders: JSONValue, stock: JSONValue, payments: JSONValue) throws(JSONTypeError) {
        var levels: [StockLevel] = []
        let counts = -StockLevel.limit...StockLevel.limit
        for row in try JSONCursor(stock)["stock"].array() {
            levels.append(
                StockLevel(
                    productID: try row["product_id"].string(), available: try row["available"].integer(in: counts),
                    reserved: try row["reserved"].integer(in: counts), sold: try row["sold"].integer(in: counts),
                    received: try row["received"].integer(in: counts)))
        }
        var entries: [OrderEntry] = []
        for row in try JSONCursor(orders)["orders"].array() {
            entries.append(
                OrderEntry(
                    id: try row["order_id"].string(), status: try row["status"].string(),
                    totalMinor: try row["total_minor"].integer(in: 0...Money.largestMinor),
                    lines: try OrderLine.read(row["items"])))
        }
        var paid: [PaymentEntry] = []
        let amounts = 0...Money.largestMinor
        for row in try JSONCursor(payments)["payments"].array() {
            paid.append(
                PaymentEntry(
                    orderID: try row["order_id"].ifPresent?.string(),
                    chargedMinor: try row["charged_minor"].integer(in: amounts),
                    refundedMinor: try row["refunded_minor"].integer(in: amounts)))
        }
        self.init(stock: levels, orders: entries, payments: paid)
    }
}

extension ShopLedger {
    /// What `ledger --json` and the shop's own page show.
    ///
    /// - Parameter stock: the inventory's answer, which has more than is judged.
    public func json(stock: JSONValue) -> JSONValue {
        .object([
            ("orders", .integer(orders.count)), ("confirmed", .integer(count("confirmed"))),
            ("failed", .integer(count("failed"))), ("pending", .integer(pendingCount)),
            ("charged_minor", .integer(chargedMinor)), ("refunded_minor", .integer(refundedMinor)),
            ("confirmed_minor", .integer(confirmedMinor)), ("stock", stock["stock"] ?? .null),
            ("complaints", .array(complaints.map { .string($0) })),
        ])
    }
}

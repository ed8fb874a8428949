import CommandKit
import KernelJSON
import ShopEngine

/// What the ledger shows.
enum LedgerViews {
    static func books(
        _ orders: JSONValue, _ stock: JSONValue, _ payments: JSONValue
    ) throws -> (view: View, isGood: Bool) {
        let ledger = try ShopLedger(orders: orders, stock: stock, payments: payments)
        let complaints = ledger.complaints
        var view = View(
            .table(
                .init(
                    [
                        .init("PRODUCT", key: "product", flexible: true),
                        .init("RECEIVED", key: "received", right: true),
                        .init("AVAILABLE", key: "available", right: true),
                        .init("RESERVED", key: "reserved", right: true), .init("SOLD", key: "sold", right: true),
                        .init("", key: "balanced"),
                    ],
                    rows: ledger.stock.map { level in
                        [
                            .text(level.productID), .integer(level.received), .integer(level.available),
                            .integer(level.reserved), .integer(level.sold),
                            View.Cell(
                                level.isBalanced ? "=" : "≠", json: .bool(level.isBalanced),
                                style: level.isBalanced ? .good : .bad),
                        ]
                    }, whenEmpty: "no stock yet")),
            .record([
                .init("orders", key: "orders", .integer(ledger.orders.count)),
                .init("confirmed", key: "confirmed", .integer(ledger.count("confirmed"))),
                .init("failed", key: "failed", .integer(ledger.count("failed"))),
                .init("under way", key: "pending", .integer(ledger.pendingCount)),
                .init("charged", key: "charged_minor", money(ledger.chargedMinor)),
                .init("refunded", key: "refunded_minor", money(ledger.refundedMinor)),
                .init("confirmed orders", key: "confirmed_minor", money(ledger.confirmedMinor)),
            ]),
            .text(
                complaints.isEmpty
                    ? "The books are in order." : complaints.map { "≠ \($0)" }.joined(separator: "\n"),
                json: .array(complaints.map { .string($0) })))
        view.json = ledger.json(stock: stock)
        return (view, complaints.isEmpty)
    }

    static func money(_ minor: Int) -> View.Cell {
        View.Cell("\(Money(minor: minor))", json: .integer(minor))
    }
}

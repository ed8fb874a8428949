import CommandKit
import KernelJSON
import ShopEngine

/// What the ledger shows.
enum LedgerViews {
    /// What is judged.
    enum Rules { case standing, live, settled }

    static func books(
        _ orders: JSONValue, _ stock: JSONValue, _ payments: JSONValue, _ events: JSONValue, _ rules: Rules
    ) throws -> (view: View, isGood: Bool) {
        let ledger = try ShopLedger(orders: orders, stock: stock, payments: payments, events: events)
        let complaints =
            switch rules {
            case .standing: ledger.complaints
            case .live: ledger.liveComplaints
            case .settled: ledger.settledComplaints
            }
        if rules == .live {
            // In the middle of everything sums say nothing.
            var view = View(text(complaints, whenNone: "Nothing contradicts anything."))
            view.json = .object([("complaints", .array(complaints.map { .string($0) }))])
            return (view, complaints.isEmpty)
        }
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
            text(complaints, whenNone: "The books are in order."))
        view.json = ledger.json(stock: stock, complaints: complaints)
        return (view, complaints.isEmpty)
    }

    private static func text(_ complaints: [String], whenNone: String) -> View.Content {
        .text(
            complaints.isEmpty ? whenNone : complaints.map { "≠ \($0)" }.joined(separator: "\n"),
            json: .array(complaints.map { .string($0) }))
    }

    static func money(_ minor: Int) -> View.Cell {
        View.Cell("\(Money(minor: minor))", json: .integer(minor))
    }
}

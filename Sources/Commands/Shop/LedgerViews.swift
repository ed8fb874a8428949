import CommandKit
import KernelJSON
import ShopEngine

/// What the ledger shows.
enum LedgerViews {
    /// What is judged.
    enum Rules { case standing, live, settled }

    /// - Parameters:
    ///   - orders: what each has answered; null for one who has not.
    ///   - silences: who has not answered, and why, a sentence each.
    static func books(
        _ orders: JSONValue, _ stock: JSONValue, _ payments: JSONValue, _ events: JSONValue, _ rules: Rules,
        silences: [String] = []
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
        func number(_ count: Int, of party: ShopLedger.Party) -> View.Cell {
            ledger.silent.contains(party) ? unknown : .integer(count)
        }
        func sum(_ minor: Int, of party: ShopLedger.Party) -> View.Cell {
            ledger.silent.contains(party) ? unknown : money(minor)
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
                    }, whenEmpty: ledger.silent.contains(.stock) ? "stock: unknown" : "no stock yet")),
            .record([
                .init("orders", key: "orders", number(ledger.orders.count, of: .orders)),
                .init("confirmed", key: "confirmed", number(ledger.count("confirmed"), of: .orders)),
                .init("failed", key: "failed", number(ledger.count("failed"), of: .orders)),
                .init("under way", key: "pending", number(ledger.pendingCount, of: .orders)),
                .init("charged", key: "charged_minor", sum(ledger.chargedMinor, of: .payments)),
                .init("refunded", key: "refunded_minor", sum(ledger.refundedMinor, of: .payments)),
                .init("confirmed orders", key: "confirmed_minor", sum(ledger.confirmedMinor, of: .orders)),
            ]),
            text(
                complaints,
                whenNone: silences.isEmpty ? "The books are in order." : "What is known contradicts nothing."))
        view.json = ledger.json(stock: stock, complaints: complaints)
        add(silences, to: &view)
        return (view, complaints.isEmpty && silences.isEmpty)
    }

    private static func text(_ complaints: [String], whenNone: String) -> View.Content {
        .text(
            complaints.isEmpty ? whenNone : complaints.map { "≠ \($0)" }.joined(separator: "\n"),
            json: .array(complaints.map { .string($0) }))
    }

    /// Says who has not answered: what he knows is missing in the view.
    static func add(_ silences: [String], to view: inout View) {
        guard !silences.isEmpty else { return }
        view.parts.append(
            .text(silences.map { "? \($0)" }.joined(separator: "\n"), json: .array(silences.map { .string($0) })))
        if case .object(let members)? = view.json {
            view.json = .object(members.map { ($0.key, $0.value) } + [("silent", .array(silences.map { .string($0) }))])
        }
    }

    /// What only somebody knows who has not answered.
    static let unknown = View.Cell("unknown", json: .null, style: .warning)

    static func money(_ minor: Int) -> View.Cell {
        View.Cell("\(Money(minor: minor))", json: .integer(minor))
    }
}

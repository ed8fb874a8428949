import CommandKit
import KernelJSON
import ShopEngine

/// One order, from all services that have had to do with it: what became of its pieces and its money, and one line of
/// time with its steps, its events and the letters about it.
struct OrderTimeline {
    private struct Entry {
        let at: String
        var sequence: Int?
        let what: String
        var stock = ""
        /// What the shop has gained by it; nil: not known.
        var gainMinor: Int? = 0
        let detail: String
    }

    private let id: String
    private let order: JSONCursor
    private let pieces: String
    /// Nil where only the payments know, which have not answered.
    private let chargedMinor: Int?
    private let refundedMinor: Int?
    /// Of the request that it came with.
    private let traceID: String?
    private var entries: [Entry] = []

    /// - Parameters: what the services have answered; null for a reservation that there is not, and for payments and
    ///   notifications that do not answer.
    ///   - isStockKnown: false where it is not known whether there is a reservation.
    /// - Throws: `JSONTypeError` for an answer that is no shop's.
    init(
        _ id: String, timeline: JSONValue, reservation: JSONValue, isStockKnown: Bool = true, payments: JSONValue,
        letters: JSONValue
    ) throws {
        self.id = id
        order = JSONCursor(timeline)["order"]
        traceID = try JSONCursor(timeline)["trace_id"].ifPresent?.string()
        let lines = try Self.lines(order)
        let held = JSONCursor(reservation)
        let state = try held["state"].ifPresent?.string() ?? (isStockKnown ? "nothing was reserved" : "unknown")
        let heldLines = held["items"].ifPresent == nil ? "" : try Self.lines(held)
        pieces = heldLines.isEmpty ? state : "\(heldLines) \(state)"
        if payments == .null {
            (chargedMinor, refundedMinor) = (nil, nil)
        } else {
            let own = try JSONCursor(payments)["payments"].array().filter {
                (try? $0["order_id"].ifPresent?.string()) == id
            }
            let amounts = 0...Money.largestMinor
            chargedMinor = try own.reduce(0) { $0 + (try $1["charged_minor"].integer(in: amounts)) }
            refundedMinor = try own.reduce(0) { $0 + (try $1["refunded_minor"].integer(in: amounts)) }
        }
        for row in try JSONCursor(timeline)["timeline"].array() { entries.append(try step(row, lines)) }
        for row in try JSONCursor(letters)["notifications"].ifPresent?.array() ?? [] {
            // Of people without a telephone nobody wants to read that they got no text message.
            if try row["state"].string() != "skipped" { entries.append(try Self.letter(row)) }
        }
        let order = entries.indices.sorted { (Self.key(entries[$0].at), $0) < (Self.key(entries[$1].at), $1) }
        entries = order.map { entries[$0] }
    }

    private func step(_ row: JSONCursor, _ lines: String) throws -> Entry {
        let what = try row["what"].string()
        let detail = try row["detail"].string()
        var entry = Entry(
            at: try row["at"].string(), sequence: try row["sequence"].integer(), what: what, detail: detail)
        switch what {
        case "reserved": entry.stock = "\(lines) held"
        case "confirmed": entry.stock = "\(lines) sold"
        case "released" where order["reservation"].ifPresent != nil: entry.stock = "\(lines) back"
        case "charged": entry.gainMinor = chargedMinor
        case "voided": entry.gainMinor = refundedMinor.map { -$0 }
        default: break
        }
        return entry
    }

    private static func letter(_ row: JSONCursor) throws -> Entry {
        let at = try row["settled_at"].ifPresent?.string() ?? row["created_at"].string()
        return Entry(
            at: at, what: "\(try row["channel"].string()) \(try row["state"].string())",
            detail: [try row["recipient"].string(), try row["subject"].string()].filter { !$0.isEmpty }
                .joined(separator: ": "))
    }

    private static func lines(_ cursor: JSONCursor) throws -> String {
        try cursor["items"].array().map { "\(try $0["quantity"].integer())x \(try $0["product_id"].string())" }
            .joined(separator: ", ")
    }

    /// `15:00:02.001`, of a time in RFC 3339.
    private static func clock(_ time: String) -> String {
        let clock = time.dropFirst(11).dropLast()
        return String(clock.contains(".") ? (clock + "000").prefix(12) : (clock + ".000").prefix(12))
    }

    private static func key(_ time: String) -> String { time.prefix(11) + clock(time) }

    // MARK: Views

    func view() throws -> View {
        var fields: [View.Field] = [
            .init("order", key: "order_id", .text(id)),
            .init("status", key: "status", .text(try order["status"].string())),
            .init("total", key: "total_minor", LedgerViews.money(try order["total_minor"].integer())),
        ]
        if let reason = try order["reason"].ifPresent?.string() {
            fields.append(.init("reason", key: "reason", .text(reason)))
        }
        fields += [
            .init("pieces", key: "pieces", .text(pieces)),
            .init("charged", key: "charged_minor", Self.money(chargedMinor)),
            .init("refunded", key: "refunded_minor", Self.money(refundedMinor)),
        ]
        if let traceID {
            fields.append(
                .init("trace", key: "trace_id", View.Cell(String(traceID.prefix(8)), json: .string(traceID))))
        }
        return View(
            .record(fields),
            .table(
                .init(
                    [
                        .init("STEP", key: "sequence", right: true), .init("AT", key: "at"),
                        .init("WHAT", key: "what"), .init("STOCK", key: "stock"),
                        .init("MONEY", key: "gain_minor", right: true),
                        .init("DETAIL", key: "detail", flexible: true),
                    ], rows: entries.map(cells), whenEmpty: "nothing has happened to it")))
    }

    private static func money(_ minor: Int?) -> View.Cell { minor.map(LedgerViews.money) ?? LedgerViews.unknown }

    private func cells(_ entry: Entry) -> [View.Cell] {
        let gain: View.Cell =
            switch entry.gainMinor {
            case nil: LedgerViews.unknown
            case 0?: View.Cell("", json: .integer(0))
            case let minor?:
                View.Cell("\(minor < 0 ? "-" : "+")\(Money(minor: abs(minor)))", json: .integer(minor))
            }
        return [
            entry.sequence.map { .integer($0) } ?? .none, .text(Self.clock(entry.at)), .text(entry.what),
            .text(entry.stock), gain, .text(entry.detail),
        ]
    }
}

import KernelJSON

/// An order as its client sees it.
public struct Order: Hashable, Sendable {
    public let id: String
    public let userID: String
    public let email: String
    public let lines: [OrderLine]
    public let total: Money
    public let paymentMethod: String
    /// ISO 8601.
    public let createdAt: String
    public var saga: CheckoutSaga
    /// Counts changes, for whoever writes it: another node may have taken it over.
    public var version: Int
    /// In which trace it stands (W3C), so that whoever leads it on after a crash goes on with that.
    public var traceparent: String?
    /// The node that leads it; nil before it is stored.
    public var owner: String?

    public init(
        id: String, userID: String, email: String, lines: [OrderLine], total: Money, paymentMethod: String,
        createdAt: String, saga: CheckoutSaga, version: Int, traceparent: String? = nil, owner: String? = nil
    ) {
        self.id = id
        self.userID = userID
        self.email = email
        self.lines = lines
        self.total = total
        self.paymentMethod = paymentMethod
        self.createdAt = createdAt
        self.saga = saga
        self.version = version
        self.traceparent = traceparent
        self.owner = owner
    }

    public var status: String {
        switch saga.phase {
        case .confirmed: "confirmed"
        case .failed: "failed"
        default: "pending"
        }
    }

    /// How the checkout is answered: 200, 402 for a card that was declined, 409 for stock, 503 for a service that did
    /// not answer.
    public var answerStatus: Int {
        guard saga.phase == .failed else { return 200 }
        switch saga.reason ?? "" {
        case "out_of_stock", "unknown_product", "expired", "released": return 409
        case let reason where reason.hasSuffix("_unavailable"): return 503
        default: return 402
        }
    }

    public var answer: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("order_id", .string(id)), ("status", .string(status)), ("total", total.unitsJSON),
        ]
        if status == "pending" { members.append(("payment_status", "pending")) }
        if let reason = saga.reason, saga.phase == .failed { members.append(("error", .string(reason))) }
        return .object(members)
    }

    public var details: JSONValue {
        .object([
            ("order_id", .string(id)), ("status", .string(status)), ("phase", .string(saga.phase.rawValue)),
            ("user_id", .string(userID)), ("email", .string(email)), ("items", linesJSON), ("total", total.unitsJSON),
            ("total_minor", .integer(total.minor)), ("currency", .string(total.currency.code)),
            ("payment_method", .string(paymentMethod)), ("payment_intent", saga.paymentID.map { .string($0) } ?? .null),
            ("charge", saga.chargeID.map { .string($0) } ?? .null),
            ("reservation", saga.reservationID.map { .string($0) } ?? .null),
            ("reason", saga.reason.map { .string($0) } ?? .null), ("sequence", .integer(saga.sequence)),
            ("created_at", .string(createdAt)),
        ])
    }

    public var linesJSON: JSONValue { OrderLine.json(lines) }

    /// What is published about it.
    public func event(_ key: String, at time: String) -> JSONValue {
        .object([
            ("event_id", .string(eventID)), ("type", .string(key)), ("order_id", .string(id)),
            ("sequence", .integer(saga.sequence)), ("user_id", .string(userID)), ("email", .string(email)),
            ("status", .string(status)), ("total", total.unitsJSON), ("total_minor", .integer(total.minor)),
            ("currency", .string(total.currency.code)), ("items", linesJSON),
            ("reason", saga.reason.map { .string($0) } ?? .null), ("at", .string(time)),
        ])
    }

    /// Of the event that its latest change makes: the same however often it is sent.
    public var eventID: String { "\(id)-\(saga.sequence)" }
}

extension OrderLine {
    public static func json(_ lines: [OrderLine]) -> JSONValue {
        .array(
            lines.map { .object([("product_id", .string($0.productID)), ("quantity", .integer($0.quantity))]) })
    }

    /// Reads `[{"product_id": "p1", "quantity": 2}]`.
    public static func read(_ cursor: JSONCursor) throws(JSONTypeError) -> [OrderLine] {
        let rows = try cursor.array()
        guard (1...Shop.lineLimit).contains(rows.count) else {
            throw cursor.error("1 to \(Shop.lineLimit) items are wanted")
        }
        var lines: [OrderLine] = []
        for row in rows {
            let id = try row["product_id"].string()
            guard Product.isIdentifier(id) else { throw row["product_id"].error("no product has such a name") }
            lines.append(OrderLine(id, try row["quantity"].ifPresent?.integer(in: Shop.quantityRange) ?? 1))
            try row.expectNoMembers(besides: ["product_id", "quantity"])
        }
        return lines
    }
}

/// What `POST /checkout` says.
public struct CheckoutRequest: Hashable, Sendable {
    public let lines: [OrderLine]
    public let paymentMethod: String

    public init(_ json: JSONValue) throws(JSONTypeError) {
        let cursor = JSONCursor(json)
        try cursor.expectNoMembers(besides: ["items", "payment_method"])
        lines = Inventory.gathered(try OrderLine.read(cursor["items"]))
        for line in lines where !Shop.quantityRange.contains(line.quantity) {
            throw cursor["items"].error("more than \(Shop.quantityRange.upperBound) of '\(line.productID)'")
        }
        paymentMethod = try cursor["payment_method"].string()
        guard Product.isIdentifier(paymentMethod) else {
            throw cursor["payment_method"].error("a payment method looks like card_xxx or pm_card_visa")
        }
    }

    /// Tells requests apart that have the same idempotency key.
    public var fingerprint: String {
        paymentMethod + "|" + lines.map { "\($0.productID)*\($0.quantity)" }.joined(separator: ",")
    }
}

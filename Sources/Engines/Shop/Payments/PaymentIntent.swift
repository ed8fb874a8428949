import KernelJSON

/// Somebody's intention to pay, and what has come of it: Stripe's object of that name, as far as the shop needs it.
public struct PaymentIntent: Hashable, Sendable {
    public enum Status: String, Sendable, CaseIterable {
        case requiresPaymentMethod = "requires_payment_method"
        case requiresConfirmation = "requires_confirmation"
        case succeeded, canceled
    }

    public let id: String
    public let amount: Money
    public var status: Status
    public var paymentMethod: String?
    public var chargeID: String?
    public var refundedMinor = 0
    public var declineCode: String?
    /// `metadata[order_id]`.
    public let orderID: String?
    public let createdAtSeconds: Int

    public init(
        id: String, amount: Money, status: Status, paymentMethod: String?, chargeID: String? = nil,
        refundedMinor: Int = 0, declineCode: String? = nil, orderID: String?, createdAtSeconds: Int
    ) {
        self.id = id
        self.amount = amount
        self.status = status
        self.paymentMethod = paymentMethod
        self.chargeID = chargeID
        self.refundedMinor = refundedMinor
        self.declineCode = declineCode
        self.orderID = orderID
        self.createdAtSeconds = createdAtSeconds
    }

    /// What the customer has paid, after refunds.
    public var paidMinor: Int { status == .succeeded ? amount.minor - refundedMinor : 0 }

    public var json: JSONValue {
        func text(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        return .object([
            ("id", .string(id)), ("object", "payment_intent"), ("amount", .integer(amount.minor)),
            ("amount_received", .integer(status == .succeeded ? amount.minor : 0)),
            ("canceled_at", .null), ("capture_method", "automatic"), ("confirmation_method", "automatic"),
            ("client_secret", .string("\(id)_secret_lab")), ("created", .integer(createdAtSeconds)),
            ("currency", .string(amount.currency.code)), ("latest_charge", text(chargeID)), ("livemode", false),
            ("last_payment_error", lastError),
            ("metadata", .object(orderID.map { [("order_id", .string($0))] } ?? [])),
            ("payment_method", text(paymentMethod)), ("payment_method_types", ["card"]),
            ("status", .string(status.rawValue)),
        ])
    }

    private var lastError: JSONValue {
        guard let declineCode else { return .null }
        return .object([("type", "card_error"), ("decline_code", .string(declineCode))])
    }
}

/// Money given back.
public struct Refund: Hashable, Sendable {
    public let id: String
    public let intentID: String
    public let chargeID: String
    public let amount: Money
    public let reason: String?
    public let createdAtSeconds: Int

    public init(
        id: String, intentID: String, chargeID: String, amount: Money, reason: String?, createdAtSeconds: Int
    ) {
        self.id = id
        self.intentID = intentID
        self.chargeID = chargeID
        self.amount = amount
        self.reason = reason
        self.createdAtSeconds = createdAtSeconds
    }

    public var json: JSONValue {
        .object([
            ("id", .string(id)), ("object", "refund"), ("amount", .integer(amount.minor)),
            ("charge", .string(chargeID)), ("created", .integer(createdAtSeconds)),
            ("currency", .string(amount.currency.code)), ("metadata", .object([])),
            ("payment_intent", .string(intentID)), ("reason", reason.map { .string($0) } ?? .null),
            ("status", "succeeded"),
        ])
    }
}

/// Why Stripe's API says no: its error object.
public struct StripeError: Error, Hashable, Sendable {
    public let status: Int
    public let type: String
    public let code: String?
    public var declineCode: String?
    public let message: String
    public var parameter: String?
    /// The intent as it is now, where it is about one.
    public var intent: PaymentIntent?

    public init(
        _ status: Int, type: String = "invalid_request_error", code: String? = nil, _ message: String,
        parameter: String? = nil
    ) {
        self.status = status
        self.type = type
        self.code = code
        self.message = message
        self.parameter = parameter
    }

    static func missing(_ parameter: String) -> StripeError {
        StripeError(
            400, code: "parameter_missing", "Missing required param: \(parameter).", parameter: parameter)
    }

    static func none(_ what: String, _ id: String) -> StripeError {
        StripeError(404, code: "resource_missing", "No such \(what): '\(id.prefix(100))'")
    }

    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [("type", .string(type)), ("message", .string(message))]
        if let code { members.append(("code", .string(code))) }
        if let declineCode { members.append(("decline_code", .string(declineCode))) }
        if let parameter { members.append(("param", .string(parameter))) }
        if let intent { members.append(("payment_intent", intent.json)) }
        return .object([("error", .object(members))])
    }
}

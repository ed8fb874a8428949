/// A request of Stripe's API that changes something, read from its form.
public enum StripeRequest: Hashable, Sendable {
    case create(amount: Money, paymentMethod: String?, confirms: Bool, orderID: String?)
    case confirm(id: String, paymentMethod: String?)
    case cancel(id: String)
    case refund(intentID: String?, chargeID: String?, amountMinor: Int?, reason: String?)
    /// Not Stripe's: undoes whatever has been paid for an order, and sees to it that nothing will be.
    case void(orderID: String)

    /// Names that are understood, or that say nothing about what the lab does.
    private static let ignored = [
        "automatic_payment_methods[enabled]", "automatic_payment_methods[allow_redirects]", "capture_method",
        "confirmation_method", "description", "off_session", "payment_method_types[]", "payment_method_types[0]",
        "receipt_email", "return_url", "use_stripe_sdk", "statement_descriptor", "expand[]", "expand[0]",
        "cancellation_reason",
    ]

    /// - Parameter form: names and values in order; the last of a name counts.
    public init(path: [String], form: [(name: String, value: String)]) throws(StripeError) {
        var fields: [String: String] = [:]
        for (name, value) in form { fields[name] = value }
        func take(_ name: String) -> String? { fields.removeValue(forKey: name) }
        func number(_ name: String, _ text: String) throws(StripeError) -> Int {
            guard let number = Int(text), (1...Money.largestMinor).contains(number) else {
                throw StripeError(
                    400, code: "parameter_invalid_integer", "Invalid integer: \(text.prefix(40))", parameter: name)
            }
            return number
        }
        func method() throws(StripeError) -> String? {
            let method = take("payment_method")
            if let method, !Product.isIdentifier(method) {
                throw StripeError.none("PaymentMethod", method)
            }
            return method
        }
        switch (path.first, path.count, path.last) {
        case ("payment_intents", 1, _):
            guard let text = take("amount") else { throw .missing("amount") }
            let minor = try number("amount", text)
            guard let code = take("currency") else { throw .missing("currency") }
            guard let currency = Money.Currency(code) else {
                throw StripeError(400, "Invalid currency: \(code.prefix(40))", parameter: "currency")
            }
            self = .create(
                amount: Money(minor: minor, currency), paymentMethod: try method(), confirms: take("confirm") == "true",
                orderID: try Self.order(take("metadata[order_id]")))
        case ("payment_intents", 2, "void"):
            guard let id = try Self.order(take("order_id")) else { throw .missing("order_id") }
            self = .void(orderID: id)
        case ("payment_intents", 3, "confirm"): self = .confirm(id: path[1], paymentMethod: try method())
        case ("payment_intents", 3, "cancel"): self = .cancel(id: path[1])
        case ("refunds", 1, _):
            let intent = take("payment_intent")
            let charge = take("charge")
            if intent == nil, charge == nil { throw .missing("payment_intent") }
            var amount: Int?
            if let text = take("amount") { amount = try number("amount", text) }
            self = .refund(
                intentID: intent, chargeID: charge, amountMinor: amount,
                reason: take("reason").map { String($0.prefix(100)) })
        default: throw StripeError(404, "Unrecognized request URL")
        }
        for name in Self.ignored { fields[name] = nil }
        let unknown = fields.keys.filter { !$0.hasPrefix("metadata[") }.sorted()
        if let name = unknown.first {
            throw StripeError(
                400, code: "parameter_unknown", "Received unknown parameter: \(name.prefix(100))", parameter: name)
        }
    }

    private static func order(_ text: String?) throws(StripeError) -> String? {
        guard let text else { return nil }
        guard Product.isIdentifier(text) else {
            throw StripeError(400, "No order has such a name", parameter: "metadata[order_id]")
        }
        return text
    }

    /// The same for the same request: what tells a repetition from another request with a used key.
    public var fingerprint: String { "\(self)" }
}

import KernelJSON

/// What the mock processor knows: intents, refunds, and what it answered to whom.
///
/// A cashier who writes each receipt twice and keeps the copies by the customers' numbers. Who comes back with the same
/// number gets the copy, whatever it says; who comes with the same number and another bill is asked whether there is
/// some mistake; and only bills that could not even be read leave no copy.
///
/// Keys by Stripe's rules ("Idempotent requests"): up to 255 characters, kept a day at least; the first answer is
/// repeated, 500s too; nothing is kept of a request that failed validation or met another one under way; the same key
/// with other parameters is an error.
///
/// As with `Inventory`, a host fills in the rows that a request is about, and stores what has changed in the same
/// transaction as the key's answer: so there is no moment in which a card is charged and its key unknown.
public struct PaymentBook: Sendable {
    public private(set) var intents: [String: PaymentIntent] = [:]
    public private(set) var refunds: [Refund] = []
    public private(set) var answers: [String: KeptAnswer] = [:]
    /// Orders for which nothing may be charged any more.
    public private(set) var barred: Set<String> = []

    public struct KeptAnswer: Hashable, Sendable {
        public let fingerprint: String
        public let status: Int
        public let body: String

        public init(fingerprint: String, status: Int, body: String) {
            self.fingerprint = fingerprint
            self.status = status
            self.body = body
        }
    }

    public struct Answer: Sendable {
        public let status: Int
        public let body: String
        /// Whether this is a copy of an earlier answer.
        public var isReplay = false
        /// Whether the key is to remember it.
        public var isKept = true
        /// What happened, for the log.
        public var outcome = Outcome.nothing
    }

    public enum Outcome: Hashable, Sendable {
        case nothing
        case charged(PaymentIntent)
        case declined(PaymentIntent, String)
        case refunded(Refund)
        case voided(orderID: String, refundedMinor: Int)
    }

    public static let keyLimit = Shop.identifierLimit

    public init() {}

    public mutating func put(_ intent: PaymentIntent) { intents[intent.id] = intent }
    public mutating func bar(_ orderID: String) { barred.insert(orderID) }
    public mutating func keep(_ answer: KeptAnswer, for key: String) { answers[key] = answer }

    /// Answers a request, once a key.
    ///
    /// - Parameter number: for the identifiers of what is new.
    public mutating func handle(_ request: StripeRequest, key: String?, number: Int, nowSeconds: Int) -> Answer {
        let fingerprint = request.fingerprint
        if let key {
            guard (1...Self.keyLimit).contains(key.count) else {
                return Self.refusal(
                    StripeError(
                        400, type: "idempotency_error", "Idempotency-Key must have 1 to \(Self.keyLimit) characters"))
            }
            if let kept = answers[key] { return Self.repeated(kept, fingerprint) }
        }
        let answer = carryOut(request, number: number, nowSeconds: nowSeconds)
        if let key, answer.isKept {
            answers[key] = KeptAnswer(fingerprint: fingerprint, status: answer.status, body: answer.body)
        }
        return answer
    }

    private static func repeated(_ kept: KeptAnswer, _ fingerprint: String) -> Answer {
        guard kept.fingerprint == fingerprint else {
            return refusal(
                StripeError(
                    400, type: "idempotency_error",
                    "Keys for idempotent requests can only be used with the same parameters they were first used with."
                ))
        }
        return Answer(status: kept.status, body: kept.body, isReplay: true, isKept: false)
    }

    /// Stripe keeps what failed after validation, and nothing of what failed in it.
    private static func refusal(_ error: StripeError) -> Answer {
        Answer(
            status: error.status, body: error.json.text(.compact),
            isKept: error.type == "card_error" || error.status >= 500)
    }

    private mutating func carryOut(_ request: StripeRequest, number: Int, nowSeconds: Int) -> Answer {
        do throws(StripeError) {
            switch request {
            case .create(let amount, let method, let confirms, let orderID):
                if let orderID, barred.contains(orderID) {
                    throw StripeError(
                        400, code: "payment_intent_unexpected_state", "Order '\(orderID)' was voided.")
                }
                var intent = PaymentIntent(
                    id: "pi_\(number)", amount: amount,
                    status: method == nil ? .requiresPaymentMethod : .requiresConfirmation, paymentMethod: method,
                    orderID: orderID, createdAtSeconds: nowSeconds)
                if confirms { return try charge(&intent, number) }
                intents[intent.id] = intent
                return Answer(status: 200, body: intent.json.text(.compact))
            case .confirm(let id, let method):
                guard var intent = intents[id] else { throw .none("payment_intent", id) }
                intent.paymentMethod = method ?? intent.paymentMethod
                return try charge(&intent, number)
            case .cancel(let id): return try cancel(id)
            case .refund(let intentID, let chargeID, let amount, let reason):
                let charged = intents.values.filter { $0.chargeID == chargeID && chargeID != nil }.min { $0.id < $1.id }
                guard let intent = intentID.flatMap({ intents[$0] }) ?? charged else {
                    throw .none("payment_intent", intentID ?? chargeID ?? "")
                }
                let refund = try refund(intent, amount, reason, number, nowSeconds)
                return Answer(status: 200, body: refund.json.text(.compact), outcome: .refunded(refund))
            case .void(let orderID): return void(orderID, number, nowSeconds)
            }
        } catch {
            return Self.refusal(error)
        }
    }

    private mutating func charge(_ intent: inout PaymentIntent, _ number: Int) throws(StripeError) -> Answer {
        guard intent.status == .requiresConfirmation || intent.status == .requiresPaymentMethod else {
            throw StripeError(
                400, code: "payment_intent_unexpected_state",
                "This PaymentIntent's status is \(intent.status.rawValue); it cannot be confirmed.")
        }
        if let orderID = intent.orderID, barred.contains(orderID) {
            throw StripeError(400, code: "payment_intent_unexpected_state", "Order '\(orderID)' was voided.")
        }
        guard let card = intent.paymentMethod else { throw .missing("payment_method") }
        switch CardVerdict(card: card) {
        case .approved:
            intent.status = .succeeded
            intent.chargeID = "ch_\(number)"
            intent.declineCode = nil
            intents[intent.id] = intent
            return Answer(status: 200, body: intent.json.text(.compact), outcome: .charged(intent))
        case .declined(let code, let declineCode, let text):
            intent.status = .requiresPaymentMethod
            intent.declineCode = declineCode ?? code
            intents[intent.id] = intent
            var error = StripeError(402, type: "card_error", code: code, "Your card was declined: \(text).")
            error.declineCode = declineCode
            error.intent = intent
            return Answer(
                status: 402, body: error.json.text(.compact), outcome: .declined(intent, text))
        }
    }

    private mutating func cancel(_ id: String) throws(StripeError) -> Answer {
        guard var intent = intents[id] else { throw .none("payment_intent", id) }
        guard intent.status != .succeeded, intent.status != .canceled else {
            throw StripeError(
                400, code: "payment_intent_unexpected_state",
                "You cannot cancel this PaymentIntent because it has a status of \(intent.status.rawValue).")
        }
        intent.status = .canceled
        intents[id] = intent
        return Answer(status: 200, body: intent.json.text(.compact))
    }

    private mutating func refund(
        _ intent: PaymentIntent, _ amount: Int?, _ reason: String?, _ number: Int, _ nowSeconds: Int
    ) throws(StripeError) -> Refund {
        guard let chargeID = intent.chargeID, intent.status == .succeeded else {
            throw StripeError(
                400, code: "payment_intent_unexpected_state", "This PaymentIntent does not have a successful charge.")
        }
        guard intent.paidMinor > 0 else {
            throw StripeError(
                400, code: "charge_already_refunded", "Charge \(chargeID) has already been refunded.")
        }
        let wanted = amount ?? intent.paidMinor
        guard wanted <= intent.paidMinor else {
            throw StripeError(
                400, "Refund amount (\(wanted)) is greater than unrefunded amount on charge (\(intent.paidMinor))",
                parameter: "amount")
        }
        var intent = intent
        intent.refundedMinor += wanted
        intents[intent.id] = intent
        let refund = Refund(
            id: "re_\(number)", intentID: intent.id, chargeID: chargeID,
            amount: Money(minor: wanted, intent.amount.currency), reason: reason, createdAtSeconds: nowSeconds)
        refunds.append(refund)
        return refund
    }

    /// Right whatever has happened to the order's payment: charged, declined, or never heard of. What was under way
    /// and comes later finds the order barred.
    private mutating func void(_ orderID: String, _ number: Int, _ nowSeconds: Int) -> Answer {
        barred.insert(orderID)
        var refunded = 0
        let own = intents.values.filter { $0.orderID == orderID }.sorted { $0.id < $1.id }
        for (index, intent) in own.enumerated() {
            switch intent.status {
            case .succeeded where intent.paidMinor > 0:
                // An order has one intent that was charged; several would be numbered apart.
                let made = try? refund(intent, nil, "requested_by_customer", number + index, nowSeconds)
                refunded += made?.amount.minor ?? 0
            case .requiresConfirmation, .requiresPaymentMethod:
                _ = try? cancel(intent.id)
            default: break
            }
        }
        let total = intents.values.filter { $0.orderID == orderID }.reduce(0) { $0 + $1.refundedMinor }
        let body = JSONValue.object([
            ("object", "void"), ("order_id", .string(orderID)), ("amount_refunded", .integer(total)),
        ])
        return Answer(
            status: 200, body: body.text(.compact), outcome: .voided(orderID: orderID, refundedMinor: refunded))
    }
}

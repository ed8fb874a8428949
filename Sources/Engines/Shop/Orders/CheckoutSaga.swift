import KernelStructures

/// The orchestrator of one checkout: what is to be done next, and how everything so far can be undone.
///
/// Its rule is the whole of its safety: **every change is saved before anything is asked of anybody.** `apply` takes an
/// event and returns what is to be stored; only `saved` returns what is to be done. So whatever a crash interrupts, the
/// store knows at least as much as the world has been told, and who starts again asks `resume`, which repeats the last
/// question. All questions may be repeated: they carry the order's number as their key.
///
/// ```
///   begin ─▶ reserving ─▶ charging ─▶ confirming ─▶ confirmed
///                │            │            │
///                └────────────┴────────────┴─▶ undoing: the last compensation first ─▶ failed
///                                                  └─ will not go: parked, and said loudly
/// ```
///
/// A compensation is registered *before* its step, not after it: when the answer of a charge is lost, nobody knows
/// whether there was one, and only who has written "void it" beforehand will look (Temporal's compensating
/// transactions). So each compensation must also be right for a step that never happened.
public struct CheckoutSaga: Hashable, Sendable {
    public enum Phase: String, Sendable, CaseIterable {
        case reserving, charging, confirming, confirmed, undoing, failed
        /// A compensation has failed for so long that a person has to look.
        case parked

        public var isTerminal: Bool { self == .confirmed || self == .failed }
    }

    /// What undoes a step.
    public enum Compensation: String, Sendable, CaseIterable {
        case release
        case void
    }

    public enum Call: String, Sendable, CaseIterable { case reserve, charge, confirm, void, release }

    public enum Event: Hashable, Sendable {
        case reserved(reservationID: String, expiresAtSeconds: Int)
        case charged(paymentID: String, chargeID: String)
        case confirmed
        case voided(refundedMinor: Int)
        case released
        /// The step can never succeed, and its service says why: `out_of_stock`, `card_declined`.
        case refused(reason: String)
        /// No answer, or none that says anything: it may have happened.
        case unanswered(String)
        /// The time to ask again has come.
        case due
        /// A person wants a parked saga to go on.
        case unparked
    }

    /// To be stored in one transaction, all or nothing.
    public struct Save: Hashable, Sendable {
        /// For the order's log: what happened, for `ledger explain`.
        public var entries: [Entry] = []
        /// To be put into the outbox: the key of an event.
        public var publishes: String?

        public init() {}

        public struct Entry: Hashable, Sendable {
            public let kind: String
            public let detail: String
        }
    }

    public enum Action: Hashable, Sendable {
        case call(Call)
        /// `due` is wanted after so long.
        case wait(milliseconds: Int)
        /// It is over; the client is to be told.
        case finished
        /// A person is to be told.
        case parked
    }

    public let orderID: String
    public private(set) var phase = Phase.reserving
    /// What has to be undone if it fails; the last first.
    public private(set) var compensations: [Compensation] = []
    /// Unanswered questions in a row.
    public private(set) var attempts = 0
    /// Why it fails.
    public private(set) var reason: String?
    public private(set) var paymentID: String?
    public private(set) var chargeID: String?
    public private(set) var reservationID: String?
    /// Events so far: the order's sequence.
    public private(set) var sequence = 0

    /// Questions of a step that stay unanswered before it is given up, and what may have happened is undone: a minute,
    /// which is well within the time that pieces are held.
    public static let forwardLimit = 9
    /// Of a compensation, before it is parked: two hours and a half.
    public static let backwardLimit = 160
    /// After the charge there is nothing better than to go on: asks longer.
    public static let confirmLimit = 20

    /// - Parameter save: what belongs to the order's first record, together with the order itself.
    public init(orderID: String, save: inout Save) {
        self.orderID = orderID
        // Before the step: an answer that is lost must not leave pieces that nobody releases.
        compensations = [.release]
        note("received", "", &save)
    }

    /// What an earlier life has stored.
    public init(
        orderID: String, phase: Phase, compensations: [Compensation], attempts: Int, reason: String?,
        paymentID: String?, chargeID: String?, reservationID: String?, sequence: Int
    ) {
        self.orderID = orderID
        self.phase = phase
        self.compensations = compensations
        self.attempts = attempts
        self.reason = reason
        self.paymentID = paymentID
        self.chargeID = chargeID
        self.reservationID = reservationID
        self.sequence = sequence
    }

    /// The key of every question about the order: the same for each repetition and for each life.
    public var idempotencyKey: String { orderID }

    private mutating func note(_ kind: String, _ detail: String, _ save: inout Save) {
        sequence += 1
        save.entries.append(.init(kind: kind, detail: detail))
    }

    /// `15:05:25`, beside other times of day.
    private static func clock(_ unixSeconds: Int) -> String {
        let (nanoseconds, isTooLate) = Int64(clamping: unixSeconds).multipliedReportingOverflow(by: 1_000_000_000)
        return isTooLate ? "\(unixSeconds)" : LabTime(nanoseconds: nanoseconds).timeOfDay
    }

    // MARK: Events

    /// Takes what has happened. Nil: it means nothing now (an answer that comes late or twice), and nothing changes.
    public mutating func apply(_ event: Event) -> Save? {
        var save = Save()
        switch (phase, event) {
        case (.reserving, .reserved(let id, let expires)):
            reservationID = id
            compensations.append(.void)
            go(.charging)
            note("reserved", "\(id), held until \(Self.clock(expires))", &save)
        case (.charging, .charged(let payment, let charge)):
            paymentID = payment
            chargeID = charge
            go(.confirming)
            note("charged", "\(charge) (\(payment))", &save)
        case (.confirming, .confirmed):
            compensations = []
            go(.confirmed)
            note("confirmed", reservationID ?? "", &save)
            note("published", "order.created", &save)
            save.publishes = "order.created"
        case (.charging, .refused(let why)):
            // Its key remembers the refusal, so no repetition that is still on its way can charge.
            compensations.removeAll { $0 == .void }
            fail(why, &save)
        case (.reserving, .refused(let why)), (.confirming, .refused(let why)): fail(why, &save)
        case (.undoing, .voided(let amount)) where compensations.last == .void:
            compensations.removeLast()
            attempts = 0
            note("voided", amount > 0 ? "refunded \(amount)" : "nothing was charged", &save)
            endIfUndone(&save)
        case (.undoing, .released) where compensations.last == .release:
            compensations.removeLast()
            attempts = 0
            note("released", reservationID ?? "nothing was held", &save)
            endIfUndone(&save)
        case (.undoing, .refused(let why)), (.undoing, .unanswered(let why)):
            attempts += 1
            if attempts >= Self.backwardLimit { phase = .parked }
            note(phase == .parked ? "parked" : "unanswered", "\(compensations.last?.rawValue ?? ""): \(why)", &save)
        case (.reserving, .unanswered(let why)), (.charging, .unanswered(let why)), (.confirming, .unanswered(let why)):
            attempts += 1
            note("unanswered", "\(call?.rawValue ?? ""): \(why)", &save)
            if attempts >= (phase == .confirming ? Self.confirmLimit : Self.forwardLimit) {
                fail("\(call?.rawValue ?? "")_unavailable", &save)
            }
        case (.parked, .unparked):
            attempts = 0
            phase = .undoing
            note("unparked", "", &save)
        default: return nil
        }
        return save
    }

    private mutating func go(_ next: Phase) {
        phase = next
        attempts = 0
    }

    private mutating func fail(_ why: String, _ save: inout Save) {
        reason = why
        note("failing", why, &save)
        go(.undoing)
        endIfUndone(&save)
    }

    private mutating func endIfUndone(_ save: inout Save) {
        guard compensations.isEmpty else { return }
        go(.failed)
        note("failed", reason ?? "", &save)
        note("published", "order.failed", &save)
        save.publishes = "order.failed"
    }

    // MARK: What to do

    /// The question that its phase asks.
    public var call: Call? {
        switch phase {
        case .reserving: .reserve
        case .charging: .charge
        case .confirming: .confirm
        case .undoing: compensations.last == .void ? .void : .release
        case .confirmed, .failed, .parked: nil
        }
    }

    /// What has to be done now that its state is stored. After a crash the same is asked again.
    public var next: Action {
        switch phase {
        case .confirmed, .failed: .finished
        case .parked: .parked
        default: attempts > 0 ? .wait(milliseconds: pauseMilliseconds) : .call(call ?? .release)
        }
    }

    /// After a pause, or at the start of another life.
    public var resume: Action { call.map { .call($0) } ?? next }

    /// 200 ms, then twice as long each time, to a minute.
    var pauseMilliseconds: Int { min(60_000, 200 << min(attempts - 1, 16)) }
}

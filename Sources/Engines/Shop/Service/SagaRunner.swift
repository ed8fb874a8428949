import KernelHosting
import KernelJSON
import KernelStructures
import KernelTelemetry
import KernelWorld
import ShopEngine
import ShopKitService

/// Drives the sagas of one node: carries out what `CheckoutSaga` wants done, once what it wants stored is stored.
///
/// ```
///   event ─▶ saga.apply ─▶ store.update ─▶ (stored) saga.next ─▶ question ─▶ answer = event
///                               └ not stored: what the database says counts; read it again, go on from there
/// ```
final class SagaRunner {
    /// An order under way.
    private final class Run {
        var order: Order
        /// On whose behalf, as long as somebody waits.
        var exchange: HTTPExchange?
        /// The saga in its trace, which outlasts the answer, and lives.
        let span: ActiveSpan?
        var timer: TimerID?

        init(_ order: Order, _ exchange: HTTPExchange?, _ span: ActiveSpan?) {
            self.order = order
            self.exchange = exchange
            self.span = span
        }

        /// What is published goes on from the saga, or from where an earlier life was.
        var traceparent: String? { span?.context.traceparent ?? order.traceparent }
    }

    private let host: ShopHost
    private let store: OrderStore
    private var runs: [String: Run] = [:]
    /// An order has come to its end, or has to wait for a person.
    var onEnd: ((Order) -> Void)?
    /// Something stands in the outbox.
    var onPublish: (() -> Void)?
    private(set) var parkedCount = 0
    private(set) var confirmedCount = 0
    private(set) var failedCount = 0

    init(_ host: ShopHost, _ store: OrderStore) {
        self.host = host
        self.store = store
    }

    var openCount: Int { runs.count }

    /// Begins, or goes on with what an earlier life has left.
    func run(_ order: Order, for exchange: HTTPExchange? = nil) {
        guard runs[order.id] == nil else { return }
        let run = Run(order, exchange, span(order, exchange))
        runs[order.id] = run
        perform(order.saga.resume, run)
    }

    /// A part of the request; in another life, or on another node, a part of the same trace.
    private func span(_ order: Order, _ exchange: HTTPExchange?) -> ActiveSpan? {
        let spans = host.node.world.spans!
        let span: ActiveSpan?
        if let request = exchange?.span {
            span = spans.begin("saga", .internal, on: host.node, within: request)
        } else if let text = order.traceparent, let parent = try? TraceContext(traceparent: [text]) {
            span = spans.continueTrace(parent, "saga, led on", .internal, on: host.node, isSeparate: true)
        } else {
            span = nil
        }
        span?.set("order.id", order.id)
        return span
    }

    // MARK: Events

    private func take(_ event: CheckoutSaga.Event, _ run: Run) {
        guard runs[run.order.id] === run else { return }
        guard let save = run.order.saga.apply(event) else { return perform(run.order.saga.next, run) }
        run.order.version += 1
        store.update(run.order, save, at: host.nowText, traceparent: run.traceparent) { [weak self] failure in
            guard let self, runs[run.order.id] === run else { return }
            if let failure { return lost(run, failure) }
            if save.publishes != nil { onPublish?() }
            perform(run.order.saga.next, run)
        }
    }

    /// Whether it was stored is not known, so nothing may be done upon it: the database tells.
    private func lost(_ run: Run, _ failure: ShopStoreFailure) {
        let id = run.order.id
        host.runtime.log("Order \(id: id) was not stored: \("\(failure)")", level: .warning)
        wait(.seconds(1), run) { [weak self] in self?.reload(id, run) }
    }

    private func reload(_ id: String, _ run: Run) {
        store.order(id) { [weak self] result in
            guard let self, runs[id] === run else { return }
            guard case .success(let order?) = result else {
                return wait(.seconds(1), run) { [weak self] in self?.reload(id, run) }
            }
            guard order.owner == store.owner else { return handOver(order, run) }
            run.order = order
            // What its last change would have published may be in the outbox already.
            onPublish?()
            perform(order.saga.resume, run)
        }
    }

    /// While this node was silent, somebody else has taken its order over.
    private func handOver(_ order: Order, _ run: Run) {
        host.runtime.log("Order \(id: order.id) is led by \(id: order.owner ?? "another node") now")
        end(run)
    }

    private func wait(_ time: LabDuration, _ run: Run, _ action: @escaping () -> Void) {
        host.node.cancel(run.timer)
        run.timer = host.node.after(time, action)
    }

    // MARK: Actions

    private func perform(_ action: CheckoutSaga.Action, _ run: Run) {
        guard let span = run.span, !span.isOver else { return carryOut(action, run) }
        span.run { carryOut(action, run) }
    }

    private func carryOut(_ action: CheckoutSaga.Action, _ run: Run) {
        switch action {
        case .call(let call): ask(call, run)
        case .wait(let milliseconds):
            wait(.milliseconds(milliseconds), run) { [weak self] in
                guard let self, runs[run.order.id] === run else { return }
                perform(run.order.saga.resume, run)
            }
        case .finished:
            end(run)
            if run.order.saga.phase == .confirmed { confirmedCount += 1 } else { failedCount += 1 }
            if let reason = run.order.saga.reason {
                // A declined card is the customer's affair; that nobody answered is that of whoever runs the shop.
                let isOwn = reason.hasSuffix("_unavailable")
                host.runtime.log("Order \(id: run.order.id) failed: \(reason)", level: isOwn ? .error : .warning)
            }
            onEnd?(run.order)
        case .parked:
            end(run)
            parkedCount += 1
            host.runtime.log(
                "Order \(id: run.order.id) is parked: it can be neither finished nor undone; somebody has to look",
                level: .error)
            onEnd?(run.order)
        }
    }

    private func end(_ run: Run) {
        runs[run.order.id] = nil
        host.node.cancel(run.timer)
        run.exchange = nil
        run.span?.set("order.status", run.order.saga.phase.rawValue)
        if let reason = run.order.saga.reason { run.span?.fail(reason) }
        run.span?.end()
    }

    /// A person has looked: tries again.
    func unpark(_ order: Order, _ completion: @escaping (ShopStoreFailure?) -> Void) {
        var order = order
        guard runs[order.id] == nil, let save = order.saga.apply(.unparked) else { return completion(nil) }
        order.version += 1
        store.update(order, save, at: host.nowText, traceparent: nil) { [weak self] failure in
            completion(failure)
            if failure == nil {
                if let self { parkedCount = max(0, parkedCount - 1) }
                self?.run(order)
            }
        }
    }

    private func ask(_ call: CheckoutSaga.Call, _ run: Run) {
        let order = run.order
        let (name, question) = Self.question(call, order)
        let peer = host.peer(name)
        if let pause = peer.refusesFor {
            host.runtime.log(
                "Order \(id: order.id) waits: the circuit to \(name) is open for another \(pause), nothing is sent",
                level: .warning)
        } else {
            announce(call, order)
        }
        peer.ask(question, for: run.exchange) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let failure): take(.unanswered(failure.text), run)
            case .success(let answer): take(Self.event(call, answer), run)
            }
        }
    }

    private func announce(_ call: CheckoutSaga.Call, _ order: Order) {
        switch call {
        case .reserve: host.runtime.log("→ Reserving inventory...")
        case .charge: host.runtime.log("→ Processing payment...")
        case .confirm: host.runtime.log("→ Confirming inventory...")
        case .void: host.runtime.log("→ Voiding payment of \(id: order.id)...")
        case .release: host.runtime.log("→ Releasing inventory reservation...")
        }
    }

    private static func question(_ call: CheckoutSaga.Call, _ order: Order) -> (String, PeerClient.Question) {
        let id = order.id
        switch call {
        case .reserve:
            let body = JSONValue.object([("order_id", .string(id)), ("items", order.linesJSON)])
            return ("inventory", .init("POST", "/reservations", json: body))
        case .confirm: return ("inventory", .init("POST", "/reservations/\(id)/confirm"))
        case .release: return ("inventory", .init("POST", "/reservations/\(id)/release"))
        case .charge:
            var question = PeerClient.Question(
                "POST", "/v1/payment_intents",
                form: [
                    ("amount", "\(order.total.minor)"), ("currency", order.total.currency.code),
                    ("payment_method", order.paymentMethod), ("confirm", "true"), ("metadata[order_id]", id),
                ])
            // The same for every repetition, in every life: whoever asks twice is charged once.
            question.fields.append(("Idempotency-Key", order.saga.idempotencyKey))
            return ("payments", question)
        case .void: return ("payments", .init("POST", "/v1/payment_intents/void", form: [("order_id", id)]))
        }
    }

    /// What an answer means. Anything that nobody expects is no answer: what happened is not known.
    private static func event(_ call: CheckoutSaga.Call, _ answer: PeerClient.Answer) -> CheckoutSaga.Event {
        let json = answer.json
        func text(_ name: String) -> String { if case .string(let text)? = json[name] { text } else { "" } }
        func number(_ name: String) -> Int { if case .integer(let number)? = json[name] { number } else { 0 } }
        let unanswered = CheckoutSaga.Event.unanswered("status \(answer.status)")
        switch (call, answer.status) {
        case (.reserve, 200...299):
            return .reserved(reservationID: text("reservation_id"), expiresAtSeconds: number("expires_at"))
        case (.charge, 200...299) where text("status") == "succeeded":
            return .charged(paymentID: text("id"), chargeID: text("latest_charge"))
        case (.confirm, 200...299): return .confirmed
        case (.release, 200...299): return .released
        case (.void, 200...299): return .voided(refundedMinor: number("amount_refunded"))
        case (.reserve, 404), (.reserve, 409), (.reserve, 410), (.confirm, 404), (.confirm, 410):
            return .refused(reason: text("error").isEmpty ? "refused" : text("error"))
        case (.charge, 402): return .refused(reason: "payment_declined")
        case (.charge, 400), (.charge, 404): return .refused(reason: "payment_refused")
        default: return unanswered
        }
    }
}

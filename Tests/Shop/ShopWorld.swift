import KernelStructures

@testable import ShopEngine

/// The whole shop without network and databases: the engines, a store that survives crashes, and a postman who loses,
/// doubles and delays. It drives a saga as the orders' host does: what is to be stored first, then what is to be asked.
struct ShopWorld {
    /// What goes wrong with the `step`-th thing that happens.
    enum Trouble: Hashable, CaseIterable {
        /// The orders' node dies before what it was about to store is there.
        case crashBeforeSave
        /// … after it was stored, before anything was asked.
        case crashAfterSave
        /// The question never arrives.
        case questionLost
        /// It was carried out, and nobody hears of it.
        case replyLost
        /// It arrives twice.
        case questionDoubled
        /// It arrives a second time when everything is over.
        case questionLate
        /// The pieces are given back meanwhile: five minutes have passed.
        case expiry
        /// … and somebody else takes them, for as long as this order lasts.
        case outsold
    }

    var inventory: Inventory
    var payments = PaymentBook()
    /// What the orders' database holds.
    var stored: [String: CheckoutSaga] = [:]
    var lines: [String: [OrderLine]] = [:]
    var totals: [String: Int] = [:]
    var cards: [String: String] = [:]
    var published: [(key: String, orderID: String, sequence: Int)] = []
    /// Events of which nothing was stored when they went out.
    private var lies: [String] = []
    private var rivals: [String] = []
    private var late: [(String, CheckoutSaga.Call)] = []
    private var number = 0
    var now = 1000
    /// For mutants: what a careless shop would do.
    var mutant: Mutant?
    private var attempt = 0

    /// What a careless shop would do. The search has to find each of them.
    enum Mutant: CaseIterable {
        /// The card is charged before it is stored that the pieces are reserved.
        case chargeBeforeSave
        /// The event goes out before the change that it tells of is stored.
        case publishBeforeCommit
        /// Each repetition of a charge has a key of its own.
        case keyPerRetry
        /// What undoes a checkout stands in a `catch`: nobody carries it out whose process has died.
        case compensationInCatch
    }

    init(stock: [StockLevel]) { inventory = Inventory(levels: stock) }

    mutating func begin(_ id: String, _ order: [OrderLine], total: Int, card: String) {
        var save = CheckoutSaga.Save()
        stored[id] = CheckoutSaga(orderID: id, save: &save)
        lines[id] = order
        totals[id] = total
        cards[id] = card
    }

    /// Drives an order to its end, or until nothing happens any more.
    mutating func run(_ id: String, _ trouble: (_ step: Int) -> Trouble?) -> Int {
        guard var saga = stored[id] else { return 0 }
        var action = saga.resume
        for step in 0..<1000 {
            let trouble = trouble(step)
            let event: CheckoutSaga.Event
            switch action {
            case .finished, .parked:
                deliverLate()
                return step
            case .wait: event = .due
            case .call(let call): event = ask(call, id, saga, trouble)
            }
            if event == .due {
                action = saga.resume
                continue
            }
            guard let save = saga.apply(event) else {
                action = saga.next
                continue
            }
            hurry(save, id, saga, event)
            if trouble == .crashBeforeSave {
                saga = stored[id] ?? saga
                if mutant == .compensationInCatch, saga.phase == .undoing { return step }
                action = saga.resume
                continue
            }
            stored[id] = saga
            if let key = save.publishes, mutant != .publishBeforeCommit { publish(key, id, saga) }
            if trouble == .crashAfterSave {
                // Another life reads what is stored.
                if mutant == .compensationInCatch, saga.phase == .undoing { return step }
                action = saga.resume
                continue
            }
            action = saga.next
        }
        return 1000
    }

    private mutating func publish(_ key: String, _ id: String, _ saga: CheckoutSaga) {
        published.append((key, id, saga.sequence))
        // Whoever hears of it and looks must find it.
        if stored[id]?.phase.isTerminal != true { lies.append("\(id): \(key) was published before it was stored") }
    }

    /// What a mutant does before its change is stored.
    private mutating func hurry(
        _ save: CheckoutSaga.Save, _ id: String, _ saga: CheckoutSaga, _ event: CheckoutSaga.Event
    ) {
        switch (mutant, event) {
        case (.chargeBeforeSave, .reserved): _ = carryOut(.charge, id, saga)
        case (.publishBeforeCommit, _): if let key = save.publishes { publish(key, id, saga) }
        default: break
        }
    }

    private mutating func ask(
        _ call: CheckoutSaga.Call, _ id: String, _ saga: CheckoutSaga, _ trouble: Trouble?
    ) -> CheckoutSaga.Event {
        switch trouble {
        case .questionLost: return .unanswered("lost")
        case .questionDoubled: _ = carryOut(call, id, saga)
        case .questionLate: late.append((id, call))
        case .expiry:
            now += Shop.holdSeconds + 1
            _ = inventory.expire(orderID: id, nowSeconds: now)
        case .outsold:
            now += Shop.holdSeconds + 1
            _ = inventory.expire(orderID: id, nowSeconds: now)
            let free = inventory.sortedLevels.filter { $0.available > 0 }
            let rival = "rival\(rivals.count)"
            rivals.append(rival)
            _ = try? inventory.reserve(
                orderID: rival, lines: free.map { OrderLine($0.productID, $0.available) }, id: rival, nowSeconds: now)
        default: break
        }
        let event = carryOut(call, id, saga)
        return trouble == .replyLost ? .unanswered("no reply") : event
    }

    private mutating func deliverLate() {
        for rival in rivals { _ = inventory.release(orderID: rival, id: rival) }
        let waiting = late
        late = []
        for (id, call) in waiting { if let saga = stored[id] { _ = carryOut(call, id, saga) } }
    }

    private mutating func carryOut(
        _ call: CheckoutSaga.Call, _ id: String, _ saga: CheckoutSaga
    ) -> CheckoutSaga.Event {
        number += 10
        attempt += 1
        switch call {
        case .reserve:
            do throws(InventoryRefusal) {
                let held = try inventory.reserve(
                    orderID: id, lines: lines[id] ?? [], id: "r\(number)", nowSeconds: now)
                return .reserved(reservationID: held.id, expiresAtSeconds: held.expiresAtSeconds)
            } catch {
                return .refused(reason: error.word)
            }
        case .confirm:
            do throws(InventoryRefusal) {
                _ = try inventory.confirm(orderID: id)
                return .confirmed
            } catch {
                return .refused(reason: error.word)
            }
        case .release:
            _ = inventory.release(orderID: id, id: "r\(number)")
            return .released
        case .charge:
            let request = StripeRequest.create(
                amount: Money(minor: totals[id] ?? 0), paymentMethod: cards[id], confirms: true, orderID: id)
            let key = mutant == .keyPerRetry ? "\(id)-\(attempt)" : saga.idempotencyKey
            let answer = payments.handle(request, key: key, number: number, nowSeconds: now)
            return answer.status == 200
                ? .charged(paymentID: "pi_\(number)", chargeID: "ch_\(number)") : .refused(reason: "payment_declined")
        case .void:
            let answer = payments.handle(.void(orderID: id), key: nil, number: number, nowSeconds: now)
            return answer.status == 200 ? .voided(refundedMinor: 0) : .unanswered("\(answer.status)")
        }
    }

    /// The books, orders that are not over, and events that tell of something else than what is stored.
    var complaints: [String] {
        var complaints = ledger.complaints + lies
        for (id, saga) in stored.sorted(by: { $0.key < $1.key }) {
            if !saga.phase.isTerminal { complaints.append("\(id) is \(saga.phase)") }
            let keys = Set(published.filter { $0.orderID == id }.map(\.key))
            let due = saga.phase == .confirmed ? "order.created" : "order.failed"
            if saga.phase.isTerminal, keys != [due] { complaints.append("\(id): published \(keys.sorted())") }
        }
        return complaints
    }

    var ledger: ShopLedger {
        ShopLedger(
            stock: inventory.sortedLevels,
            orders: stored.sorted { $0.key < $1.key }.map { id, saga in
                .init(
                    id: id,
                    status: saga.phase == .confirmed ? "confirmed" : saga.phase == .failed ? "failed" : "pending",
                    totalMinor: totals[id] ?? 0, lines: lines[id] ?? [])
            },
            payments: payments.intents.values.sorted { $0.id < $1.id }.map { intent in
                .init(
                    orderID: intent.orderID, chargedMinor: intent.status == .succeeded ? intent.amount.minor : 0,
                    refundedMinor: intent.refundedMinor)
            })
    }
}

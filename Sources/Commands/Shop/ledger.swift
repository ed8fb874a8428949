import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession
import ShopEngine

extension ShopCommands {
    /// `ledger`, `ledger explain o1`
    static var ledger: Command {
        let places: [CommandDescription.Flag] = [
            .init("orders", nil, .endpoint, "where the orders are (orders:8084)"),
            .init("inventory", nil, .endpoint, "where the stock is (inventory:8083)"),
            .init("payments", nil, .endpoint, "where the payments are (payments:8085)"),
            .init("notifications", nil, .endpoint, "where the letters are (notifications:8086)"),
            .init("at", nil, .text("HOST"), "all of them on one node: shop"), CommonFlags.json,
        ]
        let description = CommandDescription(
            "ledger", "whether a shop's pieces, money and orders add up", operates: false,
            subcommands: [
                .init(
                    "check", "all of it; not zero if something is wrong",
                    flags: [
                        .init("live", nil, "only what holds at every moment; 69 if it cannot be asked"),
                        .init("settled", nil, "no order may be under way, and somebody was told of each"),
                    ] + places,
                    examples: ["ledger", "ledger check --at shop", "ledger check --settled"]),
                .init(
                    "explain", "one order: steps, pieces, money and letters in one line of time", usage: "ORDER",
                    flags: places, arguments: .init([.text], 1...1),
                    examples: ["ledger explain o1", "explain order o1"]),
            ], whenNone: "check", group: .clients,
            details: """
                Stock: available + reserved + sold is what was received, and what is sold is
                what confirmed orders have. Money: charged less refunded is the sum of confirmed
                orders, order by order, and nobody was charged twice. Orders under way are
                counted apart. It asks the services, and believes only what their databases say.
                With --live it can be asked in the middle of everything: nobody is charged
                twice, or before it is stored that his pieces are reserved, and no event tells
                of what is not stored. Such is the invariant of chaos search (always).
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let host = arguments.text("at")
            func place(_ name: String, _ port: UInt16) -> HostPort {
                arguments.endpoint(name) ?? HostPort(host: host ?? name, port: port)
            }
            let order = arguments.verb == "explain" ? arguments.arguments.first : nil
            if let order, !Product.isIdentifier(order) { throw UsageError("ledger: '\(order)' is no order's name") }
            if arguments.has("live"), arguments.has("settled") {
                throw UsageError("ledger: --live is for while orders are under way, --settled for afterwards")
            }
            let rules: LedgerViews.Rules =
                arguments.has("live") ? .live : arguments.has("settled") ? .settled : .standing
            return .running(
                LedgerProgram(
                    invocation.process, order: order, rules: rules, orders: place("orders", 8084),
                    inventory: place("inventory", 8083), payments: place("payments", 8085),
                    notifications: place("notifications", 8086), wantsJSON: arguments.wantsJSON))
        }
    }
}

/// Asks three services, and adds up.
private final class LedgerProgram: Program {
    private let process: Process
    private let order: String?
    private let rules: LedgerViews.Rules
    private let orders: HostPort
    private let inventory: HostPort
    private let payments: HostPort
    private let notifications: HostPort
    private let wantsJSON: Bool
    /// Who has not answered, and why.
    private var silences: [String] = []

    init(
        _ process: Process, order: String?, rules: LedgerViews.Rules, orders: HostPort, inventory: HostPort,
        payments: HostPort, notifications: HostPort, wantsJSON: Bool
    ) {
        self.rules = rules
        self.process = process
        self.order = order
        self.orders = orders
        self.inventory = inventory
        self.payments = payments
        self.notifications = notifications
        self.wantsJSON = wantsJSON
    }

    func start() {
        process.node.isObserver = true
        if let order { return explain(order) }
        // Effects before their causes: what has happened meanwhile is then no contradiction.
        ask(notifications, "/ledger", mayBeAway: true) { [self] events in
            ask(payments, "/ledger", mayBeSilent: rules != .live) { [self] payments in
                ask(inventory, "/stock", mayBeSilent: rules != .live) { [self] stock in
                    ask(orders, "/ledger", mayBeSilent: rules != .live) { [self] orders in
                        finish {
                            try LedgerViews.books(orders, stock, payments, events, rules, silences: silences)
                        }
                    }
                }
            }
        }
    }

    private func explain(_ order: String) {
        ask(orders, "/orders/\(order)/timeline") { [self] timeline in
            ask(inventory, "/reservations/\(order)", isOptional: true, mayBeSilent: true) { [self] reservation in
                let isStockKnown = silences.isEmpty
                ask(payments, "/ledger", mayBeSilent: true) { [self] payments in
                    // Without those who write letters it is the same order.
                    ask(notifications, "/notifications?order=\(order)", mayBeAway: true, mayBeSilent: true) {
                        [self] letters in
                        finish {
                            let timeline = try OrderTimeline(
                                order, timeline: timeline, reservation: reservation, isStockKnown: isStockKnown,
                                payments: payments, letters: letters)
                            var view = try timeline.view()
                            LedgerViews.add(silences, to: &view)
                            return (view, silences.isEmpty)
                        }
                    }
                }
            }
        }
    }

    /// - Parameters:
    ///   - isOptional: there may be no such thing (404): null.
    ///   - mayBeAway: nobody may run it: null.
    ///   - mayBeSilent: where it does not answer, that is said, and the rest is shown: null.
    private func ask(
        _ place: HostPort, _ target: String, isOptional: Bool = false, mayBeAway: Bool = false,
        mayBeSilent: Bool = false, _ next: @escaping (JSONValue) -> Void
    ) {
        var request = HTTPCall.Request(url: HTTPURL(host: place.host, port: place.port, target: target))
        request.fields = [("Accept", "application/json"), ("User-Agent", "ledger")]
        request.answer = .collected(limitBytes: 256 << 20)
        request.deadline = .seconds(10)
        let silence = { [self] (text: String) in
            guard mayBeSilent else { return process.fail(text, status: silenceStatus) }
            silences.append(text)
            next(.null)
        }
        HTTPCall(process.node, request) { [self] result in
            switch result {
            case .success(let response) where response.isSuccess:
                guard let json = try? JSONValue(parsing: response.body, limits: Self.limits) else {
                    return process.fail("\(place) does not answer with JSON")
                }
                next(json)
            case .success(let response) where response.status == 404 && isOptional: next(.null)
            case .failure where mayBeAway: next(.null)
            case .success where mayBeAway && rules == .live: next(.null)
            case .success(let response): silence("\(place): \(response.problem.description)")
            case .failure(let failure):
                silence(
                    "\(place): \(failure); is it running? docker-compose up starts it; of shop --monolith: --at shop")
            }
        }.start()
    }

    /// Of `sysexits.h` EX_UNAVAILABLE, where it matters whether it is wrong or not known.
    private var silenceStatus: Int { rules == .live ? 69 : 1 }

    private static let limits = JSONLimits(bytes: 256 << 20, values: 50_000_000)

    private func finish(_ make: () throws -> (view: View, isGood: Bool)) {
        guard process.isRunning else { return }
        // Nobody is there at all: that is no answer in which something is missing.
        if order == nil, silences.count == 3 { return process.fail(silences[0], status: silenceStatus) }
        do {
            let (view, isGood) = try make()
            process.output.write(process.text(of: view, asJSON: wantsJSON))
            process.exit(isGood ? 0 : 1)
        } catch {
            process.fail("\(error)")
        }
    }
}

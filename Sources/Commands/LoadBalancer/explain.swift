import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import LoadBalancerEngine
import LoadBalancerService
import ShellSession

extension LoadBalancerCommands {
    /// `explain lb 17`, `explain 8082`, `explain --last 10`
    static var explain: Command {
        let description = CommandDescription(
            "explain", "why requests went where they went, and servers are in or out",
            usage: "[NODE] [REQUEST | SERVER | 'curl …'] [--last N] [--json]",
            flags: [
                .init("request", "r", .integer(1...Int.max), "a request, where its number is a server's name as well"),
                .init("last", "l", .integer(1...DecisionLog.decisionLimit), "the last so many requests, one a line"),
                CommonFlags.json,
            ],
            arguments: .init([.node, .text], 0...2),
            examples: [
                "explain", "explain 17", "explain 8082", "explain lb Server-A", "explain --last 10",
                "explain lb --request 8081 --json", "explain 'curl https://gateway/api/users/1'", "explain order o1",
                "explain user:1",
            ],
            group: .views,
            details: """
                Without anything: the last request. A load balancer remembers its last
                \(DecisionLog.decisionLimit) decisions, each with what it knew: who was in the pool, and
                how many requests each of the first eight of them had. What stands in quotes
                and begins with curl is not asked: an API gateway says where it would go,
                and of every route the first condition that does not hold. order o1 is an
                order of the shop: its pieces, money and letters in one line of time. A word
                that is none of these is a key, where a cache cluster runs: its slot, who has
                that, and where its copies are.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            var words = arguments.arguments[...]
            let session = invocation.session
            if words.first == "order" { return try order(words.dropFirst(), invocation) }
            if !words.isEmpty, let view = try session.explanation(of: Array(words)) { return .view(view) }
            if let word = words.last, word.hasPrefix("curl ") {
                throw CommandFailure("no gateway runs that '\(word)' could go through; start one: api-gateway")
            }
            if words.count == 1, let word = words.first, !isServer(word, session) {
                if Int(word) == nil, session.node(meantBy: word) == nil, let view = session.explanation(ofKey: word) {
                    return .view(view)
                }
                try refuseOtherKind(word, session)
            }
            // The first of two words is the node's name; a single one may be.
            var name: String?
            if words.count == 2 || words.first.map({ isBalancer($0, session) }) == true {
                name = words.popFirst()
            }
            let host = try session.balancer(named: name)
            let explainer = Explainer(engine: host.engine, now: session.world.now)
            if let count = arguments.integer("last") {
                guard words.isEmpty, !arguments.has("request") else {
                    throw UsageError("explain: --last shows many; leave out --last, or what it is to be about")
                }
                return .view(explainer.last(count))
            }
            if let number = arguments.integer("request") {
                guard words.isEmpty else { throw UsageError("explain: --request and '\(words.first!)'? one of them") }
                return .view(try explainer.request(number))
            }
            return .view(try explainer.subject(words.first.map { serverName(meantBy: $0, host, session) }))
        }
    }

    private static func isBalancer(_ word: String, _ session: Session) -> Bool {
        let name = Int(word) == nil ? session.nodeName(meantBy: word) : word
        return session.balancers.contains { $0.name == name }
    }

    /// Whether a balancer that runs has a server of that name, or one whose port the node listens on.
    private static func isServer(_ word: String, _ session: Session) -> Bool {
        session.balancers.contains { _, host in
            let name = serverName(meantBy: word, host, session).lowercased()
            return host.engine.knownServers.contains { $0.lowercased() == name }
        }
    }

    /// - Throws: if the word is a node that explain knows nothing of, what it knows, and of whom. A number is a request
    ///   first, where a balancer runs that could have it.
    private static func refuseOtherKind(_ word: String, _ session: Session) throws(CommandFailure) {
        guard Int(word) == nil || session.balancers.isEmpty, !isBalancer(word, session),
            let node = session.node(meantBy: word)
        else { return }
        let kind = session.jobs.running.flatMap(\.running).first { $0.nodeName == node.name }?.component?.kind
        throw CommandFailure(
            "\(node.name) is \(kind.map { "a \($0)" } ?? "not running"); explain knows load balancers (explain lb, "
                + "explain 17, explain 8082), API gateways (explain 'curl …'), keys of a cache cluster (explain user:1) "
                + "and orders of the shop (explain order o1); of other nodes tell show, timeline and why")
    }

    /// `explain order o1`: a shop's ledger knows.
    private static func order(_ words: ArraySlice<String>, _ invocation: Invocation) throws -> Outcome {
        guard let id = words.first, words.count == 1, let ledger = invocation.session.commands["ledger"] else {
            throw UsageError("explain order: which order? explain order o1")
        }
        let json = invocation.arguments.wantsJSON ? ["--json"] : []
        return try ledger.body(
            Invocation(
                name: "ledger", arguments: try ParsedArguments(["explain", id] + json, for: ledger.description),
                process: invocation.process))
    }

    /// `Server-B` where the balancer knows it as 8082: the server whose port the node listens on.
    private static func serverName(meantBy word: String, _ host: LoadBalancerHost, _ session: Session) -> String {
        guard !host.engine.knownServers.contains(where: { $0.lowercased() == word.lowercased() }),
            let node = session.node(meantBy: word)
        else { return word }
        let server = host.engine.servers.first { server in
            node.listeners.contains { $0.port == server.destination.port }
                && ["localhost", "127.0.0.1", node.name.lowercased(), node.address.description].contains(
                    server.destination.host.lowercased())
        }
        return server?.name ?? word
    }
}

/// The engine's log as views.
private struct Explainer {
    let engine: LoadBalancer
    let now: LabTime

    /// What a word is about; without one, the last request.
    func subject(_ word: String?) throws -> View {
        guard let word else {
            guard let last = engine.lastRequests(1).first else { throw CommandFailure(Self.nothing) }
            return try request(last)
        }
        let names = engine.knownServers
        if let name = names.first(where: { $0.lowercased() == word.lowercased() }) { return server(name) }
        if let number = Int(word) { return try request(number) }
        throw CommandFailure(
            "'\(word)' is neither a request's number nor one of \(names.joined(separator: ", "))"
                + didYouMean(word, among: names))
    }

    private static let nothing = "no request has come yet"

    // MARK: Requests

    func request(_ number: Int) throws -> View {
        guard let steps = engine.steps(of: [number])[number] else {
            guard let logged = engine.loggedRequests else { throw CommandFailure(Self.nothing) }
            throw CommandFailure(
                "request \(number) is not in the log, which holds \(logged.lowerBound) to \(logged.upperBound)")
        }
        var text = "request \(number)\(source(of: number).map { " from \($0)" } ?? "")\n"
        for step in steps {
            let line = "\((step.time ?? now).timeOfDayToMilliseconds)  \(engine.sentence(step, now: now))"
            text += wrapped(line, indent: 14) + "\n"
        }
        let json = JSONValue.object([
            ("request", .integer(number)), ("source", source(of: number).map { .string($0.description) } ?? .null),
            ("steps", .array(steps.map(json))),
        ])
        return View(.text(text, json: json))
    }

    private func source(of number: Int) -> IPAddress? {
        engine.recording?.entry(of: number)?.source
    }

    private func json(_ step: LoadBalancer.Step) -> JSONValue {
        var members: [(String, JSONValue)] = [("time", .string((step.time ?? now).description))]
        switch step {
        case .decision(let decision, let waited):
            members += [
                ("attempt", .integer(Int(decision.attempt))), ("reason", .string("\(decision.reason)")),
                ("server", decision.server.map { .string(engine.serverName($0)) } ?? .null),
                ("algorithm", .string(decision.algorithm.rawValue)), ("mode", .string(decision.mode.rawValue)),
                ("pool_size", .integer(Int(decision.poolSize))),
                ("loads", .object(engine.loads(of: decision).map { ($0.server, .integer($0.load)) })),
                ("waited_ms", waited.map { .milliseconds($0) } ?? .null),
            ]
        case .ending(let ending, let took):
            let (outcome, status) = Self.words(ending.outcome)
            members += [
                ("outcome", .string(outcome)), ("status", status.map { .integer($0) } ?? .null),
                ("server", ending.server.map { .string(engine.serverName($0)) } ?? .null),
                ("took_ms", .milliseconds(took)),
            ]
        case .open(let server, let since):
            members += [
                ("outcome", .string(server == nil ? "waiting" : "under way")),
                ("server", server.map { .string(engine.serverName($0)) } ?? .null),
                ("took_ms", .milliseconds(now - since)),
            ]
        }
        return .object(members + [("text", .string(engine.sentence(step, now: now)))])
    }

    private static func words(_ outcome: LoadBalancer.Outcome) -> (String, status: Int?) {
        switch outcome {
        case .answered(let status): ("answered", status)
        case .failed: ("failed", nil)
        case .abandoned: ("abandoned", nil)
        case .stale: ("stale", nil)
        }
    }

    // MARK: Many requests

    func last(_ count: Int) -> View {
        let numbers = engine.lastRequests(count)
        let steps = engine.steps(of: numbers)
        let rows = numbers.compactMap { number in steps[number].flatMap { row(number, $0) } }
        return View(
            .table(
                .init(
                    [
                        .init("REQUEST", key: "request", right: true), .init("TIME", key: "time"),
                        .init("SERVER", key: "server", flexible: true),
                        .init("TRIES", key: "tries", right: true), .init("WHY", key: "why", flexible: true),
                        .init("WAITED", key: "waited_ms"),
                        .init("RESULT", key: "result", flexible: true), .init("AFTER", key: "took_ms", right: true),
                    ], rows: rows, whenEmpty: Self.nothing)))
    }

    private func row(_ number: Int, _ steps: [LoadBalancer.Step]) -> [View.Cell]? {
        var decision: DecisionLog.Decision?
        var waited: LabDuration?
        var first: LabTime?
        var result = View.Cell.none
        var end = now
        for step in steps {
            switch step {
            case .decision(let made, let wait):
                decision = made
                first = first ?? made.time
                if let wait { waited = (waited ?? .zero) + wait }
                result = .text("refused", style: .bad)
                end = made.time
            case .ending(let ending, _):
                let (outcome, status) = Self.words(ending.outcome)
                result = .text(status.map { "\($0)" } ?? outcome, style: (status ?? 500) < 500 ? .good : .bad)
                end = ending.time
            case .open(let server, _):
                result = .text(server == nil ? "waiting" : "under way", style: .warning)
                end = now
            }
        }
        guard let decision, let first else { return nil }
        return [
            .integer(number), .init(first.timeOfDayToMilliseconds, json: .string(first.description)),
            decision.server.map { .text(engine.serverName($0)) } ?? .none, .integer(Int(decision.attempt)),
            .text(Self.word(decision)), waited.map { .duration($0) } ?? .none, result, .duration(end - first),
        ]
    }

    private static func word(_ decision: DecisionLog.Decision) -> String {
        switch decision.reason {
        case .algorithm: decision.algorithm.rawValue
        case .sticky: "sticky"
        case .redispatched: "redispatched"
        case .waits: "no room yet"
        case .lineIsFull: "line is full"
        case .gaveUpWaiting: "waited too long"
        case .noServer: decision.poolSize == 0 ? "empty pool" : "all were tried"
        case .mayNotMove: "no redispatch"
        }
    }

    // MARK: Servers

    func server(_ name: String) -> View {
        let events = engine.log.events.filter { $0.server == name }
        // One that is leaving and one that has come in its place may have the same name.
        let slot = engine.slot(named: name) ?? engine.present.first { $0.server.name == name }?.slot
        var text = "\(name) is not in the configuration any more"
        var members: [(String, JSONValue)] = [("server", .string(name))]
        if let slot {
            let server = engine.servers[slot]
            let isIn = engine.isInPool(slot)
            let why = engine.whyInOrOut(slot, now: now)
            text =
                "\(name) is \(isIn ? "in the pool" : "out of the pool"), because \(why). It has been \(server.state) "
                + "for \((now - server.lastChange).rounded)."
            members += [
                ("in_pool", .bool(isIn)), ("because", .string(why)), ("state", .string(server.state)),
                ("state_since", .string(server.lastChange.description)), ("weight", .integer(server.weight)),
                ("active", .integer(server.active)),
            ]
        }
        let rows = events.map { event -> [View.Cell] in
            [
                .init(event.time.timeOfDayToMilliseconds, json: .string(event.time.description)), .text(event.from),
                .text(event.to), .text(event.reason),
            ]
        }
        return View(
            .text(wrapped(text), json: .object(members)),
            .table(
                .init(
                    [
                        .init("TIME", key: "time"), .init("FROM", key: "from"), .init("TO", key: "to"),
                        .init("REASON", key: "reason", flexible: true),
                    ], rows: rows,
                    whenEmpty: "nothing has changed it since it came")))
    }
}

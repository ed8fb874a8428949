import KernelAMQP
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import MessageQueueEngine

/// RabbitMQ's management API: what operators and their scripts (`rabbitmqadmin`) ask of a broker by HTTP.
///
/// Everything needs a user's name and password. What may be asked depends on the user's tags, as RabbitMQ has it:
/// `management` sees what its permissions reach, `policymaker` sets policies, `monitoring` sees everything,
/// `administrator` does everything. Beside RabbitMQ's there are three resources of the lab: `/api/queues/V/Q/peek`,
/// `/api/log` and `/api/trace/ID`.
final class ManagementAPI {
    unowned let host: MessageQueueHost
    let users: BrokerUsers

    init(_ host: MessageQueueHost, users: BrokerUsers) {
        self.host = host
        self.users = users
    }

    var broker: Broker { host.broker }
    var now: LabTime { host.node.world.now }

    /// One request, and who asks.
    struct Call {
        let exchange: HTTPExchange
        let user: BrokerUsers.User
        let query: [(name: String, value: String)]

        func parameter(_ name: String) -> String { exchange.parameters[name] }
        func option(_ name: String) -> String? { query.first { $0.name == name }?.value }

        func has(_ tags: String...) -> Bool {
            user.tags.contains { $0 == "administrator" || tags.contains($0) }
        }

        /// The body as an object.
        ///
        /// - Throws: `HTTPProblem` 400.
        func object() throws -> JSONValue {
            if exchange.body.isEmpty { return .object([]) }
            let json = try exchange.json()
            guard case .object = json else { throw ManagementAPI.problem(400, "not_json", "send an object") }
            return json
        }
    }

    enum Needs { case management, monitoring, policymaker, administrator }

    // MARK: Routes

    /// The router holds this API by the handlers.
    func mount(on router: HTTPRouter) {
        router.options.defaultsToJSON = true
        router.options.bodyLimitBytes = host.settings.broker.messageSizeLimit.addingReportingOverflow(1 << 20).0
        router.options.crossOrigin = nil
        router.explain = Self.explain
        mountOverview(on: router)
        mountClients(on: router)
        mountTopology(on: router)
        mountMessages(on: router)
        mountUsers(on: router)
        mountPolicies(on: router)
        mountDefinitions(on: router)
        mountHealth(on: router)
        mountLab(on: router)
    }

    func route(
        _ router: HTTPRouter, _ method: String, _ template: String, needs: Needs = .management,
        _ handler: @escaping (Call) throws -> Void
    ) {
        router.on(method, template) { [self] exchange in
            let user = try authenticate(exchange)
            let call = Call(
                exchange: exchange, user: user, query: try exchange.query().items.map { ($0.name, $0.value) })
            try check(call, needs)
            broker.rollRates(now: now)
            try carryOut(call, method, handler)
            // What was done may have to be sent, and synced.
            host.settle()
        }
    }

    /// What a group has to agree on is waited for; then what is asked is carried out again, with the answer at hand.
    /// What is deleted is not there any more then, so there is nothing to be looked at again.
    private func carryOut(_ call: Call, _ method: String, _ handler: @escaping (Call) throws -> Void) throws {
        do {
            try handler(call)
        } catch let failure as AMQPFailure {
            guard let group = broker.group, let agreement = group.takeAwaited() else { throw failure }
            var isAnswered = false
            let timer = host.node.after(Self.patience) {
                if isAnswered { return }
                isAnswered = true
                call.exchange.refuse(Self.problem(503, "no_majority", Self.plain(failure)))
            }
            group.ask(agreement) { [self] result in
                if isAnswered { return group.abandon(agreement, result) }
                isAnswered = true
                host.node.cancel(timer)
                if method == "DELETE" { return call.exchange.answer(204) }
                do {
                    try group.repeating(result) { () throws(any Error) in try carryOut(call, method, handler) }
                } catch {
                    call.exchange.refuse(
                        error as? HTTPProblem ?? Self.explain(error) ?? HTTPProblem(500, "\(error)"))
                }
            }
        }
    }

    /// How long whoever asks waits for a group's majority.
    private static let patience = LabDuration.seconds(10)

    /// A list, with what clients can ask of every list: `columns`, `sort`, `name`, `page`.
    func list(
        _ router: HTTPRouter, _ template: String, needs: Needs = .management,
        _ elements: @escaping (Call) throws -> [JSONValue]
    ) {
        route(router, "GET", template, needs: needs) { call in
            call.exchange.answer(json: try ManagementListing(call).apply(to: try elements(call)))
        }
    }

    // MARK: Who asks

    private func authenticate(_ exchange: HTTPExchange) throws -> BrokerUsers.User {
        guard let field = exchange.field("Authorization"), field.lowercased().hasPrefix("basic "),
            let raw = Base64.standard.decode(String(field.dropFirst(6))),
            let text = String(validating: raw, as: UTF8.self), let colon = text.firstIndex(of: ":")
        else { throw Self.refusal("Not_Authorized") }
        let name = String(text[..<colon])
        let password = String(text[text.index(after: colon)...])
        guard let user = users.authenticate(user: name, password: password).flatMap({ users.user($0) }) else {
            throw Self.refusal("Login failed")
        }
        guard !user.tags.isEmpty else { throw Self.refusal("Not management user") }
        return user
    }

    private static func refusal(_ reason: String) -> HTTPProblem {
        var problem = problem(401, "not_authorised", reason)
        problem.fields = [("WWW-Authenticate", "Basic realm=\"RabbitMQ Management\"")]
        return problem
    }

    private func check(_ call: Call, _ needs: Needs) throws {
        let isEnough =
            switch needs {
            case .management: call.has("management", "monitoring", "policymaker")
            case .monitoring: call.has("monitoring")
            case .policymaker: call.has("policymaker")
            case .administrator: call.has()
            }
        if !isEnough { throw Self.refusal("Not_Authorized") }
    }

    // MARK: What is asked about

    /// The virtual hosts that the user may see.
    func virtualHosts(_ call: Call) -> [VirtualHost] {
        broker.sortedVirtualHosts.filter {
            call.has("monitoring") || users.mayEnter(call.user.name, virtualHost: $0.name)
        }
    }

    /// The one that the path names, which the user may use.
    func virtualHost(_ call: Call) throws -> VirtualHost {
        guard let found = broker.virtualHosts[call.parameter("vhost")] else { throw Self.notFound }
        guard call.has("monitoring") || users.mayEnter(call.user.name, virtualHost: found.name) else {
            throw Self.refusal("User not authorised to access virtual host")
        }
        return found
    }

    func queue(_ call: Call) throws -> BrokerQueue {
        guard let queue = try virtualHost(call).queues[call.parameter("name")] else { throw Self.notFound }
        return queue
    }

    func exchange(_ call: Call) throws -> (Exchange, VirtualHost) {
        let host = try virtualHost(call)
        let name = call.parameter("name")
        guard let exchange = host.exchanges[name == "amq.default" ? "" : name] else { throw Self.notFound }
        return (exchange, host)
    }

    /// - Throws: 401 unless the user may do that to something of that name.
    func check(_ call: Call, _ permission: BrokerPermission, on name: String, in virtualHost: VirtualHost) throws {
        let shown = name.isEmpty ? "amq.default" : name
        guard users.allows(call.user.name, permission, on: shown, virtualHost: virtualHost.name) else {
            throw Self.problem(
                401, "not_authorised",
                "access to '\(shown)' in vhost '\(virtualHost.name)' refused for user '\(call.user.name)'")
        }
    }

    // MARK: Answers

    /// With RabbitMQ's members beside the lab's.
    static func problem(_ status: Int, _ error: String, _ reason: String) -> HTTPProblem {
        var problem = HTTPProblem(status, reason)
        problem.members = [("error", .string(error)), ("reason", .string(reason))]
        return problem
    }

    static var notFound: HTTPProblem { problem(404, "Object Not Found", "Not Found") }

    /// Without the name of the code.
    private static func plain(_ failure: AMQPFailure) -> String {
        let prefix = failure.code.name + " - "
        return failure.text.hasPrefix(prefix) ? String(failure.text.dropFirst(prefix.count)) : failure.text
    }

    private static func explain(_ error: any Error) -> HTTPProblem? {
        switch error {
        case let failure as AMQPFailure:
            switch failure.code {
            case .notFound: problem(404, "Object Not Found", plain(failure))
            default: problem(400, "bad_request", plain(failure))
            }
        case let wrong as BrokerPolicy.Wrong: problem(400, "bad_request", "Validation failed: \(wrong)")
        case let error as JSONError: problem(400, "not_json", "\(error)")
        case let error as JSONTypeError: problem(400, "bad_request", "\(error)")
        default: nil
        }
    }

    // MARK: What a body says

    /// A flag of a body, as JSON or as the text of one.
    ///
    /// - Throws: 400 for anything else, null too.
    static func flag(_ body: JSONValue, _ name: String, else preset: Bool) throws -> Bool {
        guard let value = body[name] else { return preset }
        guard let flag = value.flag else { throw problem(400, "bad_request", "not_boolean: \(name)") }
        return flag
    }

    /// A whole number of a body; nil where there is none.
    static func number(_ body: JSONValue, _ name: String) throws -> Int? {
        guard let value = body[name] else { return nil }
        guard let number = value.whole else { throw problem(400, "bad_request", "not_integer: \(name)") }
        return number
    }

    /// A text that a body must have.
    static func text(_ body: JSONValue, _ name: String) throws -> String {
        guard let value = body[name] else { throw problem(400, "bad_request", "key_missing: \(name)") }
        guard case .string(let text) = value else { throw problem(400, "bad_request", "\(name)_not_string") }
        return text
    }

    /// 201 for something new, 204 for something that was there.
    func answer(_ call: Call, isNew: Bool) { call.exchange.answer(isNew ? 201 : 204) }
}

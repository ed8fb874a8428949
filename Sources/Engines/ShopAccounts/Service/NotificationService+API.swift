import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import ShopAccountsEngine
import ShopKitService

/// What the notifications are asked: where each one is, and by which form it is written.
extension NotificationService {
    private static let listLimit = 500

    func addRoutes() {
        host.on("GET", "/notifications") { [unowned self] in try list($0) }
        host.on("GET", "/notifications/{id: Int}") { [unowned self] in try find($0) }
        host.on("POST", "/notifications/{id: Int}/retry") { [unowned self] in try revive($0) }
        host.on("GET", "/ledger") { [unowned self] in ledger($0) }
        host.on("GET", "/templates") { [unowned self] in
            host.answer($0, 200, Self.presets.bytes(.spaced), since: node.world.now)
        }
        host.on("PUT", "/templates/{channel}/{template}") { [unowned self] in try setForm($0) }
    }

    private static var presets: JSONValue {
        .array(
            MessageForm.defaults.map {
                [
                    "channel": .string($0.channel.rawValue), "template": .string($0.template),
                    "subject": .string($0.subject), "body": .string($0.body),
                ]
            })
    }

    private func list(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        var query = try exchange.query()
        var filter = NotificationStore.Filter()
        filter.order = try query.take("order")
        filter.user = try query.take("user")
        if let word = try query.take("state") {
            guard let state = Notification.State(rawValue: word) else {
                let words = Notification.State.allCases.map(\.rawValue).joined(separator: ", ")
                throw HTTPProblem(400, word: "state", "state: '\(word.prefix(40))' is none of \(words)")
            }
            filter.state = state
        }
        let limit = try query.takeInteger("limit", 1...Self.listLimit) ?? 100
        try query.expectNothingElse()
        store?.list(filter, limit: limit) { [weak self] result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                self?.host.answer(
                    exchange, 200, JSONValue.object([("notifications", .array(rows))]).bytes(.spaced), since: began)
            }
        }
    }

    private func find(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        store?.find(exchange.parameters.integer("id")) { [weak self] result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(nil): exchange.refuse(HTTPProblem(404, word: "unknown", "there is no such notification"))
            case .success(let row?): self?.host.answer(exchange, 200, row.bytes(.spaced), since: began)
            }
        }
    }

    /// Which orders' events have come here, for the ledger.
    private func ledger(_ exchange: HTTPExchange) {
        let began = node.world.now
        store?.inbox { [weak self] result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(let rows):
                self?.host.answer(
                    exchange, 200, JSONValue.object([("events", .array(rows))]).bytes(.spaced), since: began)
            }
        }
    }

    private func revive(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        store?.revive(exchange.parameters.integer("id"), at: host.now) { [weak self] result in
            switch result {
            case .failure(let failure): exchange.refuse(HTTPProblem(failure))
            case .success(false):
                exchange.refuse(HTTPProblem(409, word: "not_dead", "only one that is dead can be tried again"))
            case .success(true):
                self?.courier?.wake()
                self?.host.answer(exchange, 200, JSONValue.object([("state", "pending")]).bytes(.spaced), since: began)
            }
        }
    }

    private func setForm(_ exchange: HTTPExchange) throws {
        let began = node.world.now
        let template = exchange.parameters["template"]
        guard let channel = Notification.Channel(rawValue: exchange.parameters["channel"]),
            MessageForm.defaults.contains(where: { $0.channel == channel && $0.template == template })
        else { throw HTTPProblem(404, word: "unknown", "there is no such template; see GET /templates") }
        let json = JSONCursor(try exchange.json())
        let subject = try json["subject"].ifPresent?.string() ?? ""
        let body = try json["body"].string()
        do throws(MessageTemplate.Malformed) {
            _ = try MessageForm(subject: subject, body: body)
        } catch {
            throw HTTPProblem(422, word: "template", "the template cannot be read: \(error)")
        }
        store?.setForm(channel, template, subject: subject, body: body) { [weak self] failure in
            if let failure { return exchange.refuse(HTTPProblem(failure)) }
            self?.host.answer(exchange, 200, JSONValue.object([("status", "stored")]).bytes(.spaced), since: began)
        }
    }
}

import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import ShopEngine
import ShopKitService

/// The shop as its customers see it, and beside it what those see who run it: `http://shop/`.
///
/// A shop window and, behind the same door, the caretaker's board. Whatever a customer does goes through the gateway,
/// as everybody's requests do; this service has no key of its own. The board is fetched by address and protocol from
/// those who know: who talks to whom and the last checkout's trace from Jaeger's API, who is well from the registry,
/// pieces and money from the services whose they are. It is fetched on this service's own account and only while
/// somebody looks, so that looking is not what one sees.
public final class StorefrontService: Service {
    public let host: ShopHost
    public var runtime: ServiceRuntime { host.runtime }
    private var board = StorefrontBoard()
    private var lookedAt: LabTime?
    private var isFetching = false

    private static let fetchInterval = LabDuration.seconds(2)
    /// Whoever looks asks again within it.
    private static let attention = LabDuration.seconds(10)
    /// Of calls that the board shows.
    private static let lookback = LabDuration.seconds(600)

    public static let defaultPort: UInt16 = 80

    public init(node: Node, settings: ShopSettings, service: ServiceOptions = ServiceOptions()) {
        var settings = settings
        settings.database = nil
        host = ShopHost(node: node, tag: "SHOP", settings: settings, options: service)
        host.on("GET", "/") { try StorefrontPage.page.answer($0) }
        host.on("GET", "/ops") { [unowned self] exchange in operations(exchange) }
        for (method, template) in [
            ("POST", "/api/register"), ("POST", "/api/login"), ("GET", "/api/products"), ("GET", "/api/categories"),
            ("POST", "/api/checkout"), ("GET", "/api/orders"), ("GET", "/api/orders/{id}"),
        ] {
            host.on(method, template) { [unowned self] exchange in forward(exchange, method) }
        }
    }

    // MARK: Life

    public func prepare() throws {
        host.prepare(announcement: "Open on :\(port: host.settings.port)")
    }

    public func opened() { host.opened(schema: []) {} }
    public func stop(_ done: @escaping () -> Void) { host.stop(done) }
    public var complaints: [String] { host.complaints }
    public func collect(into page: inout MetricWriter) { host.collect(into: &page) }

    // MARK: Customers

    /// To the gateway and back. What a page may say goes along, and nothing else.
    private func forward(_ exchange: HTTPExchange, _ method: String) {
        let target = exchange.head.target
        let prefix = "/api/"
        guard target.hasPrefix(prefix) else {
            return exchange.refuse(HTTPProblem(400, word: "path", "write the path as it is: \(prefix)…"))
        }
        var question = PeerClient.Question(method, String(target.dropFirst(prefix.count - 1)))
        for name in ["Authorization", "Content-Type", "Idempotency-Key", "Accept"] {
            if let value = exchange.field(name) { question.fields.append((name, value)) }
        }
        if method == "POST" { question.body = exchange.body }
        host.peer("api").ask(question, for: exchange) { result in
            switch result {
            case .success(let answer): exchange.answer(answer.status, bytes: answer.body, type: "application/json")
            case .failure(let failure):
                exchange.refuse(
                    HTTPProblem(
                        502, word: "gateway", "the gateway does not answer: \(failure.text)",
                        remedy: "ask again in a moment"))
            }
        }
    }

    // MARK: The board

    /// What was fetched last. The first one who looks finds an empty board, and a full one two seconds later.
    private func operations(_ exchange: HTTPExchange) {
        lookedAt = node.world.now
        exchange.answer(json: board.json)
        // Not within this request: what is asked for the board is nobody's checkout.
        if !isFetching {
            isFetching = true
            node.after(.milliseconds(1)) { [weak self] in self?.fetch() }
        }
    }

    private func fetch() {
        guard let lookedAt, node.world.now - lookedAt <= Self.attention else {
            isFetching = false
            return
        }
        var fresh = StorefrontBoard()
        let questions = questions
        var open = questions.count
        for (part, peer, target) in questions {
            host.peer(peer).ask(.init("GET", target)) { [weak self] result in
                if case .success(let answer) = result, answer.isSuccess { fresh.parts[part] = answer.json }
                open -= 1
                guard let self, open == 0 else { return }
                board = fresh
                node.after(Self.fetchInterval) { [weak self] in self?.fetch() }
            }
        }
    }

    private var questions: [(StorefrontBoard.Part, String, String)] {
        let now = host.now.nanoseconds / 1_000_000
        let lookback = Self.lookback.nanoseconds / 1_000_000
        var questions: [(StorefrontBoard.Part, String, String)] = [
            (.calls, "jaeger", "/api/dependencies?endTs=\(now)&lookback=\(lookback)"),
            (.trace, "jaeger", "/api/traces?service=api&operation=POST%20%2Fcheckout&limit=1"),
            (.orders, "orders", "/ledger"), (.stock, "inventory", "/stock"), (.payments, "payments", "/ledger"),
        ]
        if host.settings.registry != nil { questions.append((.health, "registry", "/v1/health/state/any")) }
        return questions
    }
}

/// What those see who run the shop.
struct StorefrontBoard {
    enum Part: String, CaseIterable { case calls, trace, health, orders, stock, payments }

    var parts: [Part: JSONValue] = [:]

    /// Those who did not answer are named, so that nobody takes an empty board for a quiet shop.
    var json: JSONValue {
        let books = try? ShopLedger(
            orders: parts[.orders] ?? .null, stock: parts[.stock] ?? .null, payments: parts[.payments] ?? .null)
        // The page shows a whole ledger or none.
        let whole = books.flatMap { $0.silent.isEmpty ? $0 : nil }
        return .object([
            ("ready", .bool(!parts.isEmpty)), ("calls", parts[.calls]?["data"] ?? .array([])),
            ("trace", parts[.trace]?["data"]?[0] ?? .null), ("health", parts[.health] ?? .array([])),
            ("ledger", whole?.json(stock: parts[.stock] ?? .null) ?? .null),
            (
                "missing",
                .array(Part.allCases.filter { parts[$0] == nil }.map { .string($0.rawValue) })
            ),
        ])
    }
}

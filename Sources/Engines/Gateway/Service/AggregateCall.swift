import GatewayEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld

/// Carries out an `AggregateRun`: asks its services at the same time, and answers the client when all have answered, a
/// required one has not, or the time is over.
final class AggregateCall {
    private var run: AggregateRun
    private let clusters: [ServiceCluster]
    /// Nil once it is over.
    private unowned var exchange: GatewayExchange?
    /// By part.
    private var calls: [ServiceCall?]
    private let node: Node
    private var timer: TimerID?
    private let source: IPAddress
    private var fields: [(name: String, value: String)] = []

    init(_ aggregate: Aggregate, _ clusters: [ServiceCluster], _ exchange: GatewayExchange) {
        run = AggregateRun(aggregate)
        self.clusters = clusters
        self.exchange = exchange
        node = exchange.node
        source = exchange.connection.clientAddress
        calls = clusters.map { _ in nil }
        fields = exchange.ownFields
        fields.append(("Accept", "application/json"))
    }

    func start() {
        exchange?.attemptBegan()
        timer = node.after(run.aggregate.timeout) { [self] in
            timer = nil
            run.expire()
            settle()
        }
        ask(run.start())
    }

    private func ask(_ questions: [AggregateRun.Question]) {
        // One that is answered at once may have been the last that was needed.
        for question in questions where exchange != nil {
            let part = run.aggregate.parts[question.part]
            let cluster = clusters[question.part]
            let call = ServiceCall(
                cluster, "GET", cluster.service.basePath + question.target, fields: fields, body: nil,
                timeout: part.timeout, answer: .collected(limitBytes: part.answerLimitBytes), source: source
            ) { [weak self] result in self?.answered(question.part, result) }
            calls[question.part] = call
            call.start()
        }
        settle()
    }

    private func answered(_ part: Int, _ result: Result<HTTPCall.Response, AggregateRun.Failure>) {
        calls[part] = nil
        ask(run.finished(part, result.flatMap(Self.value)))
    }

    private static func value(_ response: HTTPCall.Response) -> Result<JSONValue, AggregateRun.Failure> {
        guard response.isSuccess else { return .failure(.init("it answered \(response.status)")) }
        guard let value = try? JSONValue(parsing: response.body) else {
            return .failure(.init("its answer is no JSON"))
        }
        return .success(value)
    }

    private func settle() {
        guard let outcome = run.outcome, let exchange else { return }
        stop()
        exchange.attemptEnded()
        exchange.answer(outcome)
    }

    private func stop() {
        exchange = nil
        node.cancel(timer)
        timer = nil
        let open = calls
        calls = clusters.map { _ in nil }
        for call in open { call?.cancel() }
    }

    /// The client has gone.
    func cancel() { stop() }
}

extension GatewayExchange {
    /// What services are told of a request that the gateway makes for a client.
    var ownFields: [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = [
            ("User-Agent", "sdlab"), ("X-Request-Id", requestID),
            ("X-Forwarded-For", connection.clientEndpoint.host),
        ]
        if let host = connection.head.value(of: .host) { fields.append(("X-Forwarded-Host", host)) }
        fields.append(("X-Forwarded-Proto", connection.isSecure ? "https" : "http"))
        // Where spans are kept the call has its own, and the client's passes otherwise.
        let passed = node.world.journal.recordsTraffic ? [] : ["traceparent", "tracestate"]
        for name in passed + ["Accept-Language"] {
            if let value = connection.head.value(of: name) { fields.append((name, value)) }
        }
        if !dropsAuthorization, let value = connection.head.value(of: .authorization) {
            fields.append(("Authorization", value))
        }
        for line in (identity?.lines ?? []).split(separator: 10) {
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1)
            guard parts.count == 2 else { continue }
            let value = parts[1].filter { $0 != 13 }.drop { $0 == 32 }
            fields.append((String(decoding: parts[0], as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
        return fields
    }
}

/// A copy of a request for a second service. Only requests whose body is small are copied, when all of it is there.
final class MirroredRequest {
    let cluster: ServiceCluster
    private let method: String
    private let target: String
    private let fields: [(name: String, value: String)]
    private var body: [UInt8]?
    private let source: IPAddress

    static let bodyLimitBytes = 64 * 1024
    static let timeout = LabDuration.seconds(5)

    /// - Returns: nil if the body may be too large.
    init?(_ exchange: GatewayExchange, _ cluster: ServiceCluster, path: [UInt8]) {
        let connection = exchange.connection
        switch connection.bodyFraming {
        case .none: body = nil
        case .length(let length):
            guard length <= Self.bodyLimitBytes else { return nil }
            body = []
        case .chunked, .untilClose: return nil
        }
        self.cluster = cluster
        let head = connection.head
        method = head.methodText
        let query = head.targetBytes.drop { $0 != UInt8(ascii: "?") }
        target = String(decoding: path + query, as: UTF8.self)
        source = connection.clientAddress
        var fields = exchange.ownFields
        if let type = head.value(of: .contentType) { fields.append(("Content-Type", type)) }
        // So that nobody takes the copy for the request.
        fields.append(("X-Mirrored", "true"))
        self.fields = fields
    }

    func receive(_ piece: UnsafeRawBufferPointer) { body?.append(contentsOf: piece) }

    func send(completion: @escaping () -> Void) {
        ServiceCall(
            cluster, method, target, fields: fields, body: body, timeout: Self.timeout, answer: .ignored,
            source: source
        ) { _ in completion() }.start()
    }
}

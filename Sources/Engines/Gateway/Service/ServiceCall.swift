import CircuitBreakerEngine
import GatewayEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// One question of the gateway's own to a service: a part of an aggregate, or a copy for a mirror.
///
/// The balancer and the breaker decide as they do for requests that are passed on. What may be asked twice is asked at
/// another server if the first has failed.
final class ServiceCall {
    private let cluster: ServiceCluster
    private var request: HTTPCall.Request
    private let deadline: LabTime
    private var completion: ((Result<HTTPCall.Response, AggregateRun.Failure>) -> Void)?
    private var arrival: Arrival
    private var tried: [Int] = []
    private var call: HTTPCall?
    private var slot: Int?
    private var permit: Permit?
    private var began = LabTime(nanoseconds: 0)

    private static let attemptLimit = 2

    /// - Parameters:
    ///   - target: path and query, as they are sent.
    ///   - timeout: for all attempts together.
    ///   - source: whose request it is made for.
    init(
        _ cluster: ServiceCluster, _ method: String, _ target: String, fields: [(name: String, value: String)],
        body: [UInt8]?, timeout: LabDuration, answer: HTTPCall.Answer, source: IPAddress,
        completion: @escaping (Result<HTTPCall.Response, AggregateRun.Failure>) -> Void
    ) {
        self.cluster = cluster
        self.completion = completion
        deadline = cluster.node.world.now + timeout
        arrival = Arrival(request: cluster.requestArrived(), source: source)
        let scheme: HTTPURL.Scheme = cluster.service.isSecure ? .https : .http
        request = HTTPCall.Request(
            method, url: HTTPURL(scheme: scheme, host: cluster.name, port: scheme.defaultPort, target: target))
        request.fields = fields
        request.body = body
        request.answer = answer
    }

    func start() {
        let left = deadline - cluster.node.world.now
        guard left > .zero else { return finish(.failure(.init("no answer in time", isTimeout: true))) }
        switch cluster.choose(arrival, excluding: tried) {
        case .server(let slot, let permit): ask(slot, permit, within: left)
        case .wait(let ticket):
            // The answers of the others would wait for it.
            cluster.stopWaiting(ticket)
            finish(.failure(.init("no server has room")))
        case .open: finish(.failure(.init("its circuit is open")))
        case .none(let text): finish(.failure(.init(text)))
        }
    }

    private func ask(_ slot: Int, _ permit: Permit?, within left: LabDuration) {
        self.slot = slot
        self.permit = permit
        tried.append(slot)
        began = cluster.node.world.now
        cluster.attemptBegan(slot)
        let place = cluster.servers[slot].destination
        request.url.host = place.host
        request.url.port = place.port
        request.deadline = left
        let call = HTTPCall(cluster.node, request, security: cluster.security) { [self] result in answered(result) }
        self.call = call
        call.start()
    }

    private func answered(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        call = nil
        switch result {
        case .success(let response):
            end(.answered(response.status))
            finish(.success(response))
        case .failure(let failure):
            end(.failed)
            let isTimeout = if case .deadline = failure { true } else { false }
            let mayRepeat = request.method == "GET" || request.method == "HEAD"
            if !isTimeout, mayRepeat, tried.count < Self.attemptLimit, cluster.hasCandidate(excluding: tried) {
                arrival.attempt += 1
                return start()
            }
            finish(.failure(.init(isTimeout ? "no answer in time" : failure.description, isTimeout: isTimeout)))
        }
    }

    private func end(_ outcome: LoadBalancer.Outcome) {
        guard let slot else { return }
        self.slot = nil
        cluster.attemptEnded(
            slot, outcome, permit, latency: cluster.node.world.now - began, request: arrival.request)
        permit = nil
    }

    private func finish(_ result: Result<HTTPCall.Response, AggregateRun.Failure>) {
        guard let completion else { return }
        self.completion = nil
        completion(result)
    }

    /// Nobody wants the answer any more.
    func cancel() {
        completion = nil
        call?.cancel()
        call = nil
        end(.abandoned)
    }
}

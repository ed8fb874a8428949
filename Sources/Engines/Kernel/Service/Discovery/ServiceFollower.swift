import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld

/// An instance of a service, as a registry has it.
public struct DiscoveredInstance: Equatable, Sendable {
    public let id: String
    /// Its port is 0 where it has none: see `ServiceFollower.followsPortless`.
    public let destination: HostPort
    /// The worst of its checks: `passing`, `warning` or `critical`.
    public let status: String
    /// For its present status.
    public let weight: Int
    public let tags: [String]
}

/// Follows a service in a registry, the lab's or a Consul: client-side discovery.
///
/// It asks with the index that it knows, and is answered when something has changed ("blocking query"); so it hears of
/// a change within a round trip, and says nothing in between. When nobody answers it goes on with what it knows: an old
/// list of servers is mostly right, and an empty one always wrong. For the same reason it does not believe a registry
/// that has begun anew (its index has gone back) when that misses instances: it gives them a minute to register again.
public final class ServiceFollower {
    private let node: Node
    public let service: String
    public let registry: HostPort
    private let onChange: ([DiscoveredInstance]) -> Void
    /// Nobody answered, or nothing that makes sense; called for the first of several in a row.
    public var onFailure: ((String) -> Void)?
    /// Also hears of instances without a port, which nobody can connect to.
    public var followsPortless = false
    public private(set) var instances: [DiscoveredInstance]?
    private var index: UInt64 = 0
    /// The greatest index that this registry has had.
    private var greatestIndex: UInt64 = 0
    /// What the registry said last, where it is not believed yet.
    private var latest: [DiscoveredInstance] = []
    private var doubtTimer: TimerID?
    private var failureCount = 0
    /// Why the registry could not be asked the last time; nil if it answered.
    private var failure: String?
    private var call: HTTPCall?
    private var timer: TimerID?
    private var isOver = false
    private var failuresToReport: [String: Int] = [:]
    private var reportTimer: TimerID?

    private static let wait = LabDuration.seconds(60)
    /// Longer than the registry lets anybody wait for that.
    private static let deadline = LabDuration.seconds(75)
    private static let firstPause = LabDuration.milliseconds(500)
    private static let longestPause = LabDuration.seconds(15)
    private static let bodyLimitBytes = 16 << 20
    private static let instanceLimit = 10_000
    /// Longer than an instance takes to see that it is not known any more.
    private static let doubtTime = LabDuration.seconds(60)
    private static let reportInterval = LabDuration.seconds(1)

    /// - Parameter onChange: called with all instances, healthy or not, in the registry's order: first when they are
    ///   known, then whenever they are others.
    public init(
        _ node: Node, service: String, registry: HostPort, onChange: @escaping ([DiscoveredInstance]) -> Void
    ) {
        self.node = node
        self.service = service
        self.registry = registry
        self.onChange = onChange
    }

    public func start() { ask() }

    /// Why nobody is there, where nobody is: in a few words for a table, and in a sentence with the registry's address.
    public var absence: (words: String, sentence: String) {
        if let failure {
            return (failure, "the registry \(registry) cannot be asked for \(service): \(failure)")
        }
        if instances == nil { return ("not asked yet", "the registry \(registry) has not answered yet") }
        return ("not registered", "the registry \(registry) knows no healthy instance of \(service)")
    }

    public func stop() {
        isOver = true
        call?.cancel()
        call = nil
        node.cancel(timer)
        node.cancel(reportTimer)
        node.cancel(doubtTimer)
    }

    private func request(_ method: String, _ target: String) -> HTTPCall.Request {
        var request = HTTPCall.Request(method, url: HTTPURL(host: registry.host, port: registry.port, target: target))
        request.fields = [("User-Agent", "sdlab"), ("Accept", "application/json")]
        return request
    }

    private func ask() {
        let path = "/v1/health/service/\(PercentCoding.encode(service))"
        let query = index == 0 ? "" : "?index=\(index)&wait=\(Self.wait)"
        var request = request("GET", path + query)
        request.deadline = Self.deadline
        request.answer = .collected(limitBytes: Self.bodyLimitBytes)
        let call = HTTPCall(node, request) { [weak self] result in self?.answered(result) }
        self.call = call
        call.start()
    }

    private func answered(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        guard !isOver else { return }
        call = nil
        switch result {
        case .success(let response) where response.isSuccess:
            guard let found = Self.read(response.body, portless: followsPortless) else {
                return failed("its answer is not Consul's")
            }
            let new = response.head.value(of: "X-Consul-Index").flatMap { UInt64($0) } ?? 0
            // One that goes back is a registry that began anew.
            if new < greatestIndex { doubt() }
            greatestIndex = new
            index = new
            let pause: LabDuration = new == 0 ? .seconds(1) : .zero
            failureCount = 0
            failure = nil
            latest = found
            take(doubtTimer == nil ? found : found + missing(in: found))
            if isOver { return }
            if pause == .zero { ask() } else { timer = node.after(pause) { [weak self] in self?.ask() } }
        case .success(let response): failed(response.problem.description)
        case .failure(let failure): failed(failure.description)
        }
    }

    private func take(_ new: [DiscoveredInstance]) {
        guard new != instances else { return }
        instances = new
        onChange(new)
    }

    /// Those that are known, and that the registry does not know.
    private func missing(in found: [DiscoveredInstance]) -> [DiscoveredInstance] {
        (instances ?? []).filter { one in !found.contains { $0.id == one.id } }
    }

    private func doubt() {
        node.cancel(doubtTimer)
        doubtTimer = node.after(Self.doubtTime) { [weak self] in
            guard let self else { return }
            doubtTimer = nil
            if !isOver { take(latest) }
        }
    }

    private func failed(_ text: String) {
        index = 0
        failureCount += 1
        failure = text
        if failureCount == 1 { onFailure?(text) }
        if isOver { return }
        let pause = min(Self.longestPause, Self.firstPause * (1 << min(failureCount - 1, 10)))
        timer = node.after(pause) { [weak self] in self?.ask() }
    }

    // MARK: Reading

    /// Instances that cannot be reached by anything that is known of them are left out. Nil for what is no answer.
    static func read(_ body: [UInt8], portless: Bool = false) -> [DiscoveredInstance]? {
        guard case .array(let rows)? = try? JSONValue(parsing: body) else { return nil }
        return rows.prefix(instanceLimit).compactMap { instance($0, portless: portless) }
    }

    private static func instance(_ row: JSONValue, portless: Bool) -> DiscoveredInstance? {
        func text(_ value: JSONValue?) -> String { if case .string(let text)? = value { text } else { "" } }
        guard let service = row["Service"], case .integer(let number)? = service["Port"],
            let port = UInt16(exactly: number), port > 0 || portless
        else { return nil }
        let own = text(service["Address"])
        let host = own.isEmpty ? text(row["Node"]?["Address"]) : own
        let read = HostPort(parsing: HostPort(host: host, port: max(port, 1)).description)
        guard let destination = port == 0 ? HostPort(host: read?.host ?? host, port: 0) : read else { return nil }
        var statuses: [String] = []
        if case .array(let checks)? = row["Checks"] { statuses = checks.map { text($0["Status"]) } }
        let status =
            statuses.contains("critical") ? "critical" : statuses.contains("warning") ? "warning" : "passing"
        var weight = 1
        let member = status == "passing" ? "Passing" : "Warning"
        if case .integer(let number)? = service["Weights"]?[member] { weight = min(max(number, 0), 256) }
        var tags: [String] = []
        if case .array(let all)? = service["Tags"] { tags = all.map(text) }
        return DiscoveredInstance(
            id: text(service["ID"]), destination: destination, status: status, weight: weight, tags: tags)
    }

    // MARK: Reports

    /// A request to an instance has failed: the registry hears of it, at most once a second.
    public func report(failureOf id: String) {
        guard !isOver, failuresToReport.count < 1000 || failuresToReport[id] != nil else { return }
        failuresToReport[id, default: 0] += 1
        guard reportTimer == nil else { return }
        reportTimer = node.after(Self.reportInterval) { [weak self] in
            guard let self else { return }
            reportTimer = nil
            let reports = failuresToReport.sorted { $0.key < $1.key }
            failuresToReport = [:]
            for (id, count) in reports {
                let target = "/v1/agent/service/report/\(PercentCoding.encode(id))?failures=\(min(count, 1_000_000))"
                var request = request("PUT", target)
                request.deadline = .seconds(5)
                // A registry that does not know of such reports (Consul) has its own checks.
                HTTPCall(node, request) { _ in }.start()
            }
        }
    }
}

import FeatureFlagsEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import Synchronization

/// The client of flags for a program on a node: it polls, or follows the server's stream of changes, and keeps the last
/// good definitions on the node's disk.
public final class NodeFlagClient {
    public let client: FeatureFlagClient
    /// Called when other definitions hold.
    public var onChange: (() -> Void)?
    /// Called when the server has been asked, whether it has answered or not.
    public var onSettled: (() -> Void)?
    private let node: Node
    private let configuration: FeatureFlagConfiguration
    private let apiKey: String
    private let follows: Bool
    private let backupPath: String?
    private let clock = NodeClock()
    private var timer: TimerID?
    private var follower: FlagStreamFollower?
    private var openCalls = 0
    private var isStopped = false
    /// Why the server cannot be asked, since it last could.
    public private(set) var trouble: String?

    private static let callTimeout = LabDuration.seconds(5)

    /// The node's calendar, for a client that many threads may ask.
    private final class NodeClock: Sendable {
        private let nanoseconds = Atomic<Int64>(0)
        var now: LabTime { LabTime(nanoseconds: nanoseconds.load(ordering: .relaxed)) }
        func set(_ time: LabTime) { nanoseconds.store(time.nanoseconds, ordering: .relaxed) }
    }

    /// - Parameters:
    ///   - follows: whether changes are pushed; the polling goes on beside it.
    ///   - backup: a file on the node's disk.
    public init(
        _ node: Node, apiKey: String, _ configuration: FeatureFlagConfiguration, follows: Bool = false,
        backup: String? = nil
    ) {
        self.node = node
        self.apiKey = apiKey
        self.follows = follows
        backupPath = backup
        clock.set(node.wallClock)
        var configuration = configuration
        let kept = backup.flatMap { try? node.disk.contents(of: $0, limit: FlagDefinitions.byteLimit) }
        if let kept = kept.flatMap({ try? FlagDefinitions(parsing: $0) }) { configuration.bootstrap = kept }
        self.configuration = configuration
        client = FeatureFlagClient(
            apiKey, configuration, clock: { [clock] in clock.now }, seed: node.draw { $0.next() })
    }

    public func start() {
        tick()
        if follows { follow() }
    }

    /// Sends what was counted, and asks no more.
    ///
    /// - Parameter done: called when the report has arrived, or cannot.
    public func stop(_ done: @escaping () -> Void) {
        isStopped = true
        node.cancel(timer)
        follower?.stop()
        follower = nil
        touchClock()
        guard let report = client.report(now: clock.now) else { return done() }
        send(report) { done() }
    }

    public func isEnabled(_ flag: String, _ context: FlagContext) -> Bool {
        touchClock()
        return client.isEnabled(flag, context)
    }

    public func variant(_ flag: String, _ context: FlagContext) -> FlagVariant {
        touchClock()
        return client.variant(flag, context)
    }

    private func touchClock() { clock.set(node.wallClock) }

    // MARK: Polling

    private func tick() {
        touchClock()
        let (requests, next) = client.due(now: clock.now)
        guard !requests.isEmpty else { return schedule(next) }
        openCalls = requests.count
        for request in requests {
            send(request) { [self] in
                openCalls -= 1
                guard openCalls == 0, !isStopped else { return }
                schedule(client.nextDeadline)
                onSettled?()
            }
        }
    }

    private func schedule(_ time: LabTime) {
        guard !isStopped else { return }
        timer = node.after(max(.milliseconds(1), time - node.wallClock)) { [self] in
            timer = nil
            tick()
        }
    }

    private func send(_ request: FlagRequest, _ done: @escaping () -> Void) {
        guard let url = try? HTTPURL(request.url) else {
            client.failed(request, now: clock.now)
            return done()
        }
        var call = HTTPCall.Request(request.method, url: url)
        call.fields = request.fields
        call.body = request.body
        call.deadline = Self.callTimeout
        call.answer = .collected(limitBytes: FlagDefinitions.byteLimit)
        HTTPCall(node, call) { [self] result in
            touchClock()
            switch result {
            case .success(let response):
                trouble = response.status < 400 ? nil : response.problem.description
                let isNew = client.answered(
                    request,
                    FlagResponse(status: response.status, etag: response.head.value(of: "ETag"), body: response.body),
                    now: clock.now)
                if isNew { changed(response.body) }
            case .failure(let failure):
                trouble = "\(url.authority): \(failure)"
                client.failed(request, now: clock.now)
            }
            done()
        }.start()
    }

    private func changed(_ bytes: [UInt8]) {
        // What cannot be kept is not kept: a full disk is no reason to stop deciding.
        if let backupPath { try? node.disk.store(bytes, at: backupPath) }
        onChange?()
    }

    // MARK: Following

    private func follow() {
        var root = configuration.baseURL
        while root.hasSuffix("/") { root.removeLast() }
        guard let url = try? HTTPURL((root.hasSuffix("/api") ? root : root + "/api") + "/client/streaming") else {
            return
        }
        follower = FlagStreamFollower(node, url, apiKey: apiKey) { [self] events in
            var definitions = client.set.definitions
            guard (try? definitions.apply(delta: events)) != nil, definitions != client.set.definitions else { return }
            client.install(definitions)
            changed(definitions.json.bytes())
        }
        follower?.start()
    }
}

/// Follows a server's stream of changes, and comes again when it breaks off.
final class FlagStreamFollower: HTTPClientDelegate {
    private let node: Node
    private let url: HTTPURL
    private let apiKey: String
    private let onEvents: (JSONValue) -> Void
    private var connection: HTTPClientConnection?
    private var reader = ServerSentEventReader(limitBytes: FlagDefinitions.byteLimit)
    private var timer: TimerID?
    private var isStopped = false
    private var failures = 0

    private static let firstPause = LabDuration.seconds(1)
    private static let longestPause = LabDuration.seconds(60)

    init(_ node: Node, _ url: HTTPURL, apiKey: String, onEvents: @escaping (JSONValue) -> Void) {
        self.node = node
        self.url = url
        self.apiKey = apiKey
        self.onEvents = onEvents
    }

    func start() {
        guard !isStopped else { return }
        let connection = HTTPClientConnection()
        self.connection = connection
        reader = ServerSentEventReader(limitBytes: FlagDefinitions.byteLimit)
        connection.context = self
        connection.delegate = self
        do throws(NetworkError) {
            try connection.connect(from: node, to: url.destination)
        } catch {
            again()
        }
    }

    func stop() {
        isStopped = true
        node.cancel(timer)
        connection?.context = nil
        connection?.abort()
        connection = nil
    }

    private func again() {
        connection?.context = nil
        connection?.abort()
        connection = nil
        guard !isStopped, timer == nil else { return }
        failures = min(failures + 1, 16)
        let ceiling = min(Self.longestPause, Self.firstPause * (1 << (failures - 1)))
        let pause = LabDuration(nanoseconds: node.draw { Int64($0.unit() * Double(ceiling.nanoseconds)) })
        timer = node.after(pause) { [self] in
            timer = nil
            start()
        }
    }

    func clientOpened(_ client: HTTPClientConnection) {
        var bytes: [UInt8] = []
        HTTPWriter.requestLine("GET", url.target, into: &bytes)
        HTTPWriter.field("Host", url.authority, into: &bytes)
        HTTPWriter.field("Accept", ServerSentEvent.contentType, into: &bytes)
        if HTTPWriter.isSafeField(name: "Authorization", value: apiKey) {
            HTTPWriter.field("Authorization", apiKey, into: &bytes)
        }
        HTTPWriter.endHead(&bytes)
        client.begin(.get)
        client.write(bytes)
    }

    func clientReceivedHead(_ client: HTTPClientConnection) {
        if client.head.status == 200 { failures = 0 } else if client.head.status > 200 { again() }
    }

    func client(_ client: HTTPClientConnection, received bytes: UnsafeRawBufferPointer) {
        guard client === connection else { return }
        let events: [ServerSentEvent]
        do throws(ServerSentEventReader.TooLong) { events = try reader.read(bytes) } catch { return again() }
        for event in events where event.event == "unleash-connected" || event.event == "unleash-updated" {
            guard let value = try? JSONValue(parsing: event.data) else { return again() }
            onEvents(value)
        }
    }

    func clientReceivedEnd(_ client: HTTPClientConnection) { if client === connection { again() } }
    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        if client === connection { again() }
    }
}

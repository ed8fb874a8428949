import CacheLayerService
import KernelHosting
import KernelJSON
import KernelService
import KernelStructures
import KernelWire
import KernelWorld

/// Watches the cache layers that use one shared cache: finds their notes there, and follows the events of each.
final class CacheMonitor: Service {
    let runtime: ServiceRuntime
    private let cache: HostPort
    /// Keys that are of interest; nil for all.
    private let pattern: String?
    private let link: RESPStoreLink
    /// By the place that the note names.
    private var followers: [String: EventFollower] = [:]
    private var lines = CacheLines()
    private var hasComplained = false
    private var isStopping = false
    private(set) var eventCount = 0

    /// How often the cache is asked for new notes.
    private static let rhythm = LabDuration.seconds(1)
    private static let followerLimit = 64

    init(node: Node, cache: HostPort, pattern: String?, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "CACHE", options: options)
        self.cache = cache
        self.pattern = pattern
        link = RESPStoreLink(node: node, destination: cache, timeout: .seconds(2))
        node.whenEnded { [weak self] in self?.letGo() }
    }

    func opened() { search(cursor: "0") }

    private func letGo() {
        followers = [:]
        link.letGo()
    }

    func stop(_ done: @escaping () -> Void) {
        isStopping = true
        for place in followers.keys.sorted() { followers[place]?.close() }
        followers = [:]
        link.close()
        done()
    }

    // MARK: Finding

    private func search(cursor: String) {
        if isStopping { return }
        let words = ["SCAN", cursor, "MATCH", CacheEventFeed.notePrefix + "*", "COUNT", "1000"]
        link.ask(words.map { Array($0.utf8) }) { [weak self] result in
            guard let self, !isStopping else { return }
            guard case .success(let value) = result, let parts = value.elements, parts.count == 2,
                let next = parts[0].text, let keys = parts[1].elements
            else { return searchFailed(result) }
            for key in keys.compactMap(\.text) { read(key) }
            if next != "0" { return search(cursor: next) }
            node.after(Self.rhythm) { [weak self] in self?.search(cursor: "0") }
        }
    }

    private func searchFailed(_ result: Result<RESPValue, RESPStoreLink.StoreFailure>) {
        if !hasComplained {
            hasComplained = true
            let reason =
                switch result {
                case .success(let value): value.errorText ?? "an answer that makes no sense"
                case .failure(let failure): failure.text
                }
            runtime.log("Cache \(cache.description): \(reason)", level: .warning)
        }
        node.after(Self.rhythm) { [weak self] in self?.search(cursor: "0") }
    }

    private func read(_ key: String) {
        link.ask(["GET", key].map { Array($0.utf8) }) { [weak self] result in
            guard let self, !isStopping, case .success(let value) = result, let text = value.text else { return }
            let parts = text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            guard let place = HostPort(parsing: parts[0]) else { return }
            follow(place, prefix: parts.count > 1 ? String(parts[1]) : "")
        }
    }

    private func follow(_ place: HostPort, prefix: String) {
        let name = place.description
        guard followers[name] == nil, followers.count < Self.followerLimit else { return }
        let follower = EventFollower(node: node, place: place)
        followers[name] = follower
        follower.onOpen = { [weak self] in
            guard let self else { return }
            hasComplained = false
            runtime.log("Watching keys: \(pattern ?? prefix + "*")")
        }
        follower.onEvent = { [weak self] in self?.show($0) }
        follower.onEnd = { [weak self] in self?.followers[name] = nil }
        follower.start()
    }

    private func show(_ event: ServerSentEvent) {
        guard let value = try? JSONValue(parsing: Array(event.data.utf8)) else { return }
        if let pattern, case .string(let key)? = value["key"] {
            let isWanted = Array(key.utf8).withUnsafeBytes { GlobMatch.matches($0, Array(pattern.utf8)) }
            if !isWanted { return }
        }
        eventCount += 1
        for line in lines.lines(for: value) { runtime.log(line) }
    }

    var statistics: [Statistic] {
        [Statistic("layers", followers.count), Statistic("events", eventCount)]
    }
}

/// One stream of events, from its first to its last.
private final class EventFollower: HTTPClientDelegate {
    private let node: Node
    private let place: HostPort
    private let connection = HTTPClientConnection()
    private var reader = ServerSentEventReader()
    var onOpen: (() -> Void)?
    var onEvent: ((ServerSentEvent) -> Void)?
    var onEnd: (() -> Void)?

    init(node: Node, place: HostPort) {
        self.node = node
        self.place = place
    }

    func start() {
        connection.delegate = self
        connection.context = self
        do throws(NetworkError) { try connection.connect(from: node, to: place) } catch {
            connection.context = nil
            node.enqueue { [self] in ended() }
        }
    }

    func close() {
        onOpen = nil
        onEvent = nil
        onEnd = nil
        connection.close()
        connection.context = nil
    }

    private func ended() {
        let callback = onEnd
        close()
        callback?()
    }

    func clientOpened(_ client: HTTPClientConnection) {
        var bytes: [UInt8] = []
        HTTPWriter.requestLine("GET", "/events", into: &bytes)
        HTTPWriter.field("Host", place.description, into: &bytes)
        HTTPWriter.field("Accept", ServerSentEvent.contentType, into: &bytes)
        HTTPWriter.endHead(&bytes)
        client.begin(.get)
        client.write(bytes)
    }

    func clientReceivedHead(_ client: HTTPClientConnection) {
        if client.head.status == 200 { onOpen?() } else { ended() }
    }

    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {
        guard let events = try? reader.read(body) else { return ended() }
        for event in events { onEvent?(event) }
    }

    func clientReceivedEnd(_ client: HTTPClientConnection) { ended() }
    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) { ended() }
}

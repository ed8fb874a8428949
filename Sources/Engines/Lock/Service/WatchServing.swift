import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import LockEngine

/// `/v3/watch`: an answer without an end, a line of JSON for each message.
final class WatchServing {
    private unowned let host: LockHost
    private var hub = WatchHub()
    private var streams: [Int: Stream] = [:]
    private var nextID = 1

    private final class Stream {
        let id: Int
        let body: HTTPBodyStream
        let wantsPrevious: Bool
        /// As the client called it, or 0.
        let clientID: Int64
        init(_ id: Int, _ body: HTTPBodyStream, _ wantsPrevious: Bool, _ clientID: Int64) {
            self.id = id
            self.body = body
            self.wantsPrevious = wantsPrevious
            self.clientID = clientID
        }
    }

    init(_ host: LockHost) { self.host = host }

    var count: Int { hub.count }

    // MARK: Beginning

    func begin(_ exchange: HTTPExchange) {
        do {
            let message = GatewayMessage(JSONCursor(try exchange.json()))
            guard let request = message.message("create_request") else {
                throw GatewayError("etcdserver: a stream begins with create_request", GatewayError.invalidArgument)
            }
            try begin(exchange, request)
        } catch let error as GatewayError {
            exchange.answer(error)
        } catch {
            exchange.answer(GatewayError("\(error)", GatewayError.invalidArgument))
        }
    }

    private func begin(_ exchange: HTTPExchange, _ request: GatewayMessage) throws {
        let range = try request.range()
        if range.start.isEmpty { throw GatewayError(.emptyKey) }
        let revision = try request.int64("start_revision")
        let wantsPrevious = try request.flag("prev_kv")
        var filters: Set<Int> = []
        for filter in try request.field("filters")?.array() ?? [] {
            filters.insert(try GatewayMessage.choice(filter, ["NOPUT", "NODELETE"]))
        }
        let clientID = try request.int64("watch_id")
        guard hub.count < WatchHub.limit else {
            throw GatewayError("etcdserver: too many watchers", GatewayError.resourceExhausted)
        }
        guard let body = exchange.stream(type: "application/json", isLasting: true) else { return }
        let id = nextID
        nextID += 1
        let store = host.machine.store.store
        var watcher = WatchHub.Watcher(id: id, range: range, from: revision > 0 ? revision : store.revision + 1)
        watcher.wantsPuts = !filters.contains(0)
        watcher.wantsDeletions = !filters.contains(1)
        watcher.wantsPrevious = wantsPrevious
        _ = hub.add(watcher)
        let stream = Stream(id, body, wantsPrevious, clientID)
        streams[id] = stream
        exchange.onAbandon = { [weak self] in self?.end(id) }
        body.onDrained = { [weak self] in self?.pump(id) }
        write(stream) { $0.add("created", true) }
        pump(id)
    }

    // MARK: Going on

    func note(_ events: [StoreEvent]) { for id in hub.note(events) { pump(id) } }

    /// The store was replaced by a snapshot: what has happened in between is no longer known event by event.
    func noteRestore() { for id in streams.keys.sorted() { pump(id) } }

    private func pump(_ id: Int) {
        guard let stream = streams[id] else { return }
        while stream.body.isOpen, !stream.body.isCongested,
            let delivery = hub.next(for: id, in: host.machine.store.store)
        {
            switch delivery {
            case .events(let events):
                write(stream) { answer in
                    answer.add("events", events.map { $0.json(withPrevious: stream.wantsPrevious) })
                }
            case .compacted(let revision):
                write(stream) {
                    $0.add("canceled", true)
                    $0.add("compact_revision", revision)
                }
                stream.body.end()
                return end(id)
            }
        }
        if !stream.body.isOpen { end(id) }
    }

    private func write(_ stream: Stream, _ add: (inout GatewayAnswer) -> Void) {
        let message = host.message {
            $0.add("watch_id", stream.clientID)
            add(&$0)
        }
        stream.body.write(JSONValue.object([("result", message)]).bytes() + [10])
    }

    private func end(_ id: Int) {
        hub.remove(id)
        streams[id] = nil
    }
}

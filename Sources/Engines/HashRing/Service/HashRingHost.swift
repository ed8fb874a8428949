import HashRingEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// What the node answers, before anybody decided how to show it.
public enum RingAnswer: Sendable {
    /// The ring changed, and these lines were logged.
    case changed([String])
    case stats
    case drawing([String])
    case export
    case lookup([RingKeeper.Lookup])
    case preview(RingKeeper.Change)
    case moved(RingKeeper.Change?, ranges: Int)
    case comparison(Comparison, Comparison.Settings)
}

/// Runs a ring on a node: listens for HTTP, and writes the log.
public final class HashRingHost: HTTPService {
    public let node: Node
    public let port: UInt16
    public private(set) var keeper: RingKeeper
    /// Turns an answer into text or JSON.
    private let render: (RingAnswer, RingKeeper, _ asJSON: Bool) -> String
    private var server: HTTPServer!
    private var onStopped: (() -> Void)?
    private var isDraining = false

    /// Where clients look if nobody told them.
    public static let defaultPort: UInt16 = 7400
    private static let tag = "RING"
    /// Bytes of a request's body.
    private static let bodyLimitBytes = 4 * 1024 * 1024
    /// Bytes of a request's first line: a few hundred keys.
    private static let startLineLimitBytes = 64 * 1024

    public init(
        node: Node, port: UInt16, settings: RingKeeper.Settings,
        render: @escaping (RingAnswer, RingKeeper, _ asJSON: Bool) -> String
    ) {
        self.node = node
        self.port = port
        self.render = render
        keeper = RingKeeper(settings)
        var options = HTTPServerOptions()
        options.limits.bodyBytes = Self.bodyLimitBytes
        options.limits.startLineBytes = Self.startLineLimitBytes
        options.limits.headBytes = 2 * Self.startLineLimitBytes
        server = HTTPServer(node: node, service: self, options: options)
    }

    /// Listens, and puts the first members on the ring.
    public func start(with names: [String] = []) throws {
        keeper = try RingKeeper(keeper.settings, members: names)
        try server.listen(on: port)
        node.log(Self.tag, "Initial ring with \(keeper.ring.nodes.count) nodes")
    }

    /// Accepts nothing more, finishes what is under way, then calls back.
    public func drain(whenStopped: @escaping () -> Void) {
        guard !isDraining else { return whenStopped() }
        isDraining = true
        onStopped = whenStopped
        server.drain()
        stopIfDone()
    }

    private func stopIfDone() {
        guard isDraining, server.openConnectionCount == 0, let callback = onStopped else { return }
        onStopped = nil
        node.whenFlushed(callback)
    }

    // MARK: HTTPService

    private final class Body {
        var bytes: [UInt8] = []
    }

    public func requestBegan(_ connection: HTTPServerConnection) {
        connection.context = nil
        guard connection.bodyFraming != .none else { return }
        connection.context = Body()
        connection.sendContinue()
    }

    public func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {
        (connection.context as? Body)?.bytes.append(contentsOf: body)
    }

    public func requestEnded(_ connection: HTTPServerConnection) {
        let head = connection.head
        let wantsJSON = head.value(of: .accept)?.contains("application/json") ?? false
        let body = (connection.context as? Body)?.bytes ?? []
        do {
            let request = try RingRequest(method: head.methodText, target: head.target, body: body)
            let answer = try self.answer(request)
            let isJSON = wantsJSON || isExport(answer)
            connection.respond(
                status: isAddition(request) ? 201 : 200,
                contentType: isJSON ? "application/json" : "text/plain; charset=utf-8",
                body: render(answer, keeper, isJSON))
        } catch let refusal as RingRequest.Refusal {
            connection.respond(status: refusal.status, body: refusal.text + "\n")
        } catch let error as RingError {
            connection.respond(status: Self.status(of: error), body: error.description + "\n")
        } catch {
            connection.respond(status: 500, body: "\(error)\n")
        }
    }

    public func connectionClosed(_ connection: HTTPServerConnection) {
        server.forget(connection)
        stopIfDone()
    }

    private func isExport(_ answer: RingAnswer) -> Bool { if case .export = answer { true } else { false } }
    private func isAddition(_ request: RingRequest) -> Bool { if case .add = request { true } else { false } }

    private static func status(of error: RingError) -> Int {
        switch error {
        case .unknownNode: 404
        case .duplicateNode, .empty: 409
        case .malformedNode, .tooManyPoints, .notPrime, .tooManyNodes: 400
        }
    }

    // MARK: Answers

    private func answer(_ request: RingRequest) throws(RingError) -> RingAnswer {
        switch request {
        case .stats: return .stats
        case .drawing(let keys): return .drawing(keeper.drawing(keys: keys))
        case .export: return .export
        case .lookup(let keys, let factor): return .lookup(try keeper.lookUp(keys, replicationFactor: factor))
        case .add(let words):
            return changed(
                try keeper.add(
                    words.name, virtualNodes: words.virtualNodes, weight: words.weight, zone: words.zone))
        case .reweight(let words):
            return changed(
                try keeper.reweight(words.name, virtualNodes: words.virtualNodes, weight: words.weight))
        case .remove(let name): return changed(try keeper.remove(name))
        case .preview(let kind, let words): return .preview(try preview(kind, words))
        case .moved(let ranges): return .moved(keeper.lastChange, ranges: ranges)
        case .compare(let keys, let add, let remove, let hash):
            return try comparison(keys: keys, add: add, remove: remove, hash: hash)
        }
    }

    private func changed(_ lines: [LogMessage]) -> RingAnswer {
        for line in lines { node.log(Self.tag, line) }
        return .changed(lines.map { "[\(Self.tag)] \($0)" })
    }

    private func preview(_ kind: RingKeeper.Change.Kind, _ words: RingRequest.NodeWords) throws(RingError)
        -> RingKeeper.Change
    {
        switch kind {
        case .add:
            try keeper.previewAdding(
                words.name, virtualNodes: words.virtualNodes, weight: words.weight, zone: words.zone)
        case .remove: try keeper.previewRemoving(words.name)
        case .reweight:
            try keeper.previewReweighting(words.name, virtualNodes: words.virtualNodes, weight: words.weight)
        }
    }

    /// Without a word about it, one more node comes, and the first one goes.
    private func comparison(keys: Int?, add: String?, remove: String?, hash: RingHash?) throws(RingError)
        -> RingAnswer
    {
        let nodes = keeper.ring.nodes
        guard let first = nodes.first else { throw .empty }
        var settings = Comparison.Settings()
        if let keys { settings.keys = keys }
        if case .labels(let own) = keeper.settings.scheme { settings.hash = own }
        if let hash { settings.hash = hash }
        var name = add ?? "new-node"
        while add == nil, nodes.contains(where: { $0.name == name }) { name += "-2" }
        let added = RingNode(name, virtualNodes: keeper.settings.virtualNodesOrUsual)
        return .comparison(
            try Comparison(nodes, adding: added, removing: remove ?? first.name, settings: settings), settings)
    }
}

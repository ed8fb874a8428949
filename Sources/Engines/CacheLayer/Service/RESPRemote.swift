import CacheLayerEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// The shared cache as a layer on a node asks it: any server that speaks RESP and has GET, MGET, SET, DEL, WATCH and
/// MULTI.
///
/// Two connections: what is one trip goes over the first, as it comes. What must happen at once or not at all goes over
/// the second, one after the other, because WATCH and MULTI belong to their connection. One connection does for both
/// where the server is to tell on it what others change (`TrackingListener`): a transaction leaves in one piece, and
/// only one at a time has a WATCH; what comes between a WATCH and its transaction may make that fail, as it should.
public final class RESPRemote {
    public let destination: HostPort
    public var dialect: RESPDialect
    private let link: RESPStoreLink
    private let lonelyLink: RESPStoreLink
    private var lonely = RingQueue<(request: RemoteRequest, completion: (RemoteReply) -> Void)>()
    private var isLonelyBusy = false
    private var isClosed = false
    /// Sends what the first connection begins with, whenever it is made.
    public var onConnect: ((RESPClientConnection) -> Void)? {
        get { link.onConnect }
        set { link.onConnect = newValue }
    }
    /// Something was not answered.
    public var onFailure: (() -> Void)?

    /// Requests that may wait for the second connection.
    static let waitingLimit = 10_000

    /// - Parameters:
    ///   - timeout: how long an answer may take.
    ///   - isOneConnection: whether all goes over one.
    public init(
        node: Node, destination: HostPort, timeout: LabDuration, dialect: RESPDialect, isOneConnection: Bool = false
    ) {
        self.destination = destination
        self.dialect = dialect
        let link = RESPStoreLink(node: node, destination: destination, timeout: timeout)
        self.link = link
        lonelyLink =
            isOneConnection ? link : RESPStoreLink(node: node, destination: destination, timeout: timeout)
    }

    /// Asks, and calls back once, perhaps before this returns.
    public func ask(_ request: RemoteRequest, _ completion: @escaping (RemoteReply) -> Void) {
        guard dialect.needsOwnConnection(request) else {
            return send(dialect.commands(for: request), link) { [dialect] result in
                completion(Self.reply(dialect, request, result))
            }
        }
        guard lonely.count < Self.waitingLimit, !isClosed else {
            return completion(.failed("\(lonely.count) comparisons wait already"))
        }
        lonely.append((request, completion))
        nextLonely()
    }

    /// Plain commands, for what is not the layer's: announcements.
    public func send(_ words: [String], _ completion: @escaping (RESPValue?) -> Void = { _ in }) {
        link.ask(words.map { Array($0.utf8) }) { [weak self] result in
            guard case .success(let value) = result else {
                self?.onFailure?()
                return completion(nil)
            }
            completion(value)
        }
    }

    private typealias Replies = Result<[RESPReply], RESPStoreLink.StoreFailure>

    private static func reply(
        _ dialect: RESPDialect, _ request: RemoteRequest, _ result: Replies, isSecondTrip: Bool = false
    ) -> RemoteReply {
        switch result {
        case .failure(let failure): return .failed(failure.text)
        case .success(let replies):
            if case .reply(let reply) = dialect.next(request, replies, isSecondTrip: isSecondTrip) { return reply }
            return .failed("an answer out of turn")
        }
    }

    private func nextLonely() {
        guard !isLonelyBusy, let (request, completion) = lonely.popFirst() else { return }
        isLonelyBusy = true
        send(dialect.commands(for: request), lonelyLink) { [weak self] result in
            guard let self else { return }
            if case .success(let replies) = result, case .send(let more) = dialect.next(request, replies) {
                send(more, lonelyLink) { [weak self] result in
                    guard let self else { return }
                    ended(Self.reply(dialect, request, result, isSecondTrip: true), completion)
                }
            } else {
                ended(Self.reply(dialect, request, result), completion)
            }
        }
    }

    private func ended(_ reply: RemoteReply, _ completion: (RemoteReply) -> Void) {
        isLonelyBusy = false
        completion(reply)
        nextLonely()
    }

    /// Sends commands together; calls back when all are answered, or one has failed.
    private func send(
        _ commands: RESPDialect.Commands, _ link: RESPStoreLink, _ completion: @escaping (Replies) -> Void
    ) {
        guard !commands.isEmpty else { return completion(.success([])) }
        var replies: [RESPReply] = []
        var left = commands.count
        var failure: RESPStoreLink.StoreFailure?
        for words in commands {
            link.ask(words) { [weak self] result in
                switch result {
                case .success(let value): replies.append(RESPReply(value))
                case .failure(let error):
                    failure = failure ?? error
                    self?.onFailure?()
                }
                left -= 1
                if left == 0 { completion(failure.map { .failure($0) } ?? .success(replies)) }
            }
        }
    }

    public func close() {
        isClosed = true
        link.close()
        lonelyLink.close()
    }

    func letGo() {
        isClosed = true
        onFailure = nil
        link.onConnect = nil
        lonely.removeAll()
        link.letGo()
        lonelyLink.letGo()
    }
}

extension RESPReply {
    /// What the layer sees of a reply.
    init(_ value: RESPValue) {
        self =
            switch value {
            case .null: .null
            case .integer(let number): .integer(number)
            case .error(let text): .error(text)
            default:
                value.elements.map { .array($0.map { RESPReply($0) }) } ?? value.bytes.map { .bytes($0) } ?? .null
            }
    }
}

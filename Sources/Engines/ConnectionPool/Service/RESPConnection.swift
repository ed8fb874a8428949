import ConnectionPoolEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// A connection to a server that speaks RESP, for `NodePool`: Redis, the lab's key-value store, `pool-db`.
///
/// It counts as open once the server has answered a PING: an accepted connection is not yet one that is served.
public final class RESPConnection: NodeConnection {
    private let node: Node
    private let destination: HostPort
    private let client = RESPClientConnection()
    public var onLost: ((String) -> Void)?
    private var isClosed = false
    /// Something was asked for that outlives the answer.
    private var isDirty = false
    /// Something has gone wrong that only a new connection mends.
    private var fault: String?
    /// Whether the server is Redis, which opens a transaction by a word of its own; nil before it was asked.
    var isRedis: Bool?

    public init(_ node: Node, to destination: HostPort) {
        self.node = node
        self.destination = destination
    }

    /// What leaves a mark on a connection beyond its own answer, in upper case.
    private static let marking: Set<String> = [
        "MULTI", "WATCH", "BEGIN", "SELECT", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "CLIENT", "HELLO",
        "AUTH",
    ]
    /// What takes all such marks of transactions away.
    private static let ending: Set<String> = ["EXEC", "DISCARD", "COMMIT", "ROLLBACK"]

    /// Sends a request. The connection remembers whether it has to be reset before somebody else gets it.
    public func send(_ words: [String], _ completion: @escaping RESPClientConnection.Completion) {
        let command = words.first?.uppercased() ?? ""
        if Self.marking.contains(command) { isDirty = true }
        client.send(words) { [weak self] result in
            if case .success(let value) = result, value.errorText == nil, Self.ending.contains(command) {
                self?.isDirty = false
            }
            if case .failure(let failure) = result { self?.fault = Self.text(failure) }
            completion(result)
        }
    }

    public func open(_ done: @escaping (String?) -> Void) {
        var done: ((String?) -> Void)? = done
        func finish(_ failure: String?) {
            let callback = done
            done = nil
            callback?(failure)
        }
        client.onEnd = { [weak self] failure in
            if done != nil { return finish(Self.text(failure)) }
            self?.end(Self.text(failure))
        }
        do throws(NetworkError) {
            try client.connect(from: node, to: destination)
        } catch {
            node.enqueue { finish("\(error)") }
            return
        }
        client.send(["PING"]) { result in
            switch result {
            case .success(let value): finish(value.errorText)
            case .failure(let failure): finish(Self.text(failure))
            }
        }
    }

    private static func text(_ failure: RESPClientFailure) -> String {
        switch failure {
        case .notConnected(.refused): "connection refused"
        case .notConnected(.timedOut): "connection timed out"
        case .closed(.reset), .notConnected(.reset): "reset by peer"
        case .closed: "closed by the server"
        default: "\(failure)"
        }
    }

    private func end(_ reason: String) {
        fault = reason
        let callback = onLost
        onLost = nil
        callback?(reason)
    }

    public func validate(_ done: @escaping (Bool) -> Void) {
        ask(["PING"]) { done($0?.text == "PONG") }
    }

    public func reset(_ done: @escaping (Bool) -> Void) {
        ask(["RESET"]) { [weak self] answer in
            self?.isDirty = false
            done(answer?.text == "RESET")
        }
    }

    private func ask(_ words: [String], _ done: @escaping (RESPValue?) -> Void) {
        client.send(words) { [weak self] result in
            guard self?.isClosed == false else { return }
            if case .success(let value) = result { done(value) } else { done(nil) }
        }
    }

    public func wasGivenBack() -> ConnectionPool.ReturnCondition {
        if let fault { return .broken(fault) }
        if !client.isReusable { return .broken(counted(client.waitingCount, "answer") + " still to come") }
        return isDirty ? .dirty : .clean
    }

    public func close() {
        isClosed = true
        client.onEnd = nil
        client.close()
    }
}

import KernelStructures
import KernelWire
import KernelWorld

/// The connection to a store: made when it is needed, given up when an answer does not come in time, and then left
/// alone for a while.
///
/// Who asks it (a limiter, a circuit breaker) stands in the way of every request, so a store that is gone must not cost
/// each of them a timeout. After a failure, questions fail at once for `pause`; then one of them tries again. Whoever
/// counts in the store (`returnsByItself`) has the link try without a question, too: the first of many that come at
/// once finds the store then, and not the first alone.
public final class RESPStoreLink {
    private let node: Node
    private let destination: HostPort
    private let timeout: LabDuration
    /// Sends what each new connection begins with.
    public var onConnect: ((RESPClientConnection) -> Void)?
    /// Whether it tries to connect again while nobody asks: after 0 to 1 s, then 0 to 2 s and so on up to 10 s.
    public var returnsByItself = false
    /// The store has answered again to such a try.
    public var onReturn: (() -> Void)?
    private var returnTimer: TimerID?
    private var returnAttempts = 0
    private static let returnPolicy: HTTPCall.RetryPolicy = {
        var policy = HTTPCall.RetryPolicy(limit: .max)
        policy.firstPause = pause
        return policy
    }()
    private var client: RESPClientConnection?
    private var downUntil: LabTime?
    private var downReason = ""
    /// Oldest first: all have the same time to wait.
    private var waiting = RingQueue<Question>()
    private var timer: TimerID?
    private var isClosed = false

    public static let pause = LabDuration.seconds(1)
    /// Questions under way at a time.
    static let waitingLimit = 100_000

    private final class Question {
        let deadline: LabTime
        var completion: ((Result<RESPValue, StoreFailure>) -> Void)?
        init(_ deadline: LabTime, _ completion: @escaping (Result<RESPValue, StoreFailure>) -> Void) {
            self.deadline = deadline
            self.completion = completion
        }

        func answer(_ result: Result<RESPValue, StoreFailure>) {
            let completion = completion
            self.completion = nil
            completion?(result)
        }
    }

    public struct StoreFailure: Error, Sendable {
        /// The reason, for people.
        public let text: String
    }

    /// - Parameter timeout: how long an answer may take.
    public init(node: Node, destination: HostPort, timeout: LabDuration) {
        self.node = node
        self.destination = destination
        self.timeout = timeout
    }

    /// Sends a request.
    ///
    /// - Parameter completion: called once, perhaps before this returns.
    public func ask(_ words: [[UInt8]], completion: @escaping (Result<RESPValue, StoreFailure>) -> Void) {
        let now = node.world.now
        // While it is down one question at a time tries whether it is back.
        if let downUntil, now < downUntil || !waiting.isEmpty {
            return completion(.failure(.init(text: downReason)))
        }
        guard waiting.count < Self.waitingLimit else {
            return completion(.failure(.init(text: "\(waiting.count) questions wait already")))
        }
        guard let client = connected() else { return completion(.failure(.init(text: downReason))) }
        let question = Question(now + timeout, completion)
        waiting.append(question)
        if timer == nil { arm() }
        client.send(words) { [weak self] result in
            switch result {
            case .success(let value):
                self?.downUntil = nil
                question.answer(.success(value))
            case .failure(let failure): question.answer(.failure(.init(text: "\(failure)")))
            }
            self?.forgetAnswered()
        }
    }

    private func connected() -> RESPClientConnection? {
        if let client, !client.isClosed { return client }
        let client = RESPClientConnection()
        do throws(NetworkError) {
            try client.connect(from: node, to: destination)
        } catch {
            wentDown("\(error)")
            return nil
        }
        client.onEnd = { [weak self, unowned client] failure in
            guard let self, self.client === client else { return }
            self.client = nil
            wentDown("\(failure)")
        }
        self.client = client
        onConnect?(client)
        return client
    }

    private func wentDown(_ reason: String) {
        downReason = reason
        downUntil = node.world.now + Self.pause
        tryLater()
    }

    private func tryLater() {
        guard returnsByItself, !isClosed, returnTimer == nil else { return }
        let pause = Self.returnPolicy.pause(before: returnAttempts, node)
        returnAttempts += 1
        returnTimer = node.after(pause) { [weak self] in
            guard let self else { return }
            returnTimer = nil
            tryAgain()
        }
    }

    private func tryAgain() {
        guard downUntil != nil, !isClosed else {
            returnAttempts = 0
            return
        }
        downUntil = node.world.now
        ask([Array("PING".utf8)]) { [weak self] result in
            guard let self else { return }
            guard case .success = result else { return tryLater() }
            returnAttempts = 0
            onReturn?()
        }
    }

    private func forgetAnswered() {
        while let first = waiting.first, first.completion == nil { _ = waiting.popFirst() }
        if waiting.isEmpty {
            node.cancel(timer)
            timer = nil
        }
    }

    private func arm() {
        guard let first = waiting.first, !isClosed else { return }
        timer = node.after(first.deadline - node.world.now) { [self] in
            timer = nil
            guard let first = waiting.first, first.deadline <= node.world.now else { return arm() }
            // Answers come in order: if this one is late, all behind it are.
            wentDown("no answer within \(timeout)")
            let late = client
            client = nil
            let reason = downReason
            while let question = waiting.popFirst() { question.answer(.failure(.init(text: reason))) }
            late?.abort()
        }
    }

    /// The node's life is over: holds nobody any more who waits for an answer.
    public func letGo() {
        close()
        waiting = RingQueue()
    }

    public func close() {
        isClosed = true
        node.cancel(timer)
        node.cancel(returnTimer)
        timer = nil
        returnTimer = nil
        client?.close()
        client = nil
    }
}

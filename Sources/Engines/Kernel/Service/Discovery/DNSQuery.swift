import KernelStructures
import KernelWire
import KernelWorld

/// One question to a DNS server, asked until it is answered: by datagram, again after a time, and over TCP where the
/// answer does not fit into a datagram (RFC 1035 §4.2, RFC 7766).
///
/// What answers with another id is not believed: it came late, or was made up. A server that refuses or says nothing is
/// asked again, so many times; one whose answer is malformed is not, for it would say the same.
public final class DNSQuery: DatagramHandler, StreamHandler {
    /// How to ask.
    public struct Policy: Sendable {
        /// Over TCP from the beginning.
        public var wantsTCP = false
        /// A truncated answer will do.
        public var ignoresTruncation = false
        /// For each try.
        public var timeout: LabDuration
        /// At least one.
        public var tries: Int

        public init(timeout: LabDuration = .seconds(5), tries: Int = 3) {
            self.timeout = timeout
            self.tries = max(1, tries)
        }
    }

    public struct Answer {
        public let message: DNSMessage
        public let byteCount: Int
        /// Who answered.
        public let remote: Endpoint
        public let wasTCP: Bool
        /// Since the last try.
        public let took: LabDuration
    }

    /// Why a try led to nothing; another may follow.
    public enum Trouble: String, Sendable {
        case timedOut = "timed out"
        case refused = "connection refused"
        case ended = "end of file"
        /// It did not fit: asked again over TCP.
        case truncated = "truncated"
    }

    /// Why there is no answer.
    public enum Failure: Error, CustomStringConvertible {
        /// The server's name is not known, or there is no socket to ask it with.
        case unreachable(NetworkError)
        case noAnswer
        case malformed(DNSError)

        public var description: String {
            switch self {
            case .unreachable(let error): "\(error)"
            case .noAnswer: "no answer"
            case .malformed(let error): "a malformed answer: \(error)"
            }
        }
    }

    private let node: Node
    private let server: HostPort
    private let message: DNSMessage
    private let policy: Policy
    private var completion: ((Result<Answer, Failure>) -> Void)?
    /// Called for each try that leads to nothing.
    public var onTrouble: ((Trouble) -> Void)?
    private var triesLeft: Int
    private var socket: DatagramSocket?
    private var stream: Stream?
    private var received: [UInt8] = []
    private var timer: TimerID?
    private var askedAt = LabTime(nanoseconds: 0)

    /// - Parameters:
    ///   - message: the question; it gets an id that nobody can guess.
    ///   - completion: called once, unless it is cancelled before.
    public init(
        _ node: Node, server: HostPort, message: DNSMessage, policy: Policy = Policy(),
        completion: @escaping (Result<Answer, Failure>) -> Void
    ) {
        self.node = node
        self.server = server
        self.policy = policy
        self.completion = completion
        triesLeft = policy.tries
        var message = message
        message.id = node.draw { UInt16(truncatingIfNeeded: $0.next()) }
        self.message = message
    }

    public func start() { policy.wantsTCP ? askByStream() : askByDatagram() }

    /// Ends it; nobody hears of an answer any more.
    public func cancel() {
        completion = nil
        onTrouble = nil
        node.cancel(timer)
        socket?.close()
        stream?.close()
        socket = nil
        stream = nil
    }

    // MARK: Datagrams

    private func askByDatagram() {
        do throws(NetworkError) {
            if socket == nil { socket = try node.bindDatagrams(handler: self) }
            askedAt = node.world.now
            try socket?.send(message.bytes(), to: server)
        } catch {
            return finish(.failure(.unreachable(error)))
        }
        wait { [self] in askByDatagram() }
    }

    public func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint)
    {
        guard completion != nil, stream == nil, DNSMessage.id(of: bytes) == message.id, let answer = read(bytes) else {
            return
        }
        if answer.isTruncated, !policy.ignoresTruncation {
            node.cancel(timer)
            onTrouble?(.truncated)
            return askByStream()
        }
        show(answer, bytes.count, remote, wasTCP: false)
    }

    public func datagramSocket(_ socket: DatagramSocket, refusedBy remote: Endpoint) {
        guard completion != nil, stream == nil else { return }
        node.cancel(timer)
        failTry(.refused) { [self] in askByDatagram() }
    }

    // MARK: Connections

    private func askByStream() {
        received = []
        askedAt = node.world.now
        do throws(NetworkError) {
            stream = try node.connect(to: server, handler: self)
        } catch {
            return finish(.failure(.unreachable(error)))
        }
        wait { [self] in
            stream?.abort()
            askByStream()
        }
    }

    public func streamOpened(_ stream: Stream) { stream.write(message.framed) }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        guard completion != nil, stream === self.stream else { return }
        received.append(contentsOf: bytes)
        guard received.count >= 2 else { return }
        let length = Int(received[0]) << 8 | Int(received[1])
        guard received.count >= length + 2 else { return }
        received.withUnsafeBytes { all in
            let bytes = UnsafeRawBufferPointer(rebasing: all[2..<(length + 2)])
            guard DNSMessage.id(of: bytes) == message.id else { return finish(.failure(.noAnswer)) }
            if let answer = read(bytes) { show(answer, length, stream.remote, wasTCP: true) }
        }
    }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        guard completion != nil, stream === self.stream else { return }
        node.cancel(timer)
        failTry(reason == .refused ? .refused : .ended) { [self] in askByStream() }
    }

    // MARK: Tries

    private func wait(_ again: @escaping () -> Void) {
        timer = node.after(policy.timeout) { [weak self] in self?.failTry(.timedOut, again) }
    }

    private func failTry(_ trouble: Trouble, _ again: () -> Void) {
        onTrouble?(trouble)
        triesLeft -= 1
        if triesLeft > 0 { again() } else { finish(.failure(.noAnswer)) }
    }

    // MARK: The end

    private func read(_ bytes: UnsafeRawBufferPointer) -> DNSMessage? {
        do throws(DNSError) {
            return try DNSMessage(reading: bytes)
        } catch {
            finish(.failure(.malformed(error)))
            return nil
        }
    }

    private func show(_ message: DNSMessage, _ byteCount: Int, _ remote: Endpoint, wasTCP: Bool) {
        let took = node.world.now - askedAt
        finish(
            .success(Answer(message: message, byteCount: byteCount, remote: remote, wasTCP: wasTCP, took: took)))
    }

    private func finish(_ result: Result<Answer, Failure>) {
        let completion = completion
        cancel()
        completion?(result)
    }
}

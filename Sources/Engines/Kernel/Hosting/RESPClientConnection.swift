import KernelStructures
import KernelWire
import KernelWorld

public enum RESPClientFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The connection was never made.
    case notConnected(CloseReason)
    /// It ended before the reply came. Whether the command was carried out cannot be known.
    case closed(CloseReason)
    case malformed(RESPError)
    /// This side has closed it.
    case closedHere
    /// Too many requests wait for their replies.
    case tooManyWaiting(Int)

    public var description: String {
        switch self {
        case .notConnected(let reason): "not connected (\(reason))"
        case .closed(let reason): "the connection ended before the reply (\(reason))"
        case .malformed(let error): "the server does not speak RESP: \(error)"
        case .closedHere: "the connection was closed here"
        case .tooManyWaiting(let count): "\(count) requests wait for their replies already"
        }
    }
}

/// A client's connection to a RESP server: requests are sent as they come, and each reply goes to whoever asked.
///
/// Requests may be sent before the connection is open. When it ends, everybody who still waits hears so; to connect
/// again is its owner's affair.
///
/// ```
/// let client = RESPClientConnection()
/// try client.connect(from: node, to: HostPort(host: "cache", port: 6379))
/// client.send(["GET", "user:1"]) { result in … }
/// ```
public final class RESPClientConnection: StreamHandler {
    public typealias Completion = (Result<RESPValue, RESPClientFailure>) -> Void

    /// nil until `connect` has succeeded.
    public private(set) var stream: Stream!
    public private(set) var isOpen = false
    public private(set) var isClosed = false
    public var onOpen: (() -> Void)?
    /// Something that no request asked for (RESP3).
    public var onPush: ((RESPValue) -> Void)?
    /// The connection is over, or never came to be; called once, after everybody who waited. Not after `close`.
    public var onEnd: ((RESPClientFailure) -> Void)?
    public private(set) var requestCount = 0
    /// For an owner that keeps unused connections: since when this one is unused.
    public var idleSince = LabTime(nanoseconds: 0)
    private var reader: RESPReplyReader
    private var completions = RingQueue<Completion>()
    private var encoded: [UInt8] = []

    /// Requests that may wait for their replies.
    public static let waitingLimit = 1 << 20

    public init(limits: RESPLimits = RESPLimits()) { reader = RESPReplyReader(limits: limits) }

    /// Starts to connect; `onOpen` or `onEnd` tells the outcome later.
    public func connect(from node: Node, to destination: HostPort, security: (any StreamSecurity)? = nil)
        throws(NetworkError)
    {
        stream = try node.connect(to: destination, handler: self)
        if let security { stream.secure(with: security, host: destination.host) }
    }

    public var waitingCount: Int { completions.count }
    /// Whether more than the stream wants to hold waits to be sent.
    public var isCongested: Bool { stream.isCongested }
    /// Whether nothing is under way, and the next request can be sent.
    public var isReusable: Bool { isOpen && !isClosed && completions.isEmpty && !stream.hasPeerEnded }

    public func send(_ words: [String], completion: @escaping Completion) {
        encoded.removeAll(keepingCapacity: true)
        RESPRequest.encode(words, into: &encoded)
        send(encoded: encoded, completion: traced(words.first ?? "", completion))
    }

    public func send(_ words: [[UInt8]], completion: @escaping Completion) {
        encoded.removeAll(keepingCapacity: true)
        RESPRequest.encode(words, into: &encoded)
        let name = { String(decoding: words.first ?? [], as: UTF8.self) }
        send(encoded: encoded, completion: traced(name(), completion))
    }

    /// The question as a span, where it is part of one.
    private func traced(_ command: @autoclosure () -> String, _ completion: @escaping Completion) -> Completion {
        guard let node = stream?.node, node.world.spans.isRecording,
            let span = ActiveSpan.asking(
                "redis", command().uppercased(),
                to: HostPort(host: stream.peerName, port: stream.remote.port), on: node)
        else { return completion }
        return { result in
            switch result {
            case .success(.error(let text)): span.fail("\(text)")
            case .failure(let failure): span.fail("\(failure)")
            case .success: break
            }
            span.end { completion(result) }
        }
    }

    /// Sends one request that has been composed already.
    public func send(encoded request: [UInt8], completion: @escaping Completion) {
        precondition(stream != nil, "connect comes first")
        guard !isClosed else {
            return stream.node.enqueue { completion(.failure(.closedHere)) }
        }
        guard completions.count < Self.waitingLimit else {
            let count = completions.count
            return stream.node.enqueue { completion(.failure(.tooManyWaiting(count))) }
        }
        requestCount += 1
        completions.append(completion)
        stream.write(request)
    }

    /// Ends the connection in good order. Whoever still waits hears that it is closed.
    public func close() { end(.closedHere, tells: false) { $0.close() } }

    public func abort() { end(.closedHere, tells: false) { $0.abort() } }

    private func end(_ failure: RESPClientFailure, tells: Bool, _ closing: (Stream) -> Void) {
        guard !isClosed else { return }
        isClosed = true
        isOpen = false
        if let stream { closing(stream) }
        while let completion = completions.popFirst() { completion(.failure(failure)) }
        let callback = onEnd
        onEnd = nil
        onOpen = nil
        onPush = nil
        if tells { callback?(failure) }
    }

    // MARK: StreamHandler

    public func streamLost(_ stream: Stream) {
        isClosed = true
        isOpen = false
        completions.removeAll()
        onEnd = nil
        onOpen = nil
        onPush = nil
    }

    public func streamOpened(_ stream: Stream) {
        isOpen = true
        onOpen?()
        onOpen = nil
    }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        var position = 0
        // What the callbacks ask for next leaves in one piece.
        stream.cork()
        defer { stream.uncork() }
        while !isClosed {
            switch reader.next(bytes, &position) {
            case .needMore: return
            case .value(.push(let values)): onPush?(.push(values))
            case .value(let value):
                guard let completion = completions.popFirst() else {
                    let error = RESPError("the server answered before it was asked")
                    return end(.malformed(error), tells: true) { $0.abort() }
                }
                completion(.success(value))
            case .failed(let error): end(.malformed(error), tells: true) { $0.abort() }
            }
        }
    }

    public func streamEnded(_ stream: Stream) { end(.closed(.finished), tells: true) { $0.close() } }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        end(isOpen ? .closed(reason) : .notConnected(reason), tells: true) { _ in }
    }
}

import KernelCryptography
import KernelStructures
import KernelWire
import KernelWorld

/// Why a question got no answer.
public enum PostgresFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The server's own answer.
    case server(PostgresError)
    /// The connection was never made.
    case notConnected(CloseReason)
    case connectTimedOut(LabDuration)
    case network(NetworkError)
    /// TLS was asked for, and the server has none.
    case noTLS
    /// It ended before the answer came. Whether the statement was carried out cannot be known.
    case closed(CloseReason)
    case malformed(PostgresError)
    /// This side has closed it.
    case closedHere
    /// Too many questions wait for their answers.
    case tooManyWaiting(Int)
    /// The rows have more bytes than may be kept.
    case tooLarge(limitBytes: Int)

    public var description: String {
        switch self {
        case .server(let error): error.description
        case .notConnected(.refused): "connection refused"
        case .notConnected(.timedOut): "connection timed out"
        case .notConnected(let reason): "not connected (\(reason))"
        case .connectTimedOut(let time): "no session within \(time)"
        case .network(let error): "\(error)"
        case .noTLS: "server does not support SSL, but SSL was required"
        case .closed: "server closed the connection unexpectedly"
        case .malformed(let error): "the server does not speak PostgreSQL's protocol: \(error.message)"
        case .closedHere: "the connection was closed here"
        case .tooManyWaiting(let count): "\(count) questions wait for their answers already"
        case .tooLarge(let limit): "the answer has more than \(byteCountText(limit))"
        }
    }

    /// The server's code, where it was the server that refused.
    public var sqlState: SQLState? { if case .server(let error) = self { error.sqlState } else { nil } }
}

/// A session with a server, from the first byte to the last: connects, agrees on TLS, logs in, and then hands over
/// every message as it comes. Clients and the pooler's servers stand on it.
///
/// ```
///   connect → (SSLRequest → S → TLS) → startup → authentication → settings, cancel key → ReadyForQuery
/// ```
public final class PostgresSession: StreamHandler {
    /// A message after the session was opened, and notices before that.
    public var onFrame: ((PostgresFrame) -> Void)?
    /// The session is open.
    public var onOpen: (() -> Void)?
    /// It is over, or never came to be; called once. Not after `close`.
    public var onEnd: ((PostgresFailure) -> Void)?
    /// Where it is set, what comes after the session was opened goes here as it comes, and not to `onFrame`.
    public var onBytes: ((UnsafeRawBufferPointer) -> Void)?
    /// nil until `connect` has succeeded.
    public private(set) var stream: Stream!
    public private(set) var isOpen = false
    public private(set) var isClosed = false
    /// What the server said of itself at the login.
    public var parameters: [PostgresStartup.Parameter] { login.parameters }
    public var cancelKey: PostgresCancelKey? { login.cancelKey }
    /// For the next login with the same password.
    public var keys: SCRAMKeys? { login.keys }

    public let url: PostgresURL
    private let startup: PostgresStartup
    private let security: (any StreamSecurity)?
    private let frames: PostgresFrameReader
    private var login: PostgresLogin
    private var stage = Stage.connecting
    private var timer: TimerID?
    private unowned let node: Node

    private enum Stage { case connecting, askedForTLS, securing, loggingIn, open }

    /// - Parameters:
    ///   - security: for whatever `url.tls` asks.
    ///   - startup: nil for the URL's own.
    public init(
        _ node: Node, _ url: PostgresURL, security: (any StreamSecurity)? = nil, startup: PostgresStartup? = nil,
        keys: SCRAMKeys? = nil, limits: PostgresLimits = PostgresLimits()
    ) {
        self.node = node
        self.url = url
        self.startup = startup ?? url.startup
        self.security = security
        frames = PostgresFrameReader(expectsStartup: false, limits: limits)
        let nonce = node.draw { random in (0..<24).map { _ in UInt8(truncatingIfNeeded: random.next() >> 24) } }
        login = PostgresLogin(user: url.user, password: url.password, nonce: nonce, keys: keys)
    }

    /// Starts to connect; `onOpen` or `onEnd` tells the outcome later.
    public func connect() throws(NetworkError) {
        stream = try node.connect(to: url.destination, handler: self)
        guard url.connectTimeout != .infinite else { return }
        timer = node.after(url.connectTimeout) { [weak self] in
            guard let self, !isOpen else { return }
            end(.connectTimedOut(url.connectTimeout)) { $0.abort() }
        }
    }

    public func send(_ message: FrontendMessage) { stream.write(message.encoded) }

    /// Says goodbye and ends the connection in good order; no callback is called any more.
    public func close() {
        if isOpen { send(.terminate) }
        silence()
        end(.closedHere) { $0.close() }
    }

    public func abort() {
        silence()
        end(.closedHere) { $0.abort() }
    }

    private func silence() {
        onEnd = nil
        onOpen = nil
    }

    private func end(_ failure: PostgresFailure, _ closing: (Stream) -> Void) {
        guard !isClosed else { return }
        isClosed = true
        isOpen = false
        node.cancel(timer)
        timer = nil
        if let stream { closing(stream) }
        let callback = onEnd
        letGo()
        callback?(failure)
    }

    private func letGo() {
        onEnd = nil
        onOpen = nil
        onFrame = nil
        onBytes = nil
    }

    // MARK: StreamHandler

    public func streamOpened(_ stream: Stream) {
        switch stage {
        case .connecting where url.tls != .disable && security != nil:
            stage = .askedForTLS
            send(.sslRequest)
        case .connecting, .securing: logIn()
        default: break
        }
    }

    private func logIn() {
        stage = .loggingIn
        send(.startup(startup))
    }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        var position = 0
        if stage == .askedForTLS {
            position = 1
            if !answeredTLS(bytes) { return }
        }
        stream.cork()
        defer { stream.uncork() }
        while !isClosed {
            if let onBytes, stage == .open {
                if position < bytes.count { onBytes(UnsafeRawBufferPointer(rebasing: bytes[position...])) }
                return
            }
            switch frames.next(bytes, &position) {
            case .needMore: return
            case .frame(let frame): if stage == .open { onFrame?(frame) } else { loggingIn(frame) }
            case .failed(let error): end(.malformed(error)) { $0.abort() }
            }
        }
    }

    /// Takes the byte that answers an SSLRequest. Returns whether to go on with what follows it.
    private func answeredTLS(_ bytes: UnsafeRawBufferPointer) -> Bool {
        switch bytes[0] {
        case UInt8(ascii: "S"):
            // Whatever stands behind it came in clear, and may be an intruder's (CVE-2021-23222).
            guard bytes.count == 1, let security else {
                end(.malformed(PostgresError(.protocolViolation, "unencrypted data after SSL response"))) { $0.abort() }
                return false
            }
            stage = .securing
            stream.secure(with: security, host: url.destination.host)
            return false
        case UInt8(ascii: "N") where url.tls == .prefer:
            logIn()
            return true
        default:
            end(.noTLS) { $0.close() }
            return false
        }
    }

    private func loggingIn(_ frame: PostgresFrame) {
        do throws(PostgresError) {
            let message = try BackendMessage(frame)
            if case .noticeResponse = message { onFrame?(frame) }
            switch login.receive(message) {
            case .nothing: break
            case .send(let answer): send(answer)
            case .failed(let error): end(.server(error)) { $0.close() }
            case .ready:
                stage = .open
                isOpen = true
                node.cancel(timer)
                timer = nil
                let callback = onOpen
                onOpen = nil
                callback?()
            }
        } catch {
            end(.malformed(error)) { $0.abort() }
        }
    }

    public func streamEnded(_ stream: Stream) { end(.closed(.finished)) { $0.close() } }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        end(stage == .connecting ? .notConnected(reason) : .closed(reason)) { _ in }
    }

    public func streamLost(_ stream: Stream) {
        isClosed = true
        isOpen = false
        letGo()
    }
}

/// Asks a server, on a connection of its own, to end what a session is doing. There is no answer but the end of the
/// connection, and no promise that it comes in time.
public final class PostgresCancellation: StreamHandler {
    private let key: PostgresCancelKey
    private let done: (() -> Void)?

    private init(_ key: PostgresCancelKey, _ done: (() -> Void)?) {
        self.key = key
        self.done = done
    }

    /// - Parameter done: the server has taken it, or could not be reached.
    public static func send(
        _ key: PostgresCancelKey, to destination: HostPort, from node: Node, done: (() -> Void)? = nil
    ) {
        do throws(NetworkError) {
            try node.connect(to: destination, handler: PostgresCancellation(key, done))
        } catch {
            if let done { node.enqueue(done) }
        }
    }

    public func streamOpened(_ stream: Stream) { stream.write(FrontendMessage.cancelRequest(key).encoded) }
    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}
    public func streamEnded(_ stream: Stream) {
        stream.close()
        done?()
    }
    public func stream(_ stream: Stream, closed reason: CloseReason) { done?() }
}

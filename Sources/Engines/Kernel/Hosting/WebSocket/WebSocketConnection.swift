import KernelStructures
import KernelWire
import KernelWorld

/// One end of a WebSocket: messages in both directions, until one end closes (RFC 6455 §5 to §7).
///
/// Pings are answered by themselves. A peer that does not take what is sent to it is cut off beyond `unsentLimitBytes`:
/// whoever sends can look at `isCongested` and wait for `onDrained`. A peer that ends its half without saying goodbye
/// is gone: it can answer neither a ping nor a close, so nothing is kept for it any longer.
///
/// ```
///   open ──close()──▶ closing ──the peer's close──▶ over      onClosed is called once, whoever began
///     └──the peer's close, a violation, the connection's end──▶ over
/// ```
public final class WebSocketConnection: StreamHandler {
    public struct Options: Sendable {
        /// Bytes of one message.
        public var messageLimitBytes = 1 << 20
        public var unsentLimitBytes = 4 << 20
        /// A ping is sent this often, and one that nothing came after by the next ends the connection, unless the peer
        /// is taking what was sent before it; nil for none.
        public var pingInterval: LabDuration?
        /// How long the peer has to answer a close.
        public var closeTimeout = LabDuration.seconds(5)

        public init() {}
    }

    public let node: Node
    private let options: Options
    private var reader: WebSocketReader
    private var stream: Stream?
    private var hasSentClose = false
    private var hasHeard = true
    /// Bytes that the peer had taken when it was pinged, where others still lay before the ping.
    private var takenBeforePing: Int?
    private var timer: TimerID?
    private let role: WebSocketRole
    /// Called when it is over, for whoever keeps a list of them.
    var onOver: (() -> Void)?

    public var onText: ((String) -> Void)?
    public var onBinary: (([UInt8]) -> Void)?
    public var onPong: (([UInt8]) -> Void)?
    /// There is room for more.
    public var onDrained: (() -> Void)?
    /// It is over. A code and a reason if the peer gave some, or broke the protocol.
    public var onClosed: ((WebSocketCloseCode?, String) -> Void)?

    init(_ node: Node, _ role: WebSocketRole, _ options: Options) {
        self.node = node
        self.role = role
        self.options = options
        reader = WebSocketReader(role, messageLimitBytes: options.messageLimitBytes)
    }

    /// The handshake is done: the stream is this one's.
    func begin(_ stream: Stream) {
        self.stream = stream
        // What has ended before the handshake was answered does not end again. The caller first says what it wants to
        // hear.
        if stream.hasPeerEnded { node.enqueue { [weak self] in self?.lostPeer() } }
        schedulePing()
    }

    public var isOpen: Bool { stream != nil && !hasSentClose }
    public var isCongested: Bool { stream?.isCongested ?? false }

    // MARK: Sending

    /// - Returns: false if it could not be sent, because the connection is over or the peer takes nothing.
    @discardableResult
    public func send(_ text: String) -> Bool { send(.text, Array(text.utf8)) }
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool { send(.binary, bytes) }
    /// - Parameter bytes: at most 125; what is more is left out.
    @discardableResult
    public func ping(_ bytes: [UInt8] = []) -> Bool {
        send(.ping, Array(bytes.prefix(WebSocketWriter.controlLimitBytes)))
    }

    private func send(_ opcode: WebSocketOpcode, _ payload: [UInt8]) -> Bool {
        guard isOpen, let stream else { return false }
        guard stream.unsentByteCount + payload.count <= options.unsentLimitBytes else {
            over(nil, "the peer takes nothing", resets: true)
            return false
        }
        var frame: [UInt8] = []
        WebSocketWriter.frame(opcode, payload, mask: mask(), into: &frame)
        stream.write(frame)
        return true
    }

    private func mask() -> UInt32? {
        role == .client ? node.draw { UInt32(truncatingIfNeeded: $0.next()) } : nil
    }

    /// Says goodbye; `onClosed` comes when the peer has answered, or has had time to.
    public func close(_ code: WebSocketCloseCode? = .normal, _ reason: String = "") {
        guard isOpen, let stream else { return }
        hasSentClose = true
        var frame: [UInt8] = []
        WebSocketWriter.close(code, reason, mask: mask(), into: &frame)
        stream.write(frame)
        node.cancel(timer)
        timer = node.after(options.closeTimeout) { [weak self] in
            self?.over(nil, "the peer has not answered the close", resets: self?.hasUnsent ?? false)
        }
    }

    private func schedulePing() {
        guard let interval = options.pingInterval else { return }
        timer = node.after(interval) { [weak self] in
            guard let self, isOpen, let stream else { return }
            let taken = stream.bytesSent - stream.unsentByteCount
            let isTaking = takenBeforePing.map { taken > $0 } ?? false
            if !hasHeard, !isTaking { return over(nil, "the peer is silent", resets: true) }
            hasHeard = false
            takenBeforePing = hasUnsent ? taken : nil
            ping()
            schedulePing()
        }
    }

    // MARK: StreamHandler

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        hasHeard = true
        var position = 0
        while self.stream != nil {
            switch reader.next(bytes, &position) {
            case .needMore: return
            case .text(let text): if !hasSentClose { onText?(text) }
            case .binary(let bytes): if !hasSentClose { onBinary?(bytes) }
            case .ping(let bytes): _ = send(.pong, bytes)
            case .pong(let bytes): onPong?(bytes)
            case .closed(let code, let reason):
                answerClose(code)
                return over(code, reason)
            case .failed(let code, let text):
                answerClose(code, text)
                return over(code, text)
            }
        }
    }

    private func answerClose(_ code: WebSocketCloseCode?, _ reason: String = "") {
        guard !hasSentClose, let stream else { return }
        hasSentClose = true
        var frame: [UInt8] = []
        WebSocketWriter.close(code, reason, mask: mask(), into: &frame)
        stream.write(frame)
    }

    public func streamEnded(_ stream: Stream) { lostPeer() }
    public func streamDrained(_ stream: Stream) { if isOpen { onDrained?() } }
    public func stream(_ stream: Stream, closed reason: CloseReason) { over(nil, "the connection ended") }

    private var hasUnsent: Bool { (stream?.unsentByteCount ?? 0) > 0 }

    private func lostPeer() { over(nil, "the connection ended", resets: hasUnsent) }

    private func over(_ code: WebSocketCloseCode?, _ reason: String, resets: Bool = false) {
        guard let stream else { return }
        self.stream = nil
        node.cancel(timer)
        timer = nil
        resets ? stream.abort() : stream.close()
        let callback = onClosed
        (onText, onBinary, onPong, onDrained, onClosed) = (nil, nil, nil, nil, nil)
        onOver?()
        onOver = nil
        callback?(code, reason)
    }
}

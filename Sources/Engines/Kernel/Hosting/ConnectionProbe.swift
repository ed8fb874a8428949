import KernelStructures
import KernelWorld

/// A check that is content with a connection, and with TLS where that is spoken.
public final class ConnectionProbe: StreamHandler {
    private let node: Node
    private let destination: HostPort
    private let preamble: [UInt8]
    private let security: (any StreamSecurity)?
    private let timeout: LabDuration
    private var report: ((_ failure: String?) -> Void)?
    private var stream: Stream?
    private var timer: TimerID?

    /// - Parameters:
    ///   - preamble: what the connection begins with: a PROXY header.
    ///   - report: called once, never before `start` has returned: why there is no connection, nil if there was one.
    public init(
        _ node: Node, _ destination: HostPort, preamble: [UInt8] = [], security: (any StreamSecurity)? = nil,
        timeout: LabDuration, report: @escaping (_ failure: String?) -> Void
    ) {
        self.node = node
        self.destination = destination
        self.preamble = preamble
        self.security = security
        self.timeout = timeout
        self.report = report
    }

    public func start() {
        waitForAnswer()
        do throws(NetworkError) {
            let stream = try node.connect(to: destination, handler: self)
            self.stream = stream
            if !preamble.isEmpty { stream.write(preamble) }
            if let security { stream.secure(with: security, host: destination.host) }
        } catch {
            node.enqueue { [self] in finish("\(error)") }
        }
    }

    private func waitForAnswer() {
        timer = node.after(timeout) { [self] in
            // A check that has not begun yet, for want of a descriptor here, says nothing about the server.
            if stream?.isHeldBack == true { waitForAnswer() } else { finish("timeout") }
        }
    }

    private func finish(_ failure: String?) {
        guard let report else { return }
        self.report = nil
        node.cancel(timer)
        stream?.close()
        report(failure)
    }

    public func streamOpened(_ stream: Stream) { finish(nil) }
    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}
    public func stream(_ stream: Stream, closed reason: CloseReason) {
        switch reason {
        case .refused: finish("connection refused")
        case .securityFailed: finish(stream.layer?.failureText ?? "TLS failed")
        default: finish("not reachable")
        }
    }
}

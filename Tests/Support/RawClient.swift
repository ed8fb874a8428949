import KernelStructures
import KernelWire
import KernelWorld

/// A client that writes what it is told and keeps what it hears.
public final class RawClient: StreamHandler {
    public private(set) var stream: Stream!
    public private(set) var bytes: [UInt8] = []
    public private(set) var hasEnded = false
    public private(set) var closed: CloseReason?
    public var onReceived: (() -> Void)?

    public init(_ node: Node, _ host: String, _ port: UInt16) throws {
        stream = try node.connect(to: HostPort(host: host, port: port), handler: self)
    }

    public init(accepted stream: Stream) { self.stream = stream }

    public var text: String { String(decoding: bytes, as: UTF8.self) }
    public func write(_ text: String) { stream.write(text) }
    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        self.bytes.append(contentsOf: bytes)
        onReceived?()
    }
    public func streamEnded(_ stream: Stream) { hasEnded = true }
    public func stream(_ stream: Stream, closed reason: CloseReason) { closed = reason }

    /// The statuses of the answers so far.
    public var statuses: [Int] { answers.map(\.status) }

    /// The answers so far, the last one perhaps in part.
    public var answers: [(status: Int, head: HTTPHead, body: [UInt8], isComplete: Bool)] {
        var reader = HTTPReader(.responses)
        var result: [(status: Int, head: HTTPHead, body: [UInt8], isComplete: Bool)] = []
        bytes.withUnsafeBytes { input in
            var position = 0
            while true {
                switch reader.next(input, &position) {
                case .head: result.append((reader.head.status, reader.head, [], false))
                case .body(let range): result[result.count - 1].body += input[range]
                case .end: result[result.count - 1].isComplete = true
                case .needMore, .failed: return
                }
            }
        }
        return result
    }

    /// The answers' bodies as text, without the newline at the end.
    public var bodies: [String] {
        answers.map { String(decoding: $0.body, as: UTF8.self) }.map { $0.hasSuffix("\n") ? String($0.dropLast()) : $0 }
    }
}

/// A server that says exactly what a test wants, and keeps what it heard.
public final class ScriptedServer {
    public private(set) var connections: [RawClient] = []
    /// Called whenever bytes have arrived.
    public var onReceived: ((RawClient) -> Void)?
    public var onAccepted: ((RawClient) -> Void)?
    private var listener: Listener?

    public init(_ node: Node, port: UInt16) throws {
        listener = try node.listen(on: port) { [self] stream in
            let connection = RawClient(accepted: stream)
            connection.onReceived = { [self, unowned connection] in onReceived?(connection) }
            connections.append(connection)
            onAccepted?(connection)
            return connection
        }
    }

    /// Answers every complete request without a body by a fixed text; probes of health checks get a 200.
    public func answer(_ text: String) {
        onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n") else { return }
            let isProbe = connection.text.contains("sdlab-health-check")
            connection.write(isProbe ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" : text)
        }
    }

    /// What clients other than health checks sent.
    public var heard: [String] { connections.map(\.text).filter { !$0.contains("sdlab-health-check") && !$0.isEmpty } }
}

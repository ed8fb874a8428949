import KernelService
import KernelStructures
import KernelWorld

/// The echo protocol, RFC 862, over datagrams: whatever comes goes back to where it came from.
///
/// It keeps nothing about anybody, so it shows what the network does and nothing else: what is lost is lost, what is
/// doubled comes back twice.
public final class UDPEcho: Service, DatagramHandler {
    public let runtime: ServiceRuntime
    private let port: UInt16
    private var socket: DatagramSocket?

    public init(node: Node, port: UInt16, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: nil, options: options)
        self.port = port
    }

    public func prepare() throws { socket = try node.bindDatagrams(on: port, handler: self) }
    public func abandonStart() { socket?.close() }

    public func stop(_ done: @escaping () -> Void) {
        socket?.close()
        done()
    }

    public func datagramSocket(
        _ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint
    ) {
        // What came in whole goes out whole.
        try? socket.send(Array(bytes), to: remote)
    }

    public var statistics: [Statistic] {
        [
            .init("received", socket?.receivedCount ?? 0, .counter("echo_received_total", "Datagrams received")),
            .init("sent", socket?.sentCount ?? 0, .counter("echo_sent_total", "Datagrams sent back")),
            .init("dropped", socket?.droppedCount ?? 0, .counter("echo_dropped_total", "Datagrams that found no room")),
        ]
    }
}

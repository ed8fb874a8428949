import KernelStructures
import KernelWorld

/// Syslog over UDP: a message a datagram (RFC 5426). What the store refuses is gone, as its sender expects.
final class SyslogDatagrams: DatagramHandler {
    private unowned let host: LogCollectorHost

    init(_ host: LogCollectorHost) { self.host = host }

    func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {
        var end = bytes.count
        while end > 0, bytes[end - 1] == 10 || bytes[end - 1] == 0 { end -= 1 }
        guard end > 0 else { return }
        let name = host.node.world.nodes.at(remote.address)?.name ?? "\(remote.address)"
        _ = host.takeSyslog(UnsafeRawBufferPointer(rebasing: bytes[..<end]), from: name)
        host.noteWork()
    }
}

import KernelStructures
import KernelWorld
import LogStoreEngine

/// Syslog over UDP: a message a datagram (RFC 5426). What the store refuses is gone, as its sender expects, and
/// said.
final class SyslogDatagrams: DatagramHandler {
    private unowned let host: LogCollectorHost
    /// Since it was said last.
    private var refusedCount = 0
    private var timer: TimerID?

    private static let tellInterval = LabDuration.seconds(10)

    init(_ host: LogCollectorHost) { self.host = host }

    func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {
        var end = bytes.count
        while end > 0, bytes[end - 1] == 10 || bytes[end - 1] == 0 { end -= 1 }
        guard end > 0 else { return }
        let name = host.senderName(remote.address)
        let refusal = host.takeSyslog(UnsafeRawBufferPointer(rebasing: bytes[..<end]), from: name)
        if let refusal { tell(refusal, name) }
        host.noteWork()
    }

    /// The first one at once, and then how many there were, once in a while.
    private func tell(_ refusal: LogRefusal, _ sender: String) {
        refusedCount += 1
        guard timer == nil else { return }
        host.runtime.log("\(sender): a message over UDP is lost: \(refusal.description)", level: .warning)
        refusedCount = 0
        wait()
    }

    private func wait() {
        timer = host.node.after(Self.tellInterval) { [weak self] in
            guard let self else { return }
            timer = nil
            if refusedCount == 0 { return }
            host.runtime.log(
                "\(refusedCount) more messages over UDP were lost in \(Self.tellInterval) (log_lines_refused_total)",
                level: .warning)
            refusedCount = 0
            wait()
        }
    }

    func stop() {
        host.node.cancel(timer)
        timer = nil
    }
}

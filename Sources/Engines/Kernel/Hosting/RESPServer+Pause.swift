import KernelStructures
import KernelWire
import KernelWorld

/// `CLIENT PAUSE`: while it lasts the commands of clients wait, all of them or those that write. Nothing is refused;
/// what a client has sent is carried out when it is over.
struct RESPPause {
    var end: LabTime
    var onlyWrites: Bool
    var timer: TimerID?

    /// A hundred years.
    static let longestMilliseconds = 100 * 365 * 86_400_000
}

extension RESPServer {
    public var isPaused: Bool { pause != nil }

    /// Keeps clients waiting, all of them or those that write; lab time. A pause that is under way is never made
    /// shorter, nor milder.
    public func pause(_ duration: LabDuration, _ onlyWrites: Bool) {
        let end = node.world.now + duration
        var next = RESPPause(end: end, onlyWrites: onlyWrites)
        if let pause {
            next.end = max(end, pause.end)
            next.onlyWrites = onlyWrites && pause.onlyWrites
            node.cancel(pause.timer)
        }
        next.timer = node.after(next.end - node.world.now) { [self] in unpause() }
        pause = next
    }

    /// Lets them go on.
    public func unpause() {
        guard let over = pause else { return }
        pause = nil
        node.cancel(over.timer)
        for connection in openConnections { connection.pauseEnded() }
    }

    /// Whether a command has to wait.
    func isPaused(for command: RESPCommand, of connection: RESPServerConnection) -> Bool {
        guard let pause else { return false }
        if !pause.onlyWrites || command.flags.contains(.write) { return true }
        return command.name == "exec"
            && connection.transaction?.requests.contains { $0.command.flags.contains(.write) } == true
    }
}

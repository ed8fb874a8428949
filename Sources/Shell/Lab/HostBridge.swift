import KernelLoopback
import KernelStructures
import KernelWorld
import ShellSession

/// What a lab may do to the machine around it: run its commands (`!date`), and read and write its files (`put`, `get`).
/// Tests get no bridge, so nothing in them depends on the machine.
public final class HostBridge: HostFiles {
    private let poller: Poller
    private var signals: SignalWatch?
    private var running: [Int32: (Int, String?) -> Void] = [:]

    public init(_ poller: Poller) { self.poller = poller }

    /// Lets a session use the host. A script that somebody else has written gets no bridge, unless its user says so.
    public func connect(_ session: Session) {
        session.hostFiles = NotedHostFiles(self, session)
        session.hostRunner = { [self] line, whenDone in run(line, whenDone) }
    }

    private func run(_ line: String, _ whenDone: @escaping (Int, String?) -> Void) {
        if signals == nil { signals = SignalWatch(poller, [.child]) { [unowned self] _ in collect() } }
        switch HostCommand.start(line) {
        case .success(let process): running[process] = whenDone
        case .failure(let error): whenDone(126, "\(error)")
        }
        collect()
    }

    private func collect() {
        for (process, whenDone) in running {
            guard let status = HostCommand.statusIfEnded(process) else { continue }
            running[process] = nil
            whenDone(status, nil)
        }
    }

    public func read(_ path: String) throws(CommandFailure) -> [UInt8] {
        do { return try HostFile.read(path) } catch { throw CommandFailure("\(error)") }
    }

    public func write(_ bytes: [UInt8], to path: String) throws(CommandFailure) {
        do { try HostFile.write(bytes, to: path) } catch { throw CommandFailure("\(error)") }
    }
}

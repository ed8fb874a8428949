import KernelStructures
import KernelWorld
import LogStoreEngine
import TimeSeriesEngine

/// The lab as its own customer: what its nodes log is taken in, twice a second.
///
/// The journal keeps what happened lately, numbered; so this remembers a number. Its own node's lines are left out:
/// they would be about themselves. A line that a node has logged for a request says which trace that is (`trace_id`).
final class JournalIntake {
    private unowned let host: LogCollectorHost
    private var last: UInt64 = 0
    private var timer: TimerID?

    private static let interval = LabDuration.milliseconds(500)

    init(_ host: LogCollectorHost) { self.host = host }

    func start() {
        timer = host.node.after(Self.interval) { [weak self] in
            self?.take()
            self?.start()
        }
    }

    func stop() { host.node.cancel(timer) }

    private func take() {
        let events = host.node.world.journal.events
        guard !host.isBusy, let newest = events.count > 0 ? events[events.count - 1].number : nil, newest > last else {
            return
        }
        let new = min(events.count, Int(clamping: newest - last))
        for offset in events.count - new..<events.count { take(events[offset]) }
        last = newest
        host.noteWork()
    }

    private func take(_ event: JournalEvent) {
        guard let node = event.node, node != host.node.name, let store = host.store else { return }
        let level: String
        let text: String
        switch event.body {
        case .log(let line):
            level = Self.name(line.level)
            text = line.text
        case .node(let change):
            level = Self.name(change)
            text = "\(node): \(change.rawValue)"
        default: return
        }
        let labels = Labels([("job", "lab"), ("service", node), ("level", level)])
        var metadata = [("event", String(event.number))]
        if let trace = host.node.world.spans.trace(ofLine: event.number) { metadata.append(("trace_id", "\(trace)")) }
        _ = host.noted(
            Array(text.utf8).withUnsafeBytes {
                store.append(labels, event.time.nanoseconds, $0, metadata: Labels(metadata), now: host.now)
            })
    }

    /// A start and an end in order are what somebody wanted.
    private static func name(_ change: JournalEvent.NodeChange) -> String {
        switch change {
        case .started, .stopped, .thawed: "info"
        case .exited, .frozen: "warn"
        case .killed, .lostPower: "error"
        }
    }

    private static func name(_ level: LogLevel) -> String {
        switch level {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warn"
        case .error: "error"
        }
    }
}

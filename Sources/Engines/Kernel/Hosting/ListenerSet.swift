import KernelWorld

/// The places at which a server listens, and whether it accepts there: not while it has as many connections as it may.
/// Those that come meanwhile wait in the backlog, as they do with HAProxy's `maxconn`.
struct ListenerSet {
    private var listeners: [Listener] = []
    /// Connections at a time; nil: any number.
    private(set) var limit: Int?

    mutating func add(_ listener: Listener, open: Int) {
        listeners.append(listener)
        noteOpen(open)
    }

    mutating func close() {
        for listener in listeners { listener.close() }
        listeners = []
    }

    mutating func setLimit(_ limit: Int?, open: Int) {
        self.limit = limit
        noteOpen(open)
    }

    /// So many connections are open now.
    func noteOpen(_ count: Int) {
        let isFull = limit.map { count >= $0 } ?? false
        for listener in listeners { listener.isPaused = isFull }
    }
}

import Glibc
import KernelStructures
import KernelWorld

/// Who may have the descriptors that this process has left.
///
/// ## The problem
///
/// Idle clients take every descriptor there is. Then a balancer cannot connect to its servers any more, takes them for
/// dead, and sends everybody away: its own exhaustion has become everybody else's failure.
///
/// ## How
///
/// Some descriptors are never given to clients: an eighth, or a quarter in a process that makes connections of its own,
/// as proxies do. When accepting has reached them, every listener pauses, and new clients wait in the kernel's backlog,
/// where they cost nothing. A connection that this process itself wants and cannot have waits in line for the next
/// descriptor that is let go, and does not fail. All of it is said once, and once more when it is over.
///
/// ## Where it is wrong
///
/// What is in use is taken from the number that the kernel gives (always the lowest free one), so descriptors above
/// it that are still open are not seen.
final class DescriptorBudget {
    private unowned let transport: SocketTransport
    /// Connections that hold a descriptor.
    private(set) var openCount = 0
    /// Whether listeners wait for descriptors.
    private(set) var isPaused = false
    /// Connections were made from here: more will be.
    private var hasConnected = false
    private var openCountAtPause = 0
    /// Said, and not taken back yet.
    private var isAnnounced = false
    /// Connections of this process's own that wait for a descriptor, first come first served.
    private var line: [Stream] = []
    private var isServingLine = false
    private var timer: TimerID?
    private let limit: Int

    /// How often a paused process looks whether others, its files for instance, have let go of descriptors.
    private static let retryTime = LabDuration.seconds(1)
    private static let leastReserve = 8

    init(transport: SocketTransport) {
        self.transport = transport
        var limits = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)
        limit = Int(clamping: limits.rlim_cur)
    }

    private var reserve: Int { min(limit / 2, max(Self.leastReserve, limit / (hasConnected ? 4 : 8))) }
    private var world: World { transport.network.world }

    /// A client was accepted and holds this descriptor.
    func accepted(_ descriptor: Int32, at node: Node) {
        openCount += 1
        if Int(descriptor) + 1 >= limit - reserve { pause(node) }
    }

    func connected() {
        hasConnected = true
        openCount += 1
    }

    /// The kernel refused a client for want of descriptors.
    func exhausted(at node: Node) { pause(node) }

    /// A connection of this process's own has to wait for a descriptor.
    func wait(_ stream: Stream) {
        stream.isHeldBack = true
        if isServingLine { line.insert(stream, at: 0) } else { line.append(stream) }
        pause(stream.node)
    }

    /// A connection has let go of its descriptor.
    func released() {
        openCount -= 1
        guard isPaused else { return }
        serveLine()
        if line.isEmpty, openCount <= openCountAtPause - max(1, reserve / 4) { resume() }
    }

    private func pause(_ node: Node) {
        if timer == nil { timer = world.after(Self.retryTime) { [weak self] in self?.retry() } }
        guard !isPaused else { return }
        isPaused = true
        openCountAtPause = openCount
        transport.updateAccepting()
        if isAnnounced { return }
        isAnnounced = true
        node.log(
            "lab", "\(openCount) connections, and \(limit) file descriptors: new ones wait (see ulimit -n)",
            level: .warning)
    }

    /// Gives descriptors to the line for as long as there are any.
    private func serveLine() {
        if isServingLine { return }
        isServingLine = true
        defer { isServingLine = false }
        while !line.isEmpty {
            let stream = line.removeFirst()
            stream.isHeldBack = false
            if stream.isClosed { continue }
            transport.connect(stream)
            if stream.isHeldBack { return }
        }
    }

    private func retry() {
        timer = nil
        serveLine()
        // Not if this process's own connections are what keeps it paused: their end says when to go on.
        if line.isEmpty, isPaused, openCount < openCountAtPause || openCount == 0 { resume() }
        // Whoever waited in the backlog has come by now, too, if there was room.
        if isAnnounced, !isPaused, openCount <= openCountAtPause / 2 { announceEnd() }
        if isAnnounced { timer = world.after(Self.retryTime) { [weak self] in self?.retry() } }
    }

    private func resume() {
        isPaused = false
        transport.updateAccepting()
    }

    private func announceEnd() {
        isAnnounced = false
        world.journal.record(
            .log(LogLine(tag: "lab", message: "file descriptors are free again: \(openCount) connections")))
    }
}

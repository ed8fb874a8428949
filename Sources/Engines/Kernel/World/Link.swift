import KernelStructures

/// What the fault rules make of one direction between two nodes.
public struct LinkConditions: Equatable, Sendable {
    public var delay = LabDuration.zero
    public var jitter = LabDuration.zero
    /// 0…1; each loss costs a retransmission timeout, as TCP makes of it.
    public var lossProbability: Double = 0
    /// nil: as fast as the transport.
    public var bytesPerSecond: Int?
    public var corruptionProbability: Double = 0
    /// Of datagrams; TCP repairs both.
    public var duplicateProbability: Double = 0
    public var reorderProbability: Double = 0
    /// Nothing passes until the rule goes.
    public var isBlocked = false
    /// The next bytes reset the connection.
    public var resets = false

    public static let clear = LinkConditions()
    public var isClear: Bool { self == .clear }

    func sampleDelay(_ random: inout SeededRandom) -> LabDuration {
        if delay == .zero, jitter == .zero { return .zero }
        return max(.zero, delay + random.jitter(jitter))
    }

    /// How much later than its turn a chunk arrives: delay, jitter, and a retransmission for each time it was lost.
    func sampleArrival(_ random: inout SeededRandom) -> LabDuration {
        var total = sampleDelay(&random)
        var timeout = Self.retransmissionTimeout
        while lossProbability > 0, random.chance(lossProbability), total < Self.giveUpTime {
            total += timeout
            timeout = min(timeout * 2, .seconds(120))
        }
        return total
    }

    /// The shortest retransmission timeout of Linux (`TCP_RTO_MIN`); it doubles with each loss in a row.
    static let retransmissionTimeout = LabDuration.milliseconds(200)
    /// Bytes that may be under way at once: what the line holds at its rate (bandwidth × delay) and a buffer before it.
    ///
    /// As TCP's windows grow until the line is full, latency alone takes no bandwidth. Slow start is not played: the
    /// window is there from the first byte. Where no rate is set, only the limit bounds it.
    var windowBytes: Int {
        let longest = delay + jitter
        guard longest > .zero else { return Stream.highWaterBytes }
        guard let bytesPerSecond else { return Self.windowLimitBytes }
        let product = Double(bytesPerSecond) * longest.seconds
        return min(Self.windowLimitBytes, Stream.highWaterBytes + (Int(exactly: product.rounded()) ?? .max / 2))
    }

    /// The largest window of one direction of a connection.
    static let windowLimitBytes = 64 << 20
    /// From so many bytes on, under way on all lines of a world together, windows are no larger than without latency.
    static let windowBudgetBytes = 256 << 20

    /// How long Linux goes on sending into the dark before it gives the connection up (`tcp_retries2` = 15).
    static let giveUpTime = LabDuration.milliseconds(924_600)
}

/// One direction of one connection while fault rules concern it: bytes wait here for their time.
///
/// A stream keeps its order, as TCP does: what was sent first arrives first, however the delays fall. When the rules
/// change, what waits is judged again, so that a rule acts at once on what is under way and its end sets all free.
///
/// What has arrived where nobody takes it (a transport that is full, an owner that has paused) stays here, and so
/// counts against the window: memory is bounded by `windowLimitBytes` a direction, and `windowBudgetBytes` in all.
final class Link {
    enum Direction { case egress, ingress }

    private enum Content {
        case bytes([UInt8])
        case end
        /// The owner is gone: the connection ends when this has arrived.
        case close(CloseManner)
    }

    private struct Item {
        var content: Content
        var arrival: LabTime
        let cause: UInt64
    }

    private unowned let stream: Stream
    private let direction: Direction
    private(set) var conditions: LinkConditions
    private let total: LineTotal
    private var queue = RingQueue<Item>()
    private(set) var byteCount = 0 {
        didSet { total.byteCount += byteCount - oldValue }
    }
    private var lastArrival: LabTime
    /// When the throttled line has sent all it was given.
    private var lineFree: LabTime
    private var timer: TimerID?
    private var giveUpTimer: TimerID?

    init(stream: Stream, direction: Direction, conditions: LinkConditions) {
        self.stream = stream
        self.direction = direction
        self.conditions = conditions
        total = stream.network.lineTotal
        let now = stream.node.world.now
        lastArrival = now
        lineFree = now
    }

    private var world: World { stream.node.world }
    var isEmpty: Bool { queue.isEmpty }
    /// Bytes that may wait here, and at an egress in the transport's way as well, before whoever sends has to stop.
    var windowBytes: Int {
        total.byteCount < LinkConditions.windowBudgetBytes ? conditions.windowBytes : Stream.highWaterBytes
    }
    /// An ingress link that is full stops reading from the transport, so that the peer feels it.
    var isFull: Bool { byteCount >= windowBytes }
    /// Whether its far end takes nothing more at present.
    private var isHeld: Bool {
        if direction == .egress { return !stream.unsent.isEmpty }
        return stream.isReadingPaused && stream.phase == .open && stream.layer?.isOpening != true
    }
    /// Whether bytes here are still on their way: neither arrived where nobody takes them, nor gone.
    var isUnderWay: Bool { queue.first.map { $0.arrival > world.now || !isHeld } ?? false }

    /// A reset needs no room at the far end, and takes with it what waits for some.
    private var pendingReset: LabTime? {
        guard isHeld, let last = queue.isEmpty ? nil : queue[queue.count - 1], case .close(.reset) = last.content
        else { return nil }
        return last.arrival
    }

    deinit { total.byteCount -= byteCount }

    /// - Parameter cause: the journal event that the bytes are.
    func push(_ bytes: UnsafeRawBufferPointer, cause: UInt64) {
        if conditions.resets {
            let stream = stream
            stream.node.enqueue { stream.resetByFault() }
            return
        }
        if let bytesPerSecond = conditions.bytesPerSecond {
            // A slow line delivers steadily, not everything at the end.
            let piece = max(1024, min(64 * 1024, bytesPerSecond / 20))
            if bytes.count > piece {
                for start in stride(from: 0, to: bytes.count, by: piece) {
                    append(
                        UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + piece, bytes.count)]), cause: cause)
                }
                return
            }
        }
        append(bytes, cause: cause)
    }

    private func append(_ bytes: UnsafeRawBufferPointer, cause: UInt64) {
        var copy = Array(bytes)
        if conditions.corruptionProbability > 0 {
            stream.node.draw { random in
                guard random.chance(conditions.corruptionProbability) else { return }
                copy[random.below(copy.count)] ^= UInt8(1 << random.below(8))
            }
        }
        byteCount += copy.count
        append(.bytes(copy), cause: cause)
        if isFull, direction == .ingress { stream.updateReading() }
    }

    func pushEnd() { append(.end, cause: world.journal.currentCause) }
    func pushClose(_ manner: CloseManner) { append(.close(manner), cause: world.journal.currentCause) }

    private func append(_ content: Content, cause: UInt64) {
        queue.append(Item(content: content, arrival: arrival(of: content), cause: cause))
        if queue.count == 1 { waitForFirst() }
    }

    private func arrival(of content: Content) -> LabTime {
        var time = world.now
        if let bytesPerSecond = conditions.bytesPerSecond, case .bytes(let bytes) = content {
            time = max(time, lineFree) + .seconds(Double(bytes.count) / Double(max(1, bytesPerSecond)))
            lineFree = time
        }
        time = time + stream.node.draw { conditions.sampleArrival(&$0) }
        lastArrival = max(lastArrival, time)
        return lastArrival
    }

    func change(to newConditions: LinkConditions) {
        if newConditions == conditions { return }
        conditions = newConditions
        lastArrival = world.now
        lineFree = world.now
        var waiting = queue
        queue.removeAll()
        while var item = waiting.popFirst() {
            // What a new rule would delay further was sent before it came, so it keeps the earlier of the two times.
            item.arrival = min(max(item.arrival, world.now), arrival(of: item.content))
            queue.append(item)
        }
        waitForFirst()
    }

    private func waitForFirst() {
        world.cancel(timer)
        timer = nil
        updateGiveUp()
        guard !conditions.isBlocked, let first = queue.first else { return }
        guard let time = isHeld ? pendingReset : first.arrival else { return }
        timer = world.after(time - world.now) { [weak self] in self?.deliver() }
    }

    /// A sender into a blocked line does not try for ever.
    private func updateGiveUp() {
        guard conditions.isBlocked, !queue.isEmpty, direction == .egress else {
            world.cancel(giveUpTimer)
            giveUpTimer = nil
            return
        }
        if giveUpTimer != nil { return }
        giveUpTimer = world.after(LinkConditions.giveUpTime) { [weak self] in self?.stream.transportFailed(.timedOut) }
    }

    /// Its far end takes bytes again.
    func resume() { if timer == nil, !queue.isEmpty { waitForFirst() } }

    private func deliver() {
        timer = nil
        let stream = stream
        if direction == .ingress, stream.node.isFrozen {
            // Whoever would take it in stands still, and gets it when it moves again.
            world.perform(life: stream.node.life, cause: world.journal.currentCause) { [weak self] in self?.deliver() }
            return
        }
        if let pendingReset, pendingReset <= world.now, !conditions.isBlocked {
            queue.removeAll()
            byteCount = 0
            return stream.lineEnded(.reset)
        }
        while let first = queue.first, first.arrival <= world.now, !conditions.isBlocked, !isHeld {
            _ = queue.popFirst()
            world.journal.withCause(first.cause) { deliver(first, to: stream) }
            if stream.isClosed, !stream.isOrphan { return }
        }
        if direction == .egress { stream.notifyIfDrained() } else { stream.updateReading() }
        if queue.isEmpty, conditions.isClear { stream.drop(self) } else { waitForFirst() }
    }

    private func deliver(_ item: Item, to stream: Stream) {
        switch item.content {
        case .bytes(let bytes):
            byteCount -= bytes.count
            bytes.withUnsafeBytes {
                direction == .egress ? stream.sendNow($0, cause: item.cause) : stream.receive($0)
            }
        case .end:
            if direction == .egress { stream.sendEndIfFlushed() } else { stream.receiveEnd() }
        case .close(let manner):
            stream.lineEnded(manner)
        }
    }
}

/// Bytes that fault rules hold up on all lines of a world together.
final class LineTotal {
    var byteCount = 0
}

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
    /// How long Linux goes on sending into the dark before it gives the connection up (`tcp_retries2` = 15).
    static let giveUpTime = LabDuration.milliseconds(924_600)
}

/// One direction of one connection while fault rules concern it: bytes wait here for their time.
///
/// A stream keeps its order, as TCP does: what was sent first arrives first, however the delays fall. When the rules
/// change, what waits is judged again, so that a rule acts at once on what is under way and its end sets all free.
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
    private var queue = RingQueue<Item>()
    private(set) var byteCount = 0
    private var lastArrival: LabTime
    /// When the throttled line has sent all it was given.
    private var lineFree: LabTime
    private var timer: TimerID?
    private var giveUpTimer: TimerID?

    init(stream: Stream, direction: Direction, conditions: LinkConditions) {
        self.stream = stream
        self.direction = direction
        self.conditions = conditions
        let now = stream.node.world.now
        lastArrival = now
        lineFree = now
    }

    private var world: World { stream.node.world }
    var isEmpty: Bool { queue.isEmpty }
    /// An ingress link that is full stops reading from the transport, so that the peer feels it.
    var isFull: Bool { byteCount >= Stream.highWaterBytes }

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
        timer = world.after(first.arrival - world.now) { [weak self] in self?.deliver() }
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

    private func deliver() {
        timer = nil
        let stream = stream
        if direction == .ingress, stream.node.isFrozen {
            // Whoever would take it in stands still, and gets it when it moves again.
            world.perform(life: stream.node.life, cause: world.journal.currentCause) { [weak self] in self?.deliver() }
            return
        }
        while let first = queue.first, first.arrival <= world.now, !conditions.isBlocked {
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

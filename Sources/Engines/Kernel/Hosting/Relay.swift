import KernelStructures
import KernelWorld

/// Two connections joined into one: what arrives at either end leaves at the other, an end is passed on as an end, a
/// reset as a reset, and a slow reader slows the sender down.
///
/// At most one high-water mark of bytes is held for each direction.
public final class Relay: StreamHandler {
    private let left: Stream
    private let right: Stream
    /// Called once, when both connections are over; true if both ended in good order.
    public var onClose: ((_ isOrderly: Bool) -> Void)?
    /// How it ended, once it has.
    public private(set) var ending = Ending.orderly
    public private(set) var bytesFromLeft = 0
    public private(set) var bytesFromRight = 0
    private let idleTimeout: LabDuration
    private var idleTimer: TimerID?
    private var bytesAtLastCheck = 0

    public enum Ending: Sendable {
        /// Both sides have said all they had to say.
        case orderly
        /// One side broke off.
        case leftBroke, rightBroke
        /// Neither said anything for too long.
        case idle
    }

    /// Joins two streams; `right` may still be connecting. Neither may have ended yet.
    ///
    /// - Parameter idleTimeout: both are reset when neither has said anything for so long, or up to twice as long:
    ///   bytes are only counted as they pass, and looked at when a timer fires.
    public init(_ left: Stream, _ right: Stream, idleTimeout: LabDuration = .infinite) {
        self.left = left
        self.right = right
        self.idleTimeout = idleTimeout
    }

    /// Takes both streams over from their handlers.
    public func start() {
        left.setHandler(self)
        right.setHandler(self)
        if left.isClosed || right.isClosed { return close(afterReset: true) }
        if left.hasPeerEnded { right.finish() }
        if right.hasPeerEnded { left.finish() }
        left.forwardsTo = right
        right.forwardsTo = left
        left.resumeReading()
        right.resumeReading()
        if idleTimeout < .infinite { watch() }
    }

    private func watch() {
        bytesAtLastCheck = bytesFromLeft + bytesFromRight
        idleTimer = left.node.after(idleTimeout) { [self] in
            if bytesFromLeft + bytesFromRight != bytesAtLastCheck { return watch() }
            ending = .idle
            close(afterReset: true)
        }
    }

    private func other(_ stream: Stream) -> Stream { stream === left ? right : left }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        if stream === left { bytesFromLeft += bytes.count } else { bytesFromRight += bytes.count }
        let target = other(stream)
        target.write(bytes)
        if target.isCongested { stream.pauseReading() }
    }

    public func stream(_ stream: Stream, forwarded byteCount: Int) {
        if stream === left { bytesFromLeft += byteCount } else { bytesFromRight += byteCount }
    }

    public func streamDrained(_ stream: Stream) { other(stream).resumeReading() }

    public func streamLost(_ stream: Stream) { onClose = nil }

    public func streamEnded(_ stream: Stream) { other(stream).finish() }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        if reason == .finished {
            // This side is done in both directions; the other may still be sending what it holds.
            let other = other(stream)
            other.close()
            // Over is what has delivered everything; nobody who counts connections may count this one out before.
            if other.isClosed || onClose == nil { report(true) } else { other.onEnd = { [self] in report(true) } }
        } else {
            ending = stream === left ? .leftBroke : .rightBroke
            close(afterReset: true)
        }
    }

    private func close(afterReset: Bool) {
        left.abort()
        right.abort()
        report(!afterReset)
    }

    private func report(_ isOrderly: Bool) {
        left.node.cancel(idleTimer)
        let callback = onClose
        onClose = nil
        callback?(isOrderly)
    }
}

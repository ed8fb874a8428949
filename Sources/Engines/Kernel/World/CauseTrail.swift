import KernelStructures

/// Which journal event each stretch of waiting bytes came from.
///
/// Bytes that wait (for room, for a reader, inside the kernel) are taken out in other pieces than they were put in.
/// The trail remembers where each message ended, so that whoever takes bytes out learns which message completed them,
/// however late and on whose account that happens.
package struct CauseTrail {
    /// Stretches of neighbouring bytes with one cause, oldest first.
    private var stretches = RingQueue<Stretch>()
    /// The newest stretch, which may still grow; it is not in the queue.
    private var newest: Stretch?
    /// Bytes of the oldest stretch that were taken out already.
    private var taken = 0

    private struct Stretch {
        var byteCount: Int
        var cause: UInt64
    }

    /// Stretches that are told apart; beyond it the newest ones count as one message, the latest.
    package static let limit = 4096

    package init() {}

    package var isEmpty: Bool { newest == nil && stretches.isEmpty }

    package mutating func append(_ byteCount: Int, cause: UInt64) {
        guard byteCount > 0 else { return }
        guard let last = newest else {
            newest = Stretch(byteCount: byteCount, cause: cause)
            return
        }
        if last.cause == cause || stretches.count >= Self.limit {
            newest = Stretch(byteCount: last.byteCount + byteCount, cause: cause)
        } else {
            stretches.append(last)
            newest = Stretch(byteCount: byteCount, cause: cause)
        }
    }

    /// The oldest bytes that have one cause.
    package var first: (byteCount: Int, cause: UInt64)? {
        (stretches.first ?? newest).map { ($0.byteCount - taken, $0.cause) }
    }

    /// Takes out the oldest bytes.
    ///
    /// - Returns: the cause of the last of them; nil if there were none.
    @discardableResult
    package mutating func consume(_ byteCount: Int) -> UInt64? {
        var rest = byteCount
        var cause: UInt64?
        while rest > 0, let oldest = first {
            cause = oldest.cause
            if rest < oldest.byteCount {
                taken += rest
                return cause
            }
            rest -= oldest.byteCount
            taken = 0
            if stretches.popFirst() == nil { newest = nil }
        }
        return cause
    }

    package mutating func removeAll() { self = CauseTrail() }
}

/// What the bytes and the end that a stream still holds were caused by. Streams have one only where traffic is
/// recorded: elsewhere nobody would read it.
final class StreamCauses {
    var unsent = CauseTrail()
    /// Of the newest of the gathered writes.
    var corked: UInt64 = 0
    var end: UInt64 = 0
}

import KernelStructures
import KernelWorld

/// Datagrams of the lab's own that are under way inside the kernel.
///
/// A stream's bytes all come out in the end. A datagram may not: the kernel drops it without a word when the receiver's
/// queue is full, and a clock that waits for it would stand still. So a datagram is taken off the ledger by its
/// receipt, by the end of its receiver, or by the receiver's own count of what the kernel dropped.
///
/// Loopback keeps the order of what one socket is sent, so what comes out is found near the front; whatever stands
/// before it was dropped.
package final class DatagramLedger {
    package struct Entry {
        /// The sender's socket as the kernel knows it.
        let source: Endpoint
        let byteCount: Int
        /// The sender's address as the lab shows it.
        let shown: Endpoint
        /// The journal event that it is.
        let cause: UInt64

        package init(source: Endpoint, byteCount: Int, shown: Endpoint, cause: UInt64) {
            self.source = source
            self.byteCount = byteCount
            self.shown = shown
            self.cause = cause
        }
    }

    /// What is under way to one socket.
    package final class Flow {
        fileprivate var entries = RingQueue<Entry>()
        fileprivate let dropCount: () -> Int
        /// Drops that were taken off already.
        fileprivate var settledDrops = 0
        fileprivate var isListed = false
        fileprivate var isRetired = false
        package fileprivate(set) var byteCount = 0
        package var count: Int { entries.count }

        /// - Parameter dropCount: how many datagrams the kernel has dropped at that socket so far.
        package init(dropCount: @escaping () -> Int) { self.dropCount = dropCount }

        fileprivate func clear() {
            entries.removeAll()
            byteCount = 0
        }
    }

    /// Flows with something under way, in the order in which it began.
    private var busy: [Flow] = []

    package init() {}

    /// Whether anything is still to come. Asks the kernel what it dropped.
    package var isBusy: Bool {
        busy.removeAll { flow in
            if !flow.entries.isEmpty {
                let drops = flow.dropCount()
                if drops - flow.settledDrops >= flow.entries.count {
                    flow.settledDrops = drops
                    flow.clear()
                }
            }
            flow.isListed = !flow.entries.isEmpty
            return !flow.isListed
        }
        return !busy.isEmpty
    }

    package func sent(_ entry: Entry, _ flow: Flow) {
        if flow.isRetired { return }
        flow.entries.append(entry)
        flow.byteCount += entry.byteCount
        if !flow.isListed { busy.append(flow) }
        flow.isListed = true
    }

    /// The entry of a datagram that has come out; nil for one from outside the lab.
    package func received(from source: Endpoint, byteCount: Int, _ flow: Flow) -> Entry? {
        let place = (0..<flow.entries.count).first {
            flow.entries[$0].source == source && flow.entries[$0].byteCount == byteCount
        }
        guard let place else { return nil }
        for _ in 0..<place { flow.byteCount -= flow.entries.popFirst()?.byteCount ?? 0 }
        flow.settledDrops += place
        let entry = flow.entries.popFirst()
        flow.byteCount -= byteCount
        return entry
    }

    /// The receiver is gone, and with it all that was under way to it.
    package func retire(_ flow: Flow) {
        flow.isRetired = true
        flow.clear()
    }

    /// Takes all that is missing as lost.
    package func forget() {
        for flow in busy {
            flow.clear()
            flow.isListed = false
        }
        busy = []
    }
}

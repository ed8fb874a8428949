import KernelStructures

/// A slot that is read so much that other nodes than those of its copies have one, too, to be read from.
public struct HotSlot: Equatable, Sendable {
    public let slot: Int
    /// The nodes that were asked to keep a copy for readers, besides those whose copies count.
    public internal(set) var readers: [ClusterNodeID]
    /// Of the last second, at the owner and at all who told of theirs.
    public internal(set) var readsPerSecond: Int
}

/// How often slots were read, and which of them that makes hot.
///
/// ## The problem
///
/// Slots spread keys over nodes; one key cannot be spread. Whoever has the page that everybody wants to see today has
/// all of its readers, and a cluster of a hundred nodes is as fast as that one. More copies of that slot help, because
/// reads can go to any of them: but they cost memory and traffic, so they are to be given back, and a slot that is just
/// at the limit must not be copied and thrown away every other second.
///
/// ## An everyday picture
///
/// A ticket office with one counter for each letter of the alphabet. On the day of a certain singer's concert the queue
/// at M goes round the block. So the clerks next door get a list of M's seats, and whoever only wants to *look* may ask
/// any of them. Seats are still sold at M alone. In the evening the lists are thrown away, but not after the first
/// minute without a queue.
///
/// ## How
///
/// Reads are counted by slot, and looked at once a second. A slot is hot when it had `threshold` reads in each of two
/// seconds one after another, at its owner and its copies together (those tell theirs with their heartbeats), and until
/// it has had less than half of that for ten seconds. There are `limit` of them at most; where more would be hot, those
/// that are come first.
///
/// ## Where it is wrong
///
/// What is counted are reads, not their cost. And a slot's readers may see what was there up to a node timeout ago:
/// only clients that say READONLY are sent to them.
struct HotSlots {
    /// Hot slots of one owner at a time.
    static let limit = 16
    /// Seconds in a row above the threshold that make a slot hot, and below half of it that make it cool.
    static let heatingSeconds = 2
    static let coolingSeconds = 10
    /// Slots with more keys are not copied for readers.
    static let keyLimit = 100_000

    /// Reads in a second; 0: slots are never hot.
    let threshold: Int
    /// Reads here, since they were last looked at.
    private var counts: [UInt32]
    /// Reads here in the last second, where they matter.
    private(set) var rates: [Int: Int] = [:]
    /// For how many seconds in a row a slot has been above the threshold, or a hot one below half of it.
    private var streaks: [Int: Int] = [:]
    /// This node's own, in ascending order.
    var hot: [HotSlot] = []
    private var countedAt: LabTime?

    init(threshold: Int) {
        self.threshold = threshold
        counts = threshold > 0 ? [UInt32](repeating: 0, count: SlotSet.slotCount) : []
    }

    var isOn: Bool { threshold > 0 }

    @inline(__always) mutating func count(_ slot: Int) { counts[slot] &+= 1 }

    /// Closes the second if it is over.
    ///
    /// - Returns: whether it was.
    mutating func closeSecond(now: LabTime) -> Bool {
        guard let since = countedAt else {
            countedAt = now
            return false
        }
        let seconds = (now - since).milliseconds / 1000
        guard seconds >= 1 else { return false }
        countedAt = now
        rates = [:]
        for slot in counts.indices where counts[slot] != 0 {
            rates[slot] = Int(Double(counts[slot]) / seconds)
            counts[slot] = 0
        }
        return true
    }

    /// Which of these slots have become hot, and which of the hot ones have cooled.
    ///
    /// - Parameter total: reads a second of a slot, wherever they were.
    mutating func judge(_ served: SlotSet, total: (Int) -> Int, mayBeHot: (Int) -> Bool)
        -> (heated: [Int], cooled: [Int])
    {
        var next: [Int: Int] = [:]
        var cooled: [Int] = []
        for index in hot.indices {
            let slot = hot[index].slot
            hot[index].readsPerSecond = total(slot)
            guard served.contains(slot) else {
                cooled.append(slot)
                continue
            }
            let streak = hot[index].readsPerSecond * 2 < threshold ? (streaks[slot] ?? 0) + 1 : 0
            if streak >= Self.coolingSeconds { cooled.append(slot) } else { next[slot] = streak }
        }
        var heated: [(slot: Int, rate: Int)] = []
        for slot in rates.keys where served.contains(slot) && next[slot] == nil && !cooled.contains(slot) {
            let rate = total(slot)
            guard rate >= threshold, mayBeHot(slot) else { continue }
            let streak = (streaks[slot] ?? 0) + 1
            next[slot] = streak
            if streak >= Self.heatingSeconds { heated.append((slot, rate)) }
        }
        streaks = next
        hot.removeAll { cooled.contains($0.slot) }
        heated.sort { ($0.rate, $1.slot) > ($1.rate, $0.slot) }
        let admitted = heated.prefix(max(0, Self.limit - hot.count))
        for one in admitted {
            // From here on its streak is that of cooling.
            streaks[one.slot] = 0
            hot.append(HotSlot(slot: one.slot, readers: [], readsPerSecond: one.rate))
        }
        hot.sort { $0.slot < $1.slot }
        return (admitted.map { $0.slot }, cooled)
    }
}

/// Reads a second of a slot, as a node that has a copy of it tells the others.
public struct SlotReads: Equatable, Sendable {
    public var slot: Int
    public var perSecond: Int
}

import KernelStructures

/// A timer that can be cancelled. Cancelling one that has fired, or twice, does nothing.
public struct TimerID: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32
}

/// Work for now and work for later: a first-in-first-out queue and a heap of timers.
///
/// Both transports and every clock mode run on this one structure. Timers of equal time fire in the order in which
/// they were set, so a run depends on nothing but its inputs. Each piece of work carries the life of the node it
/// belongs to (nil: the lab's own) and the journal event that led to it.
struct Scheduler {
    struct Work {
        let life: NodeLife?
        let cause: UInt64
        let action: () -> Void
    }

    private struct Entry: Comparable {
        let time: LabTime
        let sequence: UInt64
        let id: TimerID
        static func < (a: Entry, b: Entry) -> Bool {
            a.time != b.time ? a.time < b.time : a.sequence < b.sequence
        }
    }

    private struct Slot {
        var generation: UInt32 = 0
        var work: Work?
    }

    private var heap = BinaryHeap<Entry>()
    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    private var sequence: UInt64 = 0
    private var cancelledCount = 0
    private(set) var ready = RingQueue<Work>()

    var timerCount: Int { heap.count - cancelledCount }

    mutating func enqueue(_ work: Work) { ready.append(work) }
    mutating func nextReady() -> Work? { ready.popFirst() }

    mutating func schedule(at time: LabTime, _ work: Work) -> TimerID {
        let slot: UInt32
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = UInt32(slots.count)
            slots.append(Slot())
        }
        slots[Int(slot)].work = work
        let id = TimerID(slot: slot, generation: slots[Int(slot)].generation)
        sequence += 1
        heap.insert(Entry(time: time, sequence: sequence, id: id))
        return id
    }

    mutating func cancel(_ id: TimerID) {
        guard release(id) != nil else { return }
        cancelledCount += 1
        if cancelledCount > 1024, cancelledCount > heap.count / 2 { dropCancelled() }
    }

    /// The time of the earliest timer.
    mutating func nextTime() -> LabTime? {
        while let first = heap.first {
            if slots[Int(first.id.slot)].generation == first.id.generation { return first.time }
            _ = heap.removeFirst()
            cancelledCount -= 1
        }
        return nil
    }

    /// Removes the earliest timer if it is due at `now`.
    mutating func popDue(_ now: LabTime) -> (work: Work, id: TimerID)? {
        guard let time = nextTime(), time <= now, let entry = heap.removeFirst() else { return nil }
        return release(entry.id).map { ($0, entry.id) }
    }

    /// The times of the next timers, earliest first, with the nodes they belong to: for failure reports.
    func upcoming(_ limit: Int) -> [(time: LabTime, node: String?)] {
        heap.unordered.filter { slots[Int($0.id.slot)].generation == $0.id.generation }.sorted().prefix(limit).map {
            ($0.time, slots[Int($0.id.slot)].work?.life?.node?.name)
        }
    }

    mutating func removeAll() {
        heap = BinaryHeap()
        slots = []
        freeSlots = []
        ready.removeAll()
        cancelledCount = 0
    }

    private mutating func release(_ id: TimerID) -> Work? {
        let slot = Int(id.slot)
        guard slot < slots.count, slots[slot].generation == id.generation, let work = slots[slot].work else {
            return nil
        }
        slots[slot].work = nil
        slots[slot].generation &+= 1
        freeSlots.append(id.slot)
        return work
    }

    private mutating func dropCancelled() {
        let current = slots
        heap.retain { current[Int($0.id.slot)].generation == $0.id.generation }
        cancelledCount = 0
    }
}

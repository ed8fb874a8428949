import KernelStructures

/// The states of many keys, in bounded memory.
///
/// ## The problem
///
/// Keys come from outside: addresses, tokens, names. Who sends a million requests with a million invented addresses
/// makes a million entries in a map, and dozens of rate limiters have died of the cure for the disease. But a limiter
/// that forgets a key when it is full has been tricked, too: the forgotten key starts again with a full quota.
///
/// ## An everyday picture
///
/// A bartender's slate with room for a hundred names. When it is full he first wipes those who have paid. If nobody
/// has, he wipes the one who owes least, but makes a chalk mark at the table where that guest sits: the next stranger
/// from that table gets nothing on credit until the mark's time is over. Some strangers are wronged. The bar is not.
///
/// ## How
///
/// An open table with linear probing, indexed by a keyed hash (`SipHash`) that stands for the key, so a place is 16
/// bytes and a state. A key *at rest*, whose state says no more than that of a new key, is worth nothing and is removed
/// when the hand that moves round the table meets it. Only if the table is full of keys in use does a live one go, the
/// one of sixteen that is soonest at rest, and what it owed goes into the `DebtSketch`.
package struct KeyTable<Algorithm: LimitingAlgorithm> {
    package struct Slot {
        var high: UInt64
        var low: UInt64
        package var state: Algorithm.State
        /// No digest is 0, 0: see `place`.
        @inline(__always) var isEmpty: Bool { high | low == 0 }
    }

    package private(set) var slots: [Slot]
    private(set) var count = 0
    /// Keys that are kept at most.
    let capacity: Int
    /// Live keys that had to go.
    package private(set) var evicted = 0
    private var hand = 0
    private var debts: DebtSketch

    private static var initialSlots: Int { 64 }
    /// Places that an eviction chooses from.
    private static var evictionSample: Int { 16 }

    package init(capacity: Int) {
        self.capacity = capacity
        let empty = Slot(high: 0, low: 0, state: Algorithm.blank)
        slots = Array(repeating: empty, count: min(Self.initialSlots, Self.slotCount(for: capacity)))
        debts = DebtSketch(capacity: capacity)
    }

    /// A fifth of the places stays empty, so that probes are short.
    private static func slotCount(for keys: Int) -> Int { max(8, keys + keys / 4 + 1) }

    @inline(__always) private func home(_ high: UInt64) -> Int {
        Int(truncatingIfNeeded: high.multipliedFullWidth(by: UInt64(truncatingIfNeeded: slots.count)).high)
    }

    /// The place of a key; nil if it has none.
    @inline(__always) package func find(_ digest: SipHash.Digest) -> Int? {
        var index = home(digest.high)
        return slots.withUnsafeBufferPointer { slots in
            while true {
                let slot = slots[index]
                if slot.high == digest.high, slot.low == digest.low { return index }
                if slot.isEmpty { return nil }
                index += 1
                if index == slots.count { index = 0 }
            }
        }
    }

    /// What a key without a place begins with: nothing owed, unless somebody who owed has been put out.
    @inline(__always) package func arrival(_ digest: SipHash.Digest, _ algorithm: Algorithm, _ now: LabTime)
        -> Algorithm.State
    {
        if evicted > 0, let time = debts.debt(of: digest, now) { return algorithm.indebted(until: time, now) }
        return algorithm.fresh(now)
    }

    @inline(__always) package mutating func update(_ index: Int, _ change: (inout Algorithm.State) -> Void) {
        change(&slots[index].state)
    }

    /// Gives a key that has no place one.
    package mutating func insert(
        _ digest: SipHash.Digest, _ state: Algorithm.State, _ algorithm: Algorithm, _ now: LabTime
    ) {
        // Each newcomer pays by looking at two places, so what is at rest goes as fast as keys come.
        sweep(2, algorithm, now)
        if count >= capacity { makeRoom(algorithm, now) }
        if Self.slotCount(for: count + 1) > slots.count { grow() }
        place(Slot(high: digest.high, low: digest.low, state: state))
        count += 1
    }

    private mutating func place(_ slot: Slot) {
        var index = home(slot.high)
        while !slots[index].isEmpty {
            index += 1
            if index == slots.count { index = 0 }
        }
        slots[index] = slot
    }

    private mutating func grow() {
        var old = slots
        swap(&old, &slots)
        let wanted = min(Self.slotCount(for: capacity), old.count + old.count / 2)
        slots = Array(repeating: Slot(high: 0, low: 0, state: Algorithm.blank), count: wanted)
        for slot in old where !slot.isEmpty { place(slot) }
    }

    // MARK: Forgetting

    private mutating func sweep(_ places: Int, _ algorithm: Algorithm, _ now: LabTime) {
        for _ in 0..<places {
            if hand >= slots.count { hand = 0 }
            if !slots[hand].isEmpty, algorithm.restsAt(slots[hand].state) <= now {
                // Another may have moved up to this place: the hand looks at it again.
                remove(hand)
            } else {
                hand += 1
            }
        }
    }

    private mutating func makeRoom(_ algorithm: Algorithm, _ now: LabTime) {
        var best: (index: Int, time: LabTime)?
        var seen = 0
        while seen < Self.evictionSample {
            if hand >= slots.count { hand = 0 }
            if !slots[hand].isEmpty {
                seen += 1
                let time = algorithm.restsAt(slots[hand].state)
                if best.map({ time < $0.time }) ?? true { best = (hand, time) }
                if time <= now { break }
            }
            hand += 1
        }
        guard let best else { return }
        if best.time > now {
            evicted += 1
            debts.note(SipHash.Digest(high: slots[best.index].high, low: slots[best.index].low), until: best.time)
        }
        remove(best.index)
    }

    /// Empties a place and moves up those behind it that would not be found any more (Knuth 6.4, algorithm R).
    private mutating func remove(_ index: Int) {
        var hole = index
        var next = index
        while true {
            next += 1
            if next == slots.count { next = 0 }
            if slots[next].isEmpty { break }
            let home = home(slots[next].high)
            // Whether `home` lies cyclically in (hole, next]: then the one at `next` is found where it is.
            let isFine = hole <= next ? hole < home && home <= next : hole < home || home <= next
            if isFine { continue }
            slots[hole] = slots[next]
            hole = next
        }
        slots[hole] = Slot(high: 0, low: 0, state: Algorithm.blank)
        count -= 1
    }

    /// Forgets everything.
    mutating func removeAll() { self = KeyTable(capacity: capacity) }

    /// Bytes of the table and the sketch, without what states refer to.
    var byteCount: Int { slots.count * MemoryLayout<Slot>.stride + debts.byteCount }
}

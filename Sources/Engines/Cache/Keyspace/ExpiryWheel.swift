import KernelStructures

/// Which keys end when: a hierarchy of wheels (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987).
///
/// ## The problem
///
/// A million keys with a second to live each, and nobody reads any of them: they have to go all the same, soon, and
/// without anybody looking at keys that still have a year. Redis draws twenty keys by chance, ten times a second, and
/// goes on if many of them were over; so a quarter of what it keeps may be dead, and nobody can say for how long.
///
/// ## An everyday picture
///
/// The hands of a clock. What is due within the minute lies under the second hand, a heap for each second. What is due
/// within the hour lies under the minute hand; when that moves on, its next heap is spread under the second hand.
///
/// ## How
///
/// Six wheels of 64 places; a place of the first is a tick of 64 ms, one of the next 64 times as much. Inserting and
/// removing a key costs O(1), and each key moves down at most five times in its life. An end that is further away than
/// the last wheel's 139 years waits in its last place and is put back.
///
/// So a key is due for deletion at most 64 ms after its end, whatever else there is.
struct ExpiryWheel {
    static let tickMilliseconds = 64
    private static let wheelCount = 6
    private static let nowhere: UInt16 = .max

    private var links = LinkTable()
    private var places = [ItemList](repeating: ItemList(), count: wheelCount * 64)
    /// Which places of a wheel have anything.
    private var occupied = [UInt64](repeating: 0, count: wheelCount)
    /// In which place an item is.
    private var placeOf: ContiguousArray<UInt16> = []
    private var tick = 0
    private(set) var count = 0

    var byteCount: Int {
        count == 0 && placeOf.isEmpty
            ? 0
            : links.byteCount + MemoryCost.array(placeOf.capacity, stride: 2)
                + MemoryCost.array(places.count, stride: MemoryLayout<ItemList>.stride)
    }

    /// The first tick at which an end has passed.
    private static func tick(_ expiry: Int) -> Int { max(0, expiry) / tickMilliseconds + 1 }

    mutating func insert(_ id: ItemID, expiry: Int, now: Int) {
        if count == 0 { tick = max(0, now) / Self.tickMilliseconds }
        if Int(id) >= placeOf.count { grow(Int(id)) }
        count += 1
        place(id, expiry)
    }

    private mutating func grow(_ place: Int) {
        let count = max(1024, placeOf.count * 2, place + 1)
        placeOf.reserveCapacity(count)
        while placeOf.count < count { placeOf.append(Self.nowhere) }
    }

    private mutating func place(_ id: ItemID, _ expiry: Int) {
        let due = max(Self.tick(expiry), tick)
        let distance = due - tick
        var wheel = 0
        while wheel < Self.wheelCount - 1, distance >= 1 << (6 * (wheel + 1)) { wheel += 1 }
        let farthest = tick + 1 << (6 * Self.wheelCount) - 1
        let index = min(due, farthest) >> (6 * wheel) & 63
        let place = wheel * 64 + index
        places[place].append(id, &links)
        placeOf[Int(id)] = UInt16(place)
        occupied[wheel] |= 1 << UInt64(index)
    }

    mutating func remove(_ id: ItemID) {
        let place = Int(placeOf[Int(id)])
        places[place].remove(id, &links)
        placeOf[Int(id)] = Self.nowhere
        if places[place].count == 0 { occupied[place / 64] &= ~(1 << UInt64(place % 64)) }
        count -= 1
    }

    /// The next tick at which something is to be done.
    private var nextTick: Int? {
        var next: Int?
        for wheel in 0..<Self.wheelCount where occupied[wheel] != 0 {
            let position = tick >> (6 * wheel)
            // The first wheel may have something at its present place; what is at those of others is a turn away.
            let first = wheel == 0 ? 0 : 1
            let turned = Self.rotated(occupied[wheel], by: (position + first) & 63)
            let due = (position + first + turned.trailingZeroBitCount) << (6 * wheel)
            next = min(next ?? due, due)
        }
        return next
    }

    private static func rotated(_ bits: UInt64, by count: Int) -> UInt64 {
        count == 0 ? bits : bits >> UInt64(count) | bits << UInt64(64 - count)
    }

    /// Looks at an item that is due again in a while.
    mutating func putOff(_ id: ItemID, until milliseconds: Int) {
        remove(id)
        count += 1
        place(id, milliseconds)
    }

    /// When there is something to do, at the earliest: milliseconds since 1970; nil for never.
    var nextMilliseconds: Int? { nextTick.map { $0 * Self.tickMilliseconds } }

    /// The next item that is due, which stays where it is until it is removed or put off; nil if none is.
    ///
    /// - Parameter expiry: when an item ends.
    mutating func due(now: Int, expiry: (ItemID) -> Int) -> ItemID? {
        let present = max(0, now) / Self.tickMilliseconds
        if present < tick - 1 { rewind(to: present, expiry) }
        while let next = nextTick, next <= present {
            advance(to: next, expiry)
            while true {
                let id = places[tick & 63].first
                if id == 0 { break }
                if expiry(id) <= now { return id }
                // Of a later turn of the last wheel.
                putOff(id, until: expiry(id))
                if placeOf[Int(id)] == UInt16(tick & 63) { return nil }
            }
        }
        tick = max(tick, present)
        return nil
    }

    private mutating func advance(to next: Int, _ expiry: (ItemID) -> Int) {
        let isNew = next > tick
        tick = next
        guard isNew else { return }
        for wheel in stride(from: Self.wheelCount - 1, to: 0, by: -1) where tick & (1 << (6 * wheel) - 1) == 0 {
            let index = tick >> (6 * wheel) & 63
            guard occupied[wheel] & 1 << UInt64(index) != 0 else { continue }
            occupied[wheel] &= ~(1 << UInt64(index))
            var list = ItemList()
            swap(&list, &places[wheel * 64 + index])
            spread(&list, expiry)
        }
    }

    private mutating func spread(_ list: inout ItemList, _ expiry: (ItemID) -> Int) {
        while list.first != 0 {
            let id = list.first
            list.remove(id, &links)
            place(id, expiry(id))
        }
    }

    /// The calendar was put back: everything finds a new place.
    private mutating func rewind(to present: Int, _ expiry: (ItemID) -> Int) {
        var all = ItemList()
        for place in places.indices { all.append(&places[place], &links) }
        occupied = .init(repeating: 0, count: Self.wheelCount)
        tick = present
        spread(&all, expiry)
    }

    /// One of those that end first, by looking at a few of the nearest place.
    func soonest(expiry: (ItemID) -> Int) -> ItemID? {
        for wheel in 0..<Self.wheelCount where occupied[wheel] != 0 {
            let position = tick >> (6 * wheel) + (wheel == 0 ? 0 : 1)
            let turned = Self.rotated(occupied[wheel], by: position & 63)
            let list = places[wheel * 64 + (position + turned.trailingZeroBitCount) & 63]
            var best = list.first
            var next = best
            for _ in 0..<16 where next != 0 {
                if expiry(next) < expiry(best) { best = next }
                next = links[next].behind
            }
            return best
        }
        return nil
    }
}

extension Cache {
    /// When the host has to call `expireSome`: milliseconds since 1970; nil while nothing ends.
    public var nextExpiryMilliseconds: Int? { isReplica ? nil : wheel.nextMilliseconds }

    private static let copyMilliseconds = 1000

    /// Deletes keys whose end has passed, whether anybody has read them or not.
    ///
    /// - Parameter limit: how many at once.
    /// - Returns: how many it were; if as many as the limit, there may be more.
    public func expireSome(limit: Int) -> Int {
        guard !isReplica else { return 0 }
        var count = 0
        while count < limit, let id = wheel.due(now: now, expiry: { slab[$0].pointee.expiry }) {
            // Of a copy the end is only looked at again, in case this cache becomes responsible.
            if mayDelete(id) { expire(id) } else { wheel.putOff(id, until: now + Self.copyMilliseconds) }
            count += 1
        }
        return count
    }
}

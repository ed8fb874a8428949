/// The deliveries of a channel that are not acknowledged, by their numbers, which ascend.
///
/// Acknowledgements come in order most of the time, or for all up to a number at once. So this is a row: looked up by
/// halving, with holes where one was taken out of the middle, and closed up when half of it is holes.
struct UnackedTable {
    private var slots: [Slot] = []
    private var head = 0
    private(set) var count = 0

    private struct Slot {
        let tag: UInt64
        var delivery: UnackedDelivery?
    }

    var isEmpty: Bool { count == 0 }
    /// In order.
    var all: [UnackedDelivery] { slots[head...].compactMap(\.delivery) }

    mutating func append(_ delivery: UnackedDelivery) {
        slots.append(Slot(tag: delivery.tag, delivery: delivery))
        count += 1
    }

    private func index(of tag: UInt64) -> Int? {
        if head < slots.count, slots[head].tag == tag { return slots[head].delivery == nil ? nil : head }
        var low = head
        var high = slots.count
        while low < high {
            let middle = low + (high - low) / 2
            if slots[middle].tag < tag { low = middle + 1 } else { high = middle }
        }
        guard low < slots.count, slots[low].tag == tag, slots[low].delivery != nil else { return nil }
        return low
    }

    mutating func remove(_ tag: UInt64) -> UnackedDelivery? {
        guard let index = index(of: tag), let delivery = slots[index].delivery else { return nil }
        slots[index].delivery = nil
        count -= 1
        closeUp()
        return delivery
    }

    /// All up to that one; nil if there is no such one.
    mutating func removeAll(through tag: UInt64) -> [UnackedDelivery]? {
        guard let last = index(of: tag) else { return nil }
        var result: [UnackedDelivery] = []
        for index in head...last {
            if let delivery = slots[index].delivery { result.append(delivery) }
            slots[index].delivery = nil
        }
        count -= result.count
        closeUp()
        return result
    }

    mutating func removeAll() -> [UnackedDelivery] {
        let result = all
        slots = []
        head = 0
        count = 0
        return result
    }

    /// Puts some back that were taken out: they keep their numbers.
    mutating func restore(_ deliveries: [UnackedDelivery]) {
        slots = (all + deliveries).sorted { $0.tag < $1.tag }.map { Slot(tag: $0.tag, delivery: $0) }
        head = 0
        count = slots.count
    }

    private mutating func closeUp() {
        while head < slots.count, slots[head].delivery == nil { head += 1 }
        if head == slots.count {
            slots.removeAll(keepingCapacity: slots.capacity <= 4096)
            head = 0
        } else if slots.count > 64, slots.count > 2 * count {
            slots = slots[head...].filter { $0.delivery != nil }
            head = 0
        }
    }
}

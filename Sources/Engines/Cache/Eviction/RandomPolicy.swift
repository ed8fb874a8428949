import KernelStructures

/// Whoever chance names. It knows nothing, costs almost nothing, and cannot be fooled: where all items are equally
/// likely to be asked for, nothing is better. It is the measure that every other policy has to beat.
final class RandomPolicy: EvictionPolicy {
    private var items: ContiguousArray<ItemID> = []
    /// Where in `items` an item is.
    private var places: ContiguousArray<UInt32> = []
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    var byteCount: Int { MemoryCost.array(items.capacity, stride: 4) + MemoryCost.array(places.capacity, stride: 4) }

    func insert(_ id: ItemID, hash: UInt64) {
        while places.count <= Int(id) { places.append(0) }
        places[Int(id)] = UInt32(items.count)
        items.append(id)
    }

    func access(_ id: ItemID, hash: UInt64) {}

    func remove(_ id: ItemID, hash: UInt64, isEviction: Bool) {
        guard let last = items.popLast() else { return }
        if last != id {
            let place = places[Int(id)]
            items[Int(place)] = last
            places[Int(last)] = place
        }
    }

    func victim() -> ItemID? { items.isEmpty ? nil : items[random.below(items.count)] }
}

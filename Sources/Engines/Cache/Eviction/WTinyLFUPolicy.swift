/// W-TinyLFU: a newcomer must have been asked for more often than whoever would have to go for it (Einziger, Friedman
/// and Manes, "TinyLFU", 2017; what Caffeine does).
///
/// ## The problem
///
/// LRU lets everybody in. LFU keeps out who is new. What is wanted is a doorman who knows the regulars and gives
/// newcomers a chance to become one.
///
/// ## An everyday picture
///
/// A club with a small bar at the entrance. Everybody gets into the bar. Who is pushed out of it by later guests wants
/// into the hall, where somebody has to leave in turn: the doorman looks at his tally of visits (also of those who were
/// not let in) and keeps whichever of the two came more often. In the hall, whoever dances gets one of the good seats,
/// and only who sits in the worse ones can be asked to leave.
///
/// ```
///  new ──▶ window 1 % (LRU) ──▶ admission: more often than the other? ──▶ probation 20 % ◀──▶ protected 80 %
/// ```
///
/// ## Where it is wrong
///
/// Where what is new is what counts (a feed, a log), the doorman keeps out the right ones: the trace `sprite` is 8
/// points worse than LRU's. See `AdaptivePolicy`.
final class WTinyLFUPolicy: EvictionPolicy {
    private enum Part: UInt8 { case window, probation, protected }
    private var links = LinkTable()
    private var window = ItemList()
    private var probation = ItemList()
    private var protected = ItemList()
    private var parts: ContiguousArray<(part: Part, hash: UInt64)> = []
    private var sketch = FrequencySketch()

    static let windowShare = 0.01
    static let protectedShare = 0.8

    private var itemCount: Int { window.count + probation.count + protected.count }
    private var windowLimit: Int { max(1, Int(Double(itemCount) * Self.windowShare)) }

    var byteCount: Int { links.byteCount + MemoryCost.array(parts.capacity, stride: 16) + sketch.byteCount }

    func insert(_ id: ItemID, hash: UInt64) {
        while parts.count <= Int(id) { parts.append((.window, 0)) }
        parts[Int(id)] = (.window, hash)
        window.prepend(id, &links)
        if itemCount & 255 == 0 || itemCount < 1024 { sketch.reserve(itemCount) }
        sketch.add(hash)
    }

    func access(_ id: ItemID, hash: UInt64) {
        sketch.add(hash)
        switch parts[Int(id)].part {
        case .window: window.moveToFront(id, &links)
        case .protected: protected.moveToFront(id, &links)
        case .probation:
            probation.remove(id, &links)
            protected.prepend(id, &links)
            parts[Int(id)].part = .protected
            let limit = Int(Double(probation.count + protected.count) * Self.protectedShare)
            if protected.count > max(1, limit) { demote() }
        }
    }

    private func demote() {
        let id = protected.last
        protected.remove(id, &links)
        probation.prepend(id, &links)
        parts[Int(id)].part = .probation
    }

    func remove(_ id: ItemID, hash: UInt64, isEviction: Bool) {
        switch parts[Int(id)].part {
        case .window: window.remove(id, &links)
        case .probation: probation.remove(id, &links)
        case .protected: protected.remove(id, &links)
        }
    }

    func victim() -> ItemID? {
        let limit = windowLimit
        // As long as there was room nobody had to leave the window.
        while window.count > limit + 1 { admit() }
        let rival = probation.last != 0 ? probation.last : protected.last
        let candidate = window.last
        if candidate == 0 || rival == 0 || window.count <= limit {
            return rival != 0 ? rival : candidate == 0 ? nil : candidate
        }
        if sketch.estimate(parts[Int(candidate)].hash) <= sketch.estimate(parts[Int(rival)].hash) { return candidate }
        admit()
        return rival
    }

    private func admit() {
        let id = window.last
        window.remove(id, &links)
        probation.prepend(id, &links)
        parts[Int(id)].part = .probation
    }

    func frequency(_ id: ItemID, hash: UInt64) -> Int? { sketch.estimate(hash) }

    var description: [(name: String, value: String)] {
        [("window", "\(window.count)"), ("probation", "\(probation.count)"), ("protected", "\(protected.count)")]
    }
}

import CacheClusterEngine
import CacheEngine
import KernelHosting
import KernelStructures
import KernelWire

/// Which key makes a slot hot: one of eight reads is looked at, and of the keys that come up most those are known whose
/// slots are hot.
public struct HotSlotKeys {
    private var tracker = HotKeyTracker(count: 16)
    private var since: LabTime?
    private var number = 0
    /// By slot.
    public private(set) var names: [Int: String] = [:]

    private static let sampleRatio = 8
    /// What was read before is forgotten.
    private static let period = LabDuration.seconds(10)
    private static let nameLimit = 80

    mutating func note(_ key: [UInt8], _ slot: Int, now: LabTime) {
        number &+= 1
        guard number % Self.sampleRatio == 0 else { return }
        if now - (since ?? now) > Self.period { tracker = HotKeyTracker(count: 16) }
        if since.map({ now - $0 > Self.period }) ?? true { since = now }
        tracker.add(key)
    }

    mutating func keep(_ slot: Int) {
        guard let top = tracker.top(16).first(where: { SlotNumber.of($0.key) == slot }) else { return }
        names[slot] = String(decoding: top.key.prefix(Self.nameLimit), as: UTF8.self)
    }

    mutating func forget(_ slot: Int) { names[slot] = nil }
}

extension CacheClusterHost {
    /// `Slot 5061 (user:1)`
    func hotName(_ slot: Int) -> String {
        hotKeys.names[slot].map { "Slot \(slot) (\($0))" } ?? "Slot \(slot)"
    }

    /// `CLUSTER HOTSLOTS`: which slots are read very much, and from where they may be read.
    var hotSlotsSubcommand: RESPCommand {
        sub("hotslots", 2, "Return slots that are read very much, and who may be asked") {
            [unowned self] connection, _ in
            let all = cluster.hotSlots
            connection.reply.array(all.count)
            for (owner, hot) in all {
                let readers = cluster.readers(of: hot.slot).compactMap(cluster.describe)
                connection.reply.map([
                    ("slot", .integer(hot.slot)), ("key", hotKeys.names[hot.slot].map { .text($0) } ?? .null),
                    ("node", .text(cluster.describe(owner)?.name ?? owner.short)),
                    ("reads-per-second", .integer(hot.readsPerSecond)),
                    ("readers", .array(readers.map { .text($0.name) })),
                    (
                        "copy-age-ms",
                        cluster.copyAge(of: hot.slot).map { .integer(Int($0.milliseconds.rounded(.up))) } ?? .null
                    ),
                ])
            }
        }
    }

    /// Ranges of slots with the nodes that serve them, the master first. A hot slot stands by itself where replicas of
    /// others may be read, too; masters that may be are not named here, because clients take what stands behind the
    /// master for replicas.
    var servedRanges: [(slots: ClosedRange<Int>, nodes: [NodeDescription])] {
        let views = cluster.nodeViews
        var ranges: [(slots: ClosedRange<Int>, nodes: [NodeDescription])] = []
        let hot = cluster.hotSlots
        for view in views where view.node.replicaOf == nil {
            let nodes = [view.node] + views.filter { $0.node.replicaOf == view.node.id && !$0.isFailed }.map(\.node)
            var plain = view.slots
            for (owner, one) in hot where owner == view.node.id {
                let others = cluster.readers(of: one.slot).compactMap(cluster.describe)
                    .filter { $0.replicaOf != nil && !nodes.contains($0) }
                if others.isEmpty || !plain.contains(one.slot) { continue }
                plain.remove(one.slot)
                ranges.append((one.slot...one.slot, nodes + others))
            }
            ranges += plain.ranges.map { ($0, nodes) }
        }
        return ranges.sorted { $0.slots.lowerBound < $1.slots.lowerBound }
    }
}

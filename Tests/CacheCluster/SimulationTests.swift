import CacheClusterEngine
import Glibc
import KernelStructures
import Testing

/// Whole clusters under partitions, kills, restarts and lost messages, judged by what was promised: a write that a
/// majority of its slot's copies had is never lost, and no slot has two masters in one reign.
@Suite struct SimulationTests {
    private static let isLong = getenv("SDLAB_LONG") != nil
    /// `SDLAB_SEEDS=6,18` asks for some of the long ones.
    private static let seeds: [Int] =
        getenv("SDLAB_SEEDS").map { String(cString: $0).split(separator: ",").compactMap { Int($0) } }
        ?? Array(1...(isLong ? 200 : 2))

    @Test(arguments: seeds) func ringsKeepWhatAMajorityHad(seed: Int) {
        check(seed: UInt64(seed), nodeCount: 4, replicas: 1 + seed % 2)
    }

    private func check(seed: UInt64, nodeCount: Int, replicas: Int) {
        let cluster = SimulatedCluster(seed: seed, nodeCount: nodeCount) {
            $0.ring.replicas = replicas
            $0.ring.virtualNodes = 8
        }
        for number in 0..<nodeCount {
            cluster.start(number, join: number == 0 ? nil : 0)
            cluster.run(milliseconds: 200)
        }
        guard cluster.run(upToMilliseconds: 20_000, until: { cluster.isHealthy(replicas: replicas) }) else {
            Issue.record("seed \(seed): the ring does not come together")
            return
        }
        cluster.lossPercent = Int(seed) % 3
        let judge = Judge(cluster, replicas)
        let nemesis = Nemesis(cluster, replicas)
        cluster.run(milliseconds: Self.isLong ? 60_000 : 12_000) {
            nemesis.act()
            judge.act()
        }
        nemesis.stop()
        let isHealed = cluster.run(upToMilliseconds: 60_000) { cluster.isHealthy(replicas: replicas) }
        #expect(isHealed, "seed \(seed): it does not recover: \(nemesis.story)\n\(cluster.complaints(replicas))")
        cluster.run(milliseconds: 1000)
        let differing = cluster.differingCopies
        #expect(differing.isEmpty, "seed \(seed): \(differing): \(nemesis.story)")
        for (_, engine) in cluster.living { #expect(engine.checkInvariants() == nil, "seed \(seed)") }
        #expect(judge.promisedCount > 100, "seed \(seed): too little was promised")
        judge.assess("seed \(seed): \(nemesis.story)")
    }
}

/// Writes, waits for copies, and remembers what was promised.
private final class Judge {
    let cluster: SimulatedCluster
    let replicas: Int
    private var random: SeededRandom
    private var count = 0
    private var open: [(key: String, slot: Int, node: Int, life: Int, offset: Int)] = []
    private var promised: [(key: String, slot: Int, at: String)] = []
    /// For each slot, who served it since when, in which version, and with which copies.
    private var history: [Int: [String]] = [:]
    private var reigns: [String: Int] = [:]
    private(set) var conflict: String?
    let slots: [Int]

    init(_ cluster: SimulatedCluster, _ replicas: Int) {
        self.cluster = cluster
        self.replicas = replicas
        random = cluster.random.fork("judge")
        slots = (0..<24).map { $0 * 677 }
    }

    var promisedCount: Int { promised.count }

    func act() {
        for _ in 0..<2 {
            count += 1
            let slot = slots[random.below(slots.count)]
            let node = random.below(cluster.nodes.count)
            if let place = cluster.write("k\(count)", "v", slot: slot, at: node) {
                open.append(("k\(count)", slot, place.node, cluster.nodes[place.node].lives, place.offset))
            }
        }
        open.removeAll { write in
            let node = cluster.nodes[write.node]
            guard let engine = node.engine, node.lives == write.life, engine.served.contains(write.slot) else {
                return true
            }
            let copies = engine.map.copies(of: write.slot).count
            guard copies > 0 else { return false }
            guard engine.copyCount(of: [write.slot], upTo: write.offset) >= (copies + 1) / 2 else { return false }
            promised.append((write.key, write.slot, "\(write.offset) of \(write.node) at \(cluster.milliseconds)"))
            return true
        }
        for (number, node) in cluster.nodes.enumerated() {
            guard let engine = node.engine else { continue }
            for slot in slots where engine.served.contains(slot) {
                let key = "\(slot) \(engine.map.version(of: slot).reign)"
                if let other = reigns[key], other != number {
                    conflict = conflict ?? "slot \(slot): \(number) and \(other) in reign \(key)"
                }
                reigns[key] = number
                let record = engine.map[slot]
                let copies = record.copies.map { id in cluster.nodes.firstIndex { $0.identity == id } ?? -1 }
                let isKnown = engine.committed.contains(slot) ? "" : " unknown to most"
                let line = "\(number): \(record.version) taken at \(record.takenAt ?? -1), copies \(copies)\(isKnown)"
                if history[slot]?.last?.hasSuffix(line) != true {
                    history[slot, default: []].append("\(cluster.milliseconds) \(line)")
                }
            }
        }
    }

    func assess(_ story: String) {
        #expect(conflict == nil, "\(story)")
        let lost = promised.filter { cluster.read($0.key, slot: $0.slot) == nil }
        let history = lost.first.flatMap { self.history[$0.slot] } ?? []
        #expect(
            lost.isEmpty,
            "\(lost.count) of \(promised.count) lost, \(lost.prefix(3)); \(story)\n\(history.joined(separator: "\n"))")
    }
}

/// What goes wrong: the network is cut, nodes are killed and started again. Memory is taken from one node at a time:
/// what two copies have does not survive the loss of both.
private final class Nemesis {
    let cluster: SimulatedCluster
    let replicas: Int
    private var random: SeededRandom
    private var nextCut: LabTime
    private var nextKill: LabTime
    private var healAt: LabTime?
    private var dead: (node: Int, until: LabTime)?
    private(set) var story = ""

    init(_ cluster: SimulatedCluster, _ replicas: Int) {
        self.cluster = cluster
        self.replicas = replicas
        random = cluster.random.fork("nemesis")
        nextCut = cluster.now + .milliseconds(500)
        nextKill = cluster.now + .milliseconds(2000)
    }

    func act() {
        let now = cluster.now
        if let at = healAt, now >= at {
            healAt = nil
            cluster.sides = cluster.sides.map { _ in 0 }
            note("heal")
            nextCut = now + .milliseconds(300 + random.below(5000))
        } else if healAt == nil, now >= nextCut {
            cluster.sides = cluster.sides.map { _ in random.below(2) }
            note("cut \(cluster.sides)")
            healAt = now + .milliseconds(200 + random.below(4000))
        }
        if let (node, until) = dead {
            if now >= until {
                cluster.start(node)
                note("start \(node)")
                dead = nil
                nextKill = now + .milliseconds(500 + random.below(4000))
            }
        } else if now >= nextKill, healAt == nil, isComplete {
            let node = random.below(cluster.nodes.count)
            cluster.kill(node)
            note("kill \(node)")
            dead = (node, now + .milliseconds(100 + random.below(5000)))
        }
    }

    /// Every copy that counts has everything.
    private var isComplete: Bool {
        cluster.living.allSatisfy { _, engine in
            engine.followerIDs.allSatisfy { engine.follower($0)?.acknowledged == engine.streamOffset }
        } && cluster.isHealthy(replicas: replicas)
    }

    func stop() {
        cluster.sides = cluster.sides.map { _ in 0 }
        cluster.lossPercent = 0
        if let (node, _) = dead { cluster.start(node) }
        note("end")
    }

    private func note(_ what: String) {
        story += "\(cluster.milliseconds) \(what); "
    }
}

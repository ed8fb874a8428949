import CacheClusterEngine
import KernelStructures

/// Data as a dictionary: for each slot, values by key.
final class DictionaryStore: ClusterStore {
    private(set) var slots: [Int: [String: String]] = [:]

    func keyCount(inSlot slot: Int) -> Int { slots[slot]?.count ?? 0 }
    func contents(ofSlot slot: Int) -> [[[UInt8]]] {
        (slots[slot] ?? [:]).sorted { $0.key < $1.key }.map { Self.command(slot, $0.key, $0.value) }
    }
    func clear(slot: Int) { slots[slot] = nil }
    func setCopy(slot: Int, _ isCopy: Bool) {}
    func apply(_ command: [[UInt8]]) {
        let words = command.map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 4, let slot = Int(words[1]) else { return }
        slots[slot, default: [:]][words[2]] = words[3]
    }

    static func command(_ slot: Int, _ key: String, _ value: String) -> [[UInt8]] {
        ["SET", String(slot), key, value].map { Array($0.utf8) }
    }
}

/// One node of a simulated cluster. Its memory goes when it is killed; what it saved stays.
final class SimulatedNode {
    let number: Int
    let identity: ClusterNodeID
    var engine: CacheCluster?
    var store = DictionaryStore()
    var saved: [UInt8]?
    var lives = 0
    var log: [String] = []
    var isWritingPaused = false

    init(_ number: Int, _ identity: ClusterNodeID) {
        self.number = number
        self.identity = identity
    }
}

/// Several engines and a network that delays, loses and reorders messages, cut in two now and then.
final class SimulatedCluster {
    let seed: UInt64
    var random: SeededRandom
    var nodes: [SimulatedNode] = []
    var now = LabTime(nanoseconds: 1_000_000_000)
    var settings = CacheCluster.Settings()
    var lossPercent = 0
    /// For each node, which side it is on.
    var sides: [Int] = []
    /// Pairs that do not hear one another.
    var cutLinks: [(Int, Int)] = []
    private var letters: [Letter] = []
    private var letterNumber = 0
    var messageCount = 0

    private struct Letter: Comparable {
        let at: LabTime
        let number: Int
        let from: Int
        let to: Int
        let bytes: [UInt8]
        static func < (a: Letter, b: Letter) -> Bool { (a.at, a.number) > (b.at, b.number) }
    }

    init(seed: UInt64, nodeCount: Int, change: (inout CacheCluster.Settings) -> Void = { _ in }) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        settings.nodeTimeoutMilliseconds = 1000
        change(&settings)
        for number in 0..<nodeCount {
            nodes.append(SimulatedNode(number, ClusterNodeID(random: &random)))
            sides.append(0)
        }
    }

    // MARK: Nodes

    func start(_ number: Int, join: Int? = nil) {
        let node = nodes[number]
        var settings = settings
        settings.seed = seed &* 1000 &+ UInt64(number * 100 + node.lives)
        node.lives += 1
        node.store = DictionaryStore()
        node.isWritingPaused = false
        let description = NodeDescription(
            id: node.identity, name: String(7001 + number), host: "n\(number)", port: 7001 + number,
            busPort: 17001 + number)
        guard
            let engine = try? CacheCluster(description, settings: settings, store: node.store, saved: node.saved)
        else { fatalError("what was saved cannot be read") }
        node.engine = engine
        let target = node.saved == nil ? join : nil
        engine.start(now: now, join: target.map { ("n\($0)", 17001 + $0) })
        perform(node)
    }

    func kill(_ number: Int) { nodes[number].engine = nil }

    var living: [(node: SimulatedNode, engine: CacheCluster)] {
        nodes.compactMap { node in node.engine.map { (node, $0) } }
    }

    // MARK: Time

    var milliseconds: Int { Int((now - LabTime(nanoseconds: 0)).milliseconds) }

    func run(milliseconds: Int, _ body: () -> Void = {}) {
        let end = now + .milliseconds(milliseconds)
        while now < end {
            now = now + .milliseconds(10)
            deliver()
            for (index, node) in nodes.enumerated() {
                guard let engine = node.engine else { continue }
                if (Int(now.nanoseconds / 10_000_000) + index) % 10 == 0 {
                    engine.tick(now: now)
                    perform(node)
                }
            }
            body()
        }
    }

    /// Runs until something holds.
    ///
    /// - Returns: whether it came to that.
    func run(upToMilliseconds limit: Int, until isDone: () -> Bool) -> Bool {
        var left = limit
        while left > 0 {
            if isDone() { return true }
            run(milliseconds: 100)
            left -= 100
        }
        return isDone()
    }

    func deliver() {
        while let letter = letters.first, letter.at <= now {
            letters.removeFirst()
            guard sides[letter.from] == sides[letter.to], let engine = nodes[letter.to].engine,
                let message = try? ClusterMessage(encoded: letter.bytes)
            else { continue }
            engine.receive(message, now: now)
            perform(nodes[letter.to])
        }
    }

    func perform(_ node: SimulatedNode) {
        guard let engine = node.engine else { return }
        while engine.hasEffects {
            for effect in engine.takeEffects() {
                switch effect {
                case .save(let bytes): node.saved = bytes
                case .send(let message, let id):
                    if let to = nodes.firstIndex(where: { $0.identity == id }) {
                        post(message, from: node.number, to: to)
                    }
                case .introduce(let message, _, let busPort): post(message, from: node.number, to: busPort - 17001)
                case .log(let message, let level): if level >= .info { node.log.append(message.description) }
                case .pauseWrites: node.isWritingPaused = true
                case .resumeWrites: node.isWritingPaused = false
                case .heated(let hot): node.log.append("heated \(hot.slot)")
                case .cooled(let hot): node.log.append("cooled \(hot.slot)")
                case .lostSlots, .deliver: break
                }
            }
        }
    }

    private func post(_ message: ClusterMessage, from: Int, to: Int) {
        messageCount += 1
        guard nodes.indices.contains(to), sides[from] == sides[to] else { return }
        if cutLinks.contains(where: { $0 == (from, to) || $0 == (to, from) }) { return }
        if lossPercent > 0, random.below(100) < lossPercent { return }
        letterNumber += 1
        let delay = 1 + random.below(lossPercent > 0 ? 40 : 3)
        let letter = Letter(
            at: now + .milliseconds(delay), number: letterNumber, from: from, to: to, bytes: message.encoded)
        // Sorted by arrival.
        var (low, high) = (0, letters.count)
        while low < high {
            let middle = (low + high) / 2
            if letters[middle] > letter { low = middle + 1 } else { high = middle }
        }
        letters.insert(letter, at: low)
    }

    // MARK: Clients

    /// Writes at whichever node serves the slot.
    ///
    /// - Returns: the node, and the write's place in its stream; nil if nobody would have it.
    func write(_ key: String, _ value: String, slot: Int, at number: Int) -> (node: Int, offset: Int)? {
        let node = nodes[number]
        guard let engine = node.engine, !node.isWritingPaused,
            engine.obstacle(slot: slot, isWrite: true, client: ClusterClient(), keyCount: 1, present: { 1 }) == nil
        else {
            perform(node)
            return nil
        }
        let command = DictionaryStore.command(slot, key, value)
        node.store.apply(command)
        engine.wrote(slot: slot, [command])
        engine.flush()
        perform(node)
        return (number, engine.streamOffset)
    }

    /// Complete copies that are not what their owner has.
    var differingCopies: [String] {
        var found: [String] = []
        for (node, engine) in living {
            engine.copiedSlots.forEach { slot in
                guard let owner = owner(of: slot) else { return }
                let (there, here) = (nodes[owner].store.slots[slot] ?? [:], node.store.slots[slot] ?? [:])
                if there == here { return }
                let (lacks, has) = (Set(there.keys).subtracting(here.keys), Set(here.keys).subtracting(there.keys))
                found.append(
                    "\(slot) of \(owner) at \(node.number) lacks \(lacks.sorted()), has \(has.sorted()) more")
            }
        }
        return found
    }

    func owner(of slot: Int) -> Int? { nodes.firstIndex { $0.engine?.served.contains(slot) == true } }

    func read(_ key: String, slot: Int) -> String? { owner(of: slot).flatMap { nodes[$0].store.slots[slot]?[key] } }

    /// Every slot is served by one living node, which everybody knows.
    var isSettled: Bool {
        let engines = living.map(\.engine)
        guard let first = engines.first else { return false }
        return engines.allSatisfy { $0.map.digest == first.map.digest && $0.isWhole && $0.handoff == nil }
            && engines.allSatisfy { engine in engine.peers.allSatisfy { !$0.isFailed && !$0.isSuspected } }
            && engines.reduce(0) { $0 + $1.served.count } == SlotSet.slotCount
    }

    /// Why it is not healthy.
    func complaints(_ replicas: Int) -> String {
        living.map { node, engine in
            let open = engine.served.subtracting(engine.committed)
            let bad = engine.peers.filter { $0.isFailed || $0.isSuspected }.map(\.node.name)
            var incomplete = SlotSet()
            engine.served.forEach { slot in
                let copies = engine.map.copies(of: slot)
                let areHeld = copies.allSatisfy { engine.follower($0)?.held.contains(slot) == true }
                if copies.count < replicas || !areHeld { incomplete.insert(slot) }
            }
            let examples = incomplete.slots.prefix(3).map { slot in
                let copies = engine.map.copies(of: slot).map { id in nodes.firstIndex { $0.identity == id } ?? -1 }
                return "\(slot) \(engine.map.version(of: slot)) \(copies)"
            }
            return "\(node.number): epoch \(engine.epoch), map \(engine.map.digest % 1000), serves "
                + "\(engine.served.count), hollow \(engine.hollow.count) \(engine.hollow.slots.prefix(3)), unknown "
                + "\(open.count) \(open.slots.prefix(3)), handoff \(engine.handoff != nil), away \(bad), "
                + "incomplete \(incomplete.count) \(examples)"
        }.joined(separator: "\n")
    }

    /// And every copy that counts is complete.
    func isHealthy(replicas: Int) -> Bool {
        guard isSettled else { return false }
        return living.allSatisfy { _, engine in
            guard engine.served.subtracting(engine.committed).isEmpty else { return false }
            var isComplete = true
            engine.served.forEach { slot in
                let copies = engine.map.copies(of: slot)
                if copies.count < replicas { isComplete = false }
                if !copies.allSatisfy({ engine.follower($0)?.held.contains(slot) == true }) { isComplete = false }
            }
            return isComplete
        }
    }
}

import CacheLayerEngine
import CacheLayerService
import KernelStorage
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// The whole of write-behind on a node that dies: every write that somebody was told is safe reaches the source, and no
/// older one comes after a newer one.
@Suite struct WriteBehindCrashTests {
    /// The source, which outlives the node.
    private final class Database {
        var values: [String: Int] = [:]
        /// What was written under a key, in order.
        var history: [String: [Int]] = [:]

        func apply(_ items: [WriteBehindQueue.Item]) {
            for item in items {
                guard let number = (item.value as? Number)?.value else { continue }
                values[item.key] = number
                history[item.key, default: []].append(number)
            }
        }
    }

    private static func life(_ node: Node, _ database: Database) throws -> LayerHost {
        let log = WriteBehindLog(node: node, directory: "/data", rewriteBytes: 200)
        var settings = WriteBehindQueue.Settings()
        settings.delay = .milliseconds(2)
        settings.batchSize = 2
        let configuration = CacheConfiguration(strategy: [.readThrough, .writeBehind])
        let layer = CacheLayer(
            configuration, codec: Number.codec, hasRemote: false, random: SeededRandom(seed: 1), queue: settings)
        let source = LayerHost.Source(
            load: { _, done in done(.absent) }, store: { _, _, done in done(.refused("not used")) },
            storeAll: { items, done in
                // On its way to the source, there, and the answer on its way back.
                node.after(.milliseconds(1)) {
                    database.apply(items)
                    node.after(.milliseconds(1)) { done(.success([])) }
                }
            })
        let host = LayerHost(node: node, layer: layer, source: source, remote: nil, log: log)
        var items: [WriteBehindQueue.Item] = []
        for case .write(let sequence, let since, let key, let bytes) in try log.open() {
            items.append(
                .init(key: key, value: try bytes.map { try Number.codec.decode($0) }, sequence: sequence, since: since))
        }
        host.restore(items)
        return host
    }

    @Test("killed, or without power, at each moment of twenty writes", arguments: [Node.State.killed, .poweredOff])
    func each(_ end: Node.State) throws {
        // @covers CL-H3
        for step in 0..<80 {
            let world = memoryWorld(seed: UInt64(step))
            let node = world.node("api")
            let database = Database()
            var promised: [String: Int] = [:]
            let first = try Self.life(node, database)
            for number in 1...20 {
                node.after(.microseconds(number * 900)) {
                    let key = "k\(number % 3)"
                    first.write(key, Number(number), by: "test") { outcome in
                        if case .success = outcome { promised[key] = number }
                    }
                }
            }
            world.pass(.microseconds(step * 330 + 10))
            _ = node.end(end)
            node.start()
            let second = try Self.life(node, database)
            world.pass(.seconds(5))
            for (key, number) in promised {
                #expect(database.values[key] ?? 0 >= number, "\(key) = \(number) was promised; ended at step \(step)")
            }
            for (key, numbers) in database.history {
                #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 <= $1 }, "\(key): \(numbers), step \(step)")
            }
            #expect(second.layer.writeBehind.isEmpty)
        }
    }

    @Test("a source that is away when the process stops: what waits is in the journal, and the process does not hang")
    func stopping() throws {
        let world = memoryWorld()
        let node = world.node("api")
        let log = WriteBehindLog(node: node, directory: "/data")
        _ = try log.open()
        let layer = CacheLayer(
            CacheConfiguration(strategy: [.readThrough, .writeBehind]), codec: Number.codec, hasRemote: false,
            random: SeededRandom(seed: 1))
        let source = LayerHost.Source(
            load: { _, _ in }, store: { _, _, _ in }, storeAll: { _, _ in /* It never answers. */ })
        let host = LayerHost(node: node, layer: layer, source: source, remote: nil, log: log)
        host.write("k", Number(1), by: "test") { _ in }
        world.pass(.milliseconds(10))
        var isDone = false
        host.drain { isDone = true }
        world.pass(.seconds(6))
        #expect(isDone)
        log.close()
        #expect(try WriteBehindLog(node: node, directory: "/data").open().count == 1)
    }
}

import CacheLayerEngine
import KernelStructures
import KernelWorld

/// A hit in the process: what a reader pays for the cache layer. 200 ns are five million a second.
let cacheLayerBenchmarks: [Benchmark] = [
    Benchmark("cachelayer", "engine: fresh", barNanoseconds: 200, threads: [1]) {
        let full = FullLayer()
        return { count, _ in full.read(count) }
    },
    Benchmark("cachelayer", "engine: read, a fresh entry", barNanoseconds: 200, threads: [1]) {
        let full = FullLayer()
        return { count, _ in full.readAll(count) }
    },
    Benchmark("cachelayer", "library: cached, 1,000 keys", barNanoseconds: 200) {
        let keys = someNames
        return { count, _ in for index in 0..<count { keep(readyCache.cached(keys[index % 1_000])) } }
    },
    Benchmark("cachelayer", "engine: miss, load, store", barAllocations: nil, threads: [1]) {
        let full = FullLayer()
        return { count, _ in full.load(count) }
    },
]

private let someNames = (0..<1_000).map { "user:\($0)" }

private final class Something: Sendable {}

/// An engine with a thousand entries.
private final class FullLayer {
    private var layer: CacheLayer
    private let now = LabTime(nanoseconds: 1)

    init() {
        layer = CacheLayer(CacheConfiguration(), random: SeededRandom(seed: 1))
        for name in someNames { layer.put(name, Something(), now: now) }
    }

    func read(_ count: Int) {
        for index in 0..<count { keep(layer.fresh(someNames[index % 1_000], now: now)?.value == nil) }
    }

    func readAll(_ count: Int) {
        for index in 0..<count {
            if case .hit(let found, nil) = layer.read(someNames[index % 1_000], now: now) { keep(found.value == nil) }
        }
    }

    func load(_ count: Int) {
        for index in 0..<count {
            let name = someNames[index % 1_000]
            layer.invalidate(name, now: now)
            guard case .lead(let id) = layer.read(name, now: now) else { fatalError("a hit") }
            _ = layer.begin(id, now: now)
            _ = layer.proceed(id, .loaded(.value(Something())), now: now)
        }
    }
}

private struct Names: CacheableRepository {
    func fetch(_ key: String) async throws -> String? { key }
    func update(_ value: String?, for key: String) async throws -> UInt64 { 0 }
}

private let readyCache: Cached<Names> = {
    do {
        let cache = try Cached.wrap(Names(), .init(ttl: .seconds(3_600)))
        for name in someNames { cache.put(name, for: name) }
        return cache
    } catch {
        fatalError("\(error)")
    }
}()

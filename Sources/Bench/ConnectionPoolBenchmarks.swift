import ConnectionPoolEngine
import KernelStructures
import KernelWorld

/// Borrowing and giving back while a connection is free: what each request pays for the pool.
let connectionPoolBenchmarks: [Benchmark] = [
    Benchmark("pool", "engine: borrow and return", barNanoseconds: 1000, threads: [1]) {
        let engine = PoolOfOne()
        return { count, _ in engine.lend(count) }
    },
    Benchmark("pool", "engine: borrow in line, hand over", barAllocations: nil, threads: [1]) {
        let engine = PoolOfOne()
        return { count, _ in engine.handOver(count) }
    },
    Benchmark("pool", "library: borrowIfFree, giveBack", barNanoseconds: 1000) {
        return { count, _ in
            for _ in 0..<count {
                while true {
                    guard let loan = readyPool.borrowIfFree(by: "bench") else { continue }
                    loan.giveBack()
                    break
                }
            }
        }
    },
    Benchmark("pool", "library: borrow with a callback", barNanoseconds: 1000) {
        return { count, _ in
            for _ in 0..<count { readyPool.borrow(by: "bench") { if case .success(let loan) = $0 { loan.giveBack() } } }
        }
    },
]

/// An engine with one open connection, and a clock that goes by a microsecond a call.
private final class PoolOfOne {
    private var pool: ConnectionPool
    private var now = LabTime(nanoseconds: 0)

    init() {
        var configuration = ConnectionPool.Configuration()
        configuration.maximumPoolSize = 1
        configuration.initializationFailTimeout = nil
        configuration.leakDetectionThreshold = .seconds(60)
        pool = ConnectionPool(configuration, now: now, random: SeededRandom(seed: 1))
        pool.start(now: now)
        for effect in pool.takeEffects() { if case .connect(let id) = effect { pool.connected(id, now: now) } }
    }

    func lend(_ count: Int) {
        for _ in 0..<count {
            now = now + .microseconds(1)
            guard case .lent(let lease) = pool.borrow(by: .init("bench"), now: now) else { fatalError("not lent") }
            pool.putBack(lease, now: now)
        }
    }

    func handOver(_ count: Int) {
        guard case .lent(var lease) = pool.borrow(by: .init("bench"), now: now) else { fatalError("not lent") }
        _ = pool.takeEffects()
        for _ in 0..<count {
            now = now + .microseconds(1)
            _ = pool.borrow(by: .init("bench"), now: now)
            pool.putBack(lease, now: now)
            for effect in pool.takeEffects() { if case .lend(_, let next) = effect { lease = next } }
        }
        pool.putBack(lease, now: now)
    }
}

/// A pool of two open connections that cost nothing.
private let readyPool: AsyncConnectionPool<Int> = {
    var configuration = ConnectionPool.Configuration()
    configuration.maximumPoolSize = 2
    configuration.initializationFailTimeout = nil
    configuration.leakDetectionThreshold = .seconds(60)
    do {
        let pool = try AsyncConnectionPool(configuration, ConnectionFactory(connect: { 1 }))
        Task.detached { await pool.run() }
        while pool.withEngine({ $0.idleCount }) < 2 {}
        return pool
    } catch {
        fatalError("\(error)")
    }
}()

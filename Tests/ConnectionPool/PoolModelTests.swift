import ConnectionPoolEngine
import KernelStructures
import Testing

/// Random histories of everything that can happen to a pool, judged by `PoolModel`.
@Suite struct PoolModelTests {
    @Test("no history breaks the pool: never too many, never two owners, nobody forgotten", arguments: [true, false])
    func randomHistories(isFair: Bool) {
        for seed in 1...60 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            let model = PoolModel(seed: seed) {
                $0.maximumPoolSize = 1 + random.below(6)
                $0.minimumIdle = random.below($0.maximumPoolSize + 1)
                $0.connectingLimit = 1 + random.below(3)
                $0.isFair = isFair
                $0.waiterLimit = 8
                $0.connectionTimeout = .seconds(1 + random.below(30))
                $0.leakDetectionThreshold = .seconds(20)
                $0.idleTimeout = .seconds(10 + random.below(60))
                $0.maxLifetime = .seconds(30 + random.below(60))
                $0.keepaliveTime = .seconds(30)
            }
            for _ in 0..<400 { step(model, &random) }
            #expect(model.complaints.isEmpty, "seed \(seed): \(model.complaints.first ?? "")")
            drain(model, "seed \(seed)")
            if !model.complaints.isEmpty { return }
        }
    }

    private func step(_ model: PoolModel, _ random: inout SeededRandom) {
        switch random.below(22) {
        case 0...5: model.borrow(timeout: random.chance(0.3) ? .milliseconds(300) : nil, mayWait: random.chance(0.9))
        case 6...9:
            guard !model.leases.isEmpty else { return }
            let conditions: [ConnectionPool.ReturnCondition] = [.clean, .clean, .clean, .dirty, .broken("fatal")]
            model.putBack(
                model.leases[random.below(model.leases.count)], conditions[random.below(conditions.count)])
        case 10:
            if let lease = model.spent.last, random.chance(0.5) { model.putBack(lease) }
        case 11:
            guard !model.waiting.isEmpty else { return }
            model.cancel(model.waiting[random.below(model.waiting.count)].ticket)
        case 12...14:
            guard !model.connecting.isEmpty else { return }
            model.connect(random.below(model.connecting.count), isOpen: random.chance(0.8))
        case 15...16:
            guard !model.checking.isEmpty else { return }
            model.check(random.below(model.checking.count), isAlive: random.chance(0.8))
        case 17:
            guard !model.late.isEmpty else { return }
            model.answerLate(random.below(model.late.count))
        case 18:
            guard let id = model.open.sorted().last else { return }
            model.lose(id)
        case 19:
            guard !model.woken.isEmpty else { return }
            model.wake(random.below(model.woken.count))
        case 20:
            model.pass(.milliseconds([1, 100, 700, 6000, 40_000][random.below(5)]))
            #expect(model.forgotten == 0)
        default:
            if random.chance(0.5) { return }
            model.operate("operate") { pool, now in
                if pool.isSuspended {
                    _ = pool.resume(now: now)
                } else if random.chance(0.5) {
                    _ = pool.suspend(now: now)
                } else {
                    pool.evictAll(now: now)
                }
            }
        }
    }

    /// With a database that answers and borrowers that return, everybody in line gets a connection or is told.
    private func drain(_ model: PoolModel, _ name: String) {
        model.operate("resume") { _ = $0.resume(now: $1) }
        for _ in 0..<1000 where !model.waiting.isEmpty || !model.leases.isEmpty {
            model.finishAll()
            for lease in model.leases { model.putBack(lease) }
            model.finishAll()
            if model.leases.isEmpty, !model.waiting.isEmpty { model.pass(.seconds(1)) }
        }
        #expect(model.waiting.isEmpty, "\(name): somebody waits for ever")
        model.operate("close") { $0.close(now: $1) }
        #expect(model.isClosed && model.open.isEmpty, "\(name): not closed")
        #expect(model.complaints.isEmpty, "\(name): \(model.complaints.first ?? "")")
    }

    @Test("ten thousand cancelled borrows leave the pool as large as it may be")
    func cancelledBorrows() {
        let model = PoolModel { $0.maximumPoolSize = 10 }
        var random = SeededRandom(seed: 7)
        for _ in 0..<10_000 {
            guard case .waiting(let ticket) = model.borrow() else {
                Issue.record("what lies idle was not used for a while, so it is checked first")
                break
            }
            // Now and then the connection comes in the very moment in which the borrower gives up.
            if random.chance(0.3) {
                if !model.connecting.isEmpty { model.connect() } else if !model.checking.isEmpty { model.check() }
            }
            if !model.cancel(ticket) { model.leases.last.map { _ = model.putBack($0) } }
            while !model.checking.isEmpty { model.check() }
            model.pass(.milliseconds(501))
        }
        var held = 0
        while model.lease() != nil, held < 20 { held += 1 }
        #expect(held == 10, "some slot was lost, or one was won")
        #expect(model.pool.counters.cancelled > 5000)
        #expect(model.complaints.isEmpty, "\(model.complaints.first ?? "")")
    }

    @Test("a model that judges sees a connection with two owners")
    func modelJudges() {
        let model = PoolModel { $0.maximumPoolSize = 1 }
        let first = model.lease()!
        model.borrow()
        // What a pool that ignores double returns would do.
        model.putBack(first)
        #expect(model.putBack(first) == false)
        #expect(model.owners.count == 1)
        #expect(model.complaints.isEmpty)
    }
}

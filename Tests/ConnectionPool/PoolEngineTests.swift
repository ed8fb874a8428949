import ConnectionPoolEngine
import KernelStructures
import Testing

/// What a pool promises, one promise a test. Those named *toy* shut out what simple pools get wrong.
@Suite struct PoolEngineTests {
    typealias Pool = ConnectionPool

    @Test("borrowed, returned, borrowed again: one connection serves")
    func reuse() {
        let model = PoolModel()
        for _ in 0..<5 {
            let lease = model.lease()!
            #expect(lease.connection.number == 1)
            model.putBack(lease)
        }
        #expect(model.pool.counters.created == 1)
        #expect(model.pool.metrics.acquired.count == 5)
        #expect(model.complaints.isEmpty)
    }

    @Test("toy: a second return is rejected, and the new owner keeps the connection")
    func doubleReturn() {
        let model = PoolModel { $0.maximumPoolSize = 1 }
        let first = model.lease()!
        model.putBack(first)
        let second = model.lease()!
        #expect(second.connection == first.connection)
        #expect(model.putBack(first) == false)
        #expect(model.pool.inUseCount == 1)
        model.borrow()
        #expect(model.waiting.count == 1, "nobody else may have it now")
        #expect(model.pool.counters.rejectedReturns == 1)
        #expect(model.complaints.isEmpty)
    }

    @Test("toy: a connect that takes 150 ms does not delay a connection that is returned meanwhile")
    func connectOutsideTheLine() {
        let model = PoolModel()
        let lease = model.lease()!
        guard case .waiting(let ticket) = model.borrow() else { return #expect(Bool(false)) }
        #expect(model.connecting.count == 1)
        model.pass(.milliseconds(2))
        model.putBack(lease)
        #expect(model.lent == [ticket] || model.lent.last == ticket)
        #expect(model.leases.map(\.connection.number) == [1])
        model.pass(.milliseconds(148))
        model.connect()
        #expect(model.pool.idleCount == 1, "the second one came too late for anybody")
        #expect(model.pool.metrics.waits.maximum == .milliseconds(2))
    }

    @Test("first come, first served, across connects, returns and checks")
    func firstComeFirstServed() {
        let model = PoolModel { $0.maximumPoolSize = 2 }
        let first = model.lease()!
        var tickets: [Pool.Ticket] = []
        for _ in 0..<6 { if case .waiting(let ticket) = model.borrow() { tickets.append(ticket) } }
        model.connect()
        model.putBack(first)
        while !model.leases.isEmpty {
            model.putBack(model.leases[0], model.leases.count % 2 == 0 ? .dirty : .clean)
            model.finishAll()
        }
        #expect(model.lent.suffix(6) == tickets[...])
        #expect(model.complaints.isEmpty, "\(model.complaints.first ?? "")")
    }

    @Test("an exhausted pool lets wait, and tells with its figures who waited too long")
    func timeout() {
        let model = PoolModel { $0.maximumPoolSize = 2 }
        _ = model.lease()
        _ = model.lease()
        model.borrow()
        model.borrow(timeout: .seconds(5))
        model.pass(.seconds(5))
        #expect(model.failures.count == 1)
        model.pass(.milliseconds(24_999))
        #expect(model.failures.count == 1)
        model.pass(.milliseconds(1))
        #expect(
            model.failures.last?.description
                == "pool - Connection is not available, request timed out after 30000ms "
                + "(total=2, active=2, idle=0, waiting=1)")
        #expect(model.pool.counters.timedOut == 2)
    }

    @Test("or fails at once, for those who will not wait; but not while one is still to be had")
    func failFast() {
        let model = PoolModel { $0.maximumPoolSize = 1 }
        guard case .waiting = model.borrow(mayWait: false) else { return #expect(Bool(false)) }
        model.connect()
        guard case .refused(.exhausted) = model.borrow(mayWait: false) else { return #expect(Bool(false)) }
        // Idle for too long to be lent unseen: that is no reason to refuse.
        model.putBack(model.leases[0])
        model.pass(.seconds(2))
        guard case .waiting = model.borrow(mayWait: false) else { return #expect(Bool(false)) }
    }

    @Test("the line is bounded")
    func boundedLine() {
        let model = PoolModel {
            $0.maximumPoolSize = 1
            $0.waiterLimit = 3
        }
        _ = model.lease()
        for _ in 0..<5 { model.borrow() }
        #expect(model.waiting.count == 3)
        #expect(model.failures == Array(repeating: .lineIsFull(pool: "pool", limit: 3), count: 2))
    }

    @Test("toy: a dead connection is found by the check before it is lent, and the borrower gets a living one")
    func deadConnection() {
        let model = PoolModel()
        let (first, second) = (model.lease()!, model.lease()!)
        model.putBack(first)
        model.putBack(second)
        model.pass(.milliseconds(501))
        model.borrow()
        #expect(model.checking == [second.connection], "the one used last")
        model.check(isAlive: false)
        #expect(model.checking == [first.connection])
        model.check(isAlive: true)
        #expect(model.leases.map(\.connection) == [first.connection])
        #expect(model.closed.map(\.1) == [.failedValidation])
        #expect(model.pool.counters.foundDead == 1)
    }

    @Test("what was used less than half a second ago is lent without a check")
    func bypass() {
        let model = PoolModel()
        model.putBack(model.lease()!)
        model.pass(.milliseconds(500))
        guard case .lent(let lease) = model.borrow() else { return #expect(Bool(false)) }
        model.putBack(lease)
        model.pass(.milliseconds(501))
        guard case .waiting = model.borrow() else { return #expect(Bool(false)) }
        #expect(model.checking.count == 1)
    }

    @Test("a borrower whose connection is checked too long is served by another that comes back")
    func slowCheck() {
        let model = PoolModel()
        let (first, second) = (model.lease()!, model.lease()!)
        model.putBack(first)
        model.pass(.seconds(1))
        model.borrow()
        #expect(model.checking == [first.connection])
        model.putBack(second)
        #expect(model.leases.map(\.connection) == [second.connection])
        // The check is given up after validationTimeout; its answer then counts for nothing.
        model.pass(.seconds(5))
        #expect(model.closed.map(\.1) == [.validationTimedOut])
        model.answerLate(0)
        #expect(model.complaints.isEmpty)
    }

    @Test("toy: what a borrower left behind is undone before the next one gets the connection")
    func dirtyReturn() {
        let model = PoolModel { $0.maximumPoolSize = 1 }
        model.putBack(model.lease()!, .dirty)
        #expect(model.resetting.count == 1)
        model.borrow()
        #expect(model.leases.isEmpty, "not before the reset is done")
        model.check()
        #expect(model.leases.count == 1)
        // A connection that cannot be reset goes.
        model.putBack(model.leases[0], .dirty)
        model.check(isAlive: false)
        #expect(model.closed.map(\.1) == [.failedReset])
    }

    @Test("after a fatal error nobody gets the connection again, and whoever waits gets a new one")
    func brokenReturn() {
        let model = PoolModel { $0.maximumPoolSize = 1 }
        let lease = model.lease()!
        model.borrow()
        model.putBack(lease, .broken("protocol error"))
        #expect(model.closed.map(\.1) == [.broken("protocol error")])
        model.connect()
        #expect(model.leases.map(\.connection.number) == [2])
    }

    @Test("a connection that dies while it is idle, or in use, is nobody's any more")
    func lost() {
        let model = PoolModel()
        let (first, second) = (model.lease()!, model.lease()!)
        model.putBack(first)
        model.lose(first.connection)
        #expect(model.pool.totalCount == 1)
        model.lose(second.connection)
        #expect(model.pool.inUseCount == 1, "its borrower will notice")
        model.putBack(second)
        #expect(model.pool.totalCount == 0)
        #expect(model.complaints.isEmpty)
    }

    // MARK: Growing

    @Test("forty in line make one connect at a time, and the pool is full after ten")
    func oneAtATime() {
        let model = PoolModel()
        for _ in 0..<50 { model.borrow() }
        for number in 1...10 {
            #expect(model.connecting.map(\.number) == [number])
            model.connect()
        }
        #expect(model.connecting.isEmpty)
        #expect(model.pool.inUseCount == 10 && model.waiting.count == 40)
    }

    @Test("no more is opened than those in line need, however many attempts there may be at a time")
    func asManyAsNeeded() {
        let model = PoolModel { $0.connectingLimit = 4 }
        model.borrow()
        #expect(model.connecting.count == 1)
        model.borrow()
        model.borrow()
        #expect(model.connecting.count == 3)
        model.connect()
        #expect(model.connecting.count == 2 && model.leases.count == 1)
    }

    @Test("growth stops when demand does")
    func growthStops() {
        let model = PoolModel()
        let lease = model.lease()!
        for _ in 0..<5 { model.borrow() }
        model.putBack(lease)
        for _ in 0..<5 { model.putBack(model.leases[0]) }
        #expect(model.connecting.count == 1, "the one under way")
        model.connect()
        #expect(model.connecting.isEmpty)
        #expect(model.pool.totalCount == 2)
    }

    @Test("minimumIdle is filled up from the start, and again when connections go")
    func minimumIdle() {
        let model = PoolModel { $0.minimumIdle = 3 }
        model.finishAll()
        #expect(model.pool.idleCount == 3)
        model.operate("evict") { $0.evictAll(now: $1) }
        #expect(model.pool.idleCount == 0)
        model.finishAll()
        #expect(model.pool.idleCount == 3)
        #expect(model.open.map(\.number).sorted() == [4, 5, 6])
    }

    @Test("while the database is down, attempts become rare: 90 s make fewer than 30 of them")
    func connectStorm() {
        let model = PoolModel { $0.connectionTimeout = .zero }
        for _ in 0..<50 { model.borrow() }
        var pauses: [LabDuration] = []
        var last = model.now
        while model.now - .documentedEpoch < .seconds(90) {
            if model.connecting.isEmpty {
                model.pass(model.pool.nextDeadline - model.now)
            } else {
                pauses.append(model.now - last)
                last = model.now
                model.connect(isOpen: false)
            }
        }
        #expect(model.pool.counters.connectAttempts < 30)
        #expect(pauses.dropFirst().allSatisfy { $0 >= .milliseconds(187) && $0 <= .seconds(10) }, "\(pauses)")
        #expect(pauses.last! > .seconds(7))
        #expect(model.log.filter { $0.contains("Cannot connect") }.count == 1, "once an outage")
        model.pass(.seconds(10))
        model.finishAll()
        #expect(model.leases.count == 10)
        #expect(model.log.contains { $0.hasPrefix("Connected again after") })
    }

    @Test("a server that accepts and hangs up is not besieged either, and a quiet loss of many delays nobody")
    func hangingUp() {
        let model = PoolModel { $0.minimumIdle = 5 }
        while model.now - .documentedEpoch < .seconds(90) {
            if model.connecting.isEmpty { model.pass(max(.milliseconds(1), model.pool.nextDeadline - model.now)) }
            if !model.connecting.isEmpty { model.connect() }
            for id in model.open.sorted() { model.lose(id) }
        }
        #expect(model.pool.counters.connectAttempts < 45, "\(model.pool.counters.connectAttempts)")
        // Once it serves again, five that lived for a while and go together are replaced at once.
        model.pass(.seconds(10))
        model.finishAll()
        model.pass(.seconds(5))
        for id in model.open.sorted() { model.lose(id) }
        #expect(model.connecting.count == 1)
        model.finishAll()
        #expect(model.pool.idleCount == 5)
        #expect(model.complaints.isEmpty, "\(model.complaints.first ?? "")")
    }

    @Test("an attempt to connect that never ends is given up, and an answer that comes after that is not taken")
    func connectTimeout() {
        let model = PoolModel { $0.connectionTimeout = .seconds(3) }
        model.borrow()
        model.pass(.seconds(3))
        #expect(model.closed.map(\.1) == [.connectTimedOut])
        guard case .timedOut(_, _, _, _, _, _, let cause) = model.failures[0] else { return #expect(Bool(false)) }
        #expect(cause == nil, "at that moment the attempt had not failed yet")
        model.answerLate(0)
        #expect(model.pool.totalCount == 0)
        #expect(model.complaints.isEmpty)
    }

    // MARK: Time

    @Test("idle connections are reaped together, down to minimumIdle, the longest idle first")
    func reaping() {
        let model = PoolModel {
            $0.minimumIdle = 1
            $0.idleTimeout = .seconds(300)
            $0.keepaliveTime = .zero
        }
        let leases = (0..<4).map { _ in model.lease()! }
        for lease in leases {
            model.putBack(lease)
            model.pass(.milliseconds(10))
        }
        model.finishAll()
        model.pass(.seconds(290))
        #expect(model.pool.totalCount >= 4)
        model.pass(.seconds(11))
        #expect(model.pool.totalCount == 1)
        #expect(
            model.log.contains("Reaped 3 idle connections (idle > 5m)")
                || model.log.contains("Reaped 4 idle connections (idle > 5m)"))
        #expect(model.pool.counters.destroyed == model.pool.counters.reaped)
    }

    @Test("toy: connections that were opened together do not all end together")
    func lifetimes() {
        let model = PoolModel {
            $0.maximumPoolSize = 100
            $0.minimumIdle = 100
            $0.connectingLimit = 100
            $0.keepaliveTime = .zero
        }
        model.finishAll()
        var ends: [LabDuration] = []
        let start = model.now
        while model.now - start < .seconds(1800) {
            let before = model.pool.counters.retired
            model.pass(.seconds(1))
            ends += Array(repeating: model.now - start, count: model.pool.counters.retired - before)
            while !model.connecting.isEmpty { model.connect() }
        }
        #expect(ends.count == 100, "each has ended")
        #expect(ends.min()! >= .seconds(1755), "at most 2.5 % early")
        let most = Dictionary(grouping: ends) { $0 }.values.map(\.count).max()!
        #expect(most <= 12, "\(most) of 100 in one second")
        #expect(model.pool.totalCount == 100)
    }

    @Test("a connection in use past its lifetime is closed when it comes back, not before")
    func lifetimeInUse() {
        let model = PoolModel()
        let lease = model.lease()!
        model.pass(.seconds(7200))
        #expect(model.pool.inUseCount == 1)
        model.putBack(lease)
        #expect(model.closed.map(\.1) == [.pastLifetime])
    }

    @Test("idle connections are asked now and then whether they live")
    func keepalive() {
        let model = PoolModel {
            $0.keepaliveTime = .seconds(60)
            $0.idleTimeout = .zero
        }
        model.putBack(model.lease()!)
        var asked: [LabDuration] = []
        for isAlive in [true, true, false] {
            let start = model.now
            while model.checking.isEmpty, model.now - start < .seconds(70) { model.pass(.seconds(1)) }
            asked.append(model.now - start)
            guard !model.checking.isEmpty else { break }
            #expect(model.pool.idleCount == 1)
            model.check(isAlive: isAlive)
        }
        #expect(asked.allSatisfy { $0 >= .seconds(48) && $0 <= .seconds(60) }, "\(asked)")
        #expect(Set(asked).count > 1, "and not all at the same time")
        #expect(model.pool.totalCount == 0)
    }

    @Test("being asked whether it lives does not make a connection the one that was used last")
    func keepaliveIsNoUse() {
        let model = PoolModel {
            $0.keepaliveTime = .seconds(60)
            $0.idleTimeout = .zero
            $0.aliveBypassWindow = .seconds(3600)
        }
        let leases = [model.lease()!, model.lease()!]
        for lease in leases { model.putBack(lease) }
        while model.checking.isEmpty, model.now - .documentedEpoch < .seconds(70) { model.pass(.milliseconds(10)) }
        let asked = model.checking
        #expect(asked.count == 1)
        model.check()
        #expect(model.lease()?.connection != asked.first)
    }

    @Test("a leak is reported once, with who, where and how long; and so is its end")
    func leak() {
        let model = PoolModel { $0.leakDetectionThreshold = .seconds(60) }
        let lease = model.lease("user 23", fileID: "Shop/Orders.swift", line: 47)!
        model.pass(.milliseconds(59_999))
        #expect(model.leaks.isEmpty)
        model.pass(.milliseconds(1))
        model.pass(.seconds(600))
        #expect(model.leaks.count == 1)
        #expect(
            model.log == [
                "WARNING: Connection borrowed 60s ago, not returned", "Borrowed at: Orders.swift:47 (user 23)",
            ])
        #expect(model.pool.holdings.map(\.isLeakReported) == [true])
        model.putBack(lease)
        #expect(model.log.last == "Connection reported as leaked by Orders.swift:47 (user 23) was returned after 11m")
    }

    @Test("toy: a clock that is set back, or stands still, neither fails nor hurries anybody")
    func clockJump() {
        let model = PoolModel { $0.maximumPoolSize = 1 }
        let lease = model.lease()!
        model.borrow()
        var pool = model.pool
        // Back by a day: no wait is negative, and nobody times out.
        pool.tick(now: model.now - .seconds(86_400))
        pool.putBack(lease, now: model.now - .seconds(86_400))
        let effects = pool.takeEffects()
        #expect(effects.contains { if case .lend = $0 { true } else { false } })
        #expect(!effects.contains { if case .fail = $0 { true } else { false } })
        #expect(pool.metrics.waits.maximum >= .zero && pool.metrics.waits.maximum < .seconds(1))
        #expect(pool.brokenInvariants == [])
    }

    // MARK: Operators

    @Test("a suspended pool holds newcomers without a limit of time, and serves them in order when it resumes")
    func suspension() {
        let model = PoolModel { $0.maximumPoolSize = 1 }
        let lease = model.lease()!
        model.borrow()
        model.operate("suspend") { _ = $0.suspend(now: $1) }
        #expect(model.isSuspended)
        model.borrow()
        model.putBack(lease)
        #expect(model.leases.count == 1, "whoever waited before is served")
        model.putBack(model.leases[0])
        #expect(model.leases.isEmpty, "and nobody else")
        model.pass(.seconds(3600))
        #expect(model.waiting.count == 1 && model.failures.isEmpty)
        model.operate("resume") { _ = $0.resume(now: $1) }
        #expect(!model.isSuspended)
        model.finishAll()
        #expect(model.leases.count == 1)
        #expect(model.complaints.isEmpty, "\(model.complaints.first ?? "")")
    }

    @Test("a suspended pool lends nothing, not even what lies idle")
    func suspendedWithIdle() {
        let model = PoolModel()
        model.putBack(model.lease()!)
        model.operate("suspend") { _ = $0.suspend(now: $1) }
        model.borrow()
        #expect(model.leases.isEmpty && model.waiting.count == 1 && model.pool.idleCount == 1)
        model.operate("resume") { _ = $0.resume(now: $1) }
        #expect(model.leases.count == 1 && model.waiting.isEmpty)
        #expect(model.complaints.isEmpty, "\(model.complaints.first ?? "")")
    }

    @Test("eviction is soft: idle connections go now, those in use when they come back")
    func softEviction() {
        let model = PoolModel()
        let (first, second) = (model.lease()!, model.lease()!)
        model.putBack(first)
        model.operate("evict") { pool, now in
            let result = pool.evictAll(now: now)
            #expect(result.now == 1 && result.later == 1)
        }
        #expect(model.owners.count == 1)
        model.putBack(second)
        #expect(model.pool.totalCount == 0)
    }

    @Test("a closing pool waits for what is out, for ten seconds, and turns everybody else away")
    func close() {
        let model = PoolModel()
        let (first, second) = (model.lease()!, model.lease()!)
        model.borrow()
        model.operate("close") { $0.close(now: $1) }
        #expect(model.failures == [.closed(pool: "pool")])
        #expect(model.late.count == 1, "the attempt under way was given up")
        guard case .refused(.closed) = model.borrow() else { return #expect(Bool(false)) }
        model.putBack(first)
        #expect(!model.isClosed)
        model.pass(.seconds(10))
        #expect(model.isClosed)
        #expect(model.closed.last?.1 == .aborted)
        #expect(model.putBack(second) == false)
    }

    // MARK: Starting

    @Test("a pool that cannot make its first connection in time does not start")
    func initializationFails() {
        let model = PoolModel { $0.initializationFailTimeout = .seconds(5) }
        model.borrow()
        for _ in 0..<30 where model.startFailure == nil {
            if model.connecting.isEmpty { model.pass(.milliseconds(100)) } else { model.connect(isOpen: false) }
            model.pass(.milliseconds(100))
        }
        #expect(model.startFailure == "connection refused")
        #expect(model.failures == [.notStarted(pool: "pool", reason: "connection refused")])
        #expect(model.pool.counters.connectAttempts > 3)
    }

    @Test("with a patience of zero it tries once, and starts whatever comes of it")
    func initializationZero() {
        let model = PoolModel { $0.initializationFailTimeout = .zero }
        model.borrow()
        model.connect(isOpen: false)
        #expect(model.pool.phase == .running)
        model.pass(.seconds(1))
        model.connect()
        #expect(model.leases.count == 1)
    }

    @Test("settings that cannot be are refused, with what they may be")
    func settings() {
        func refusal(_ change: (inout Pool.Configuration) -> Void) -> String? {
            var configuration = Pool.Configuration()
            change(&configuration)
            do throws(Pool.ConfigurationError) {
                try configuration.validate()
                return nil
            } catch { return error.description }
        }
        #expect(refusal { _ in } == nil)
        #expect(refusal { $0.maximumPoolSize = 0 } == "maximumPoolSize 0 cannot be: 1 to 10000")
        #expect(
            refusal { $0.connectionTimeout = .milliseconds(249) }
                == "connectionTimeout 249ms is too short: at least 250ms, or 0 for no limit")
        #expect(refusal { $0.connectionTimeout = .zero } == nil)
        #expect(refusal { $0.connectionTimeout = .seconds(1) } == nil, "validationTimeout follows")
        #expect(refusal { $0.validationTimeout = .seconds(31) }?.contains("must not exceed") == true)
        #expect(refusal { $0.minimumIdle = 11 } == "minimumIdle 11 cannot be: 0 to maximumPoolSize (10)")
        #expect(refusal { $0.maxLifetime = .seconds(29) }?.contains("at least 30s") == true)
    }
}

import ConnectionPoolEngine
import KernelStructures
import Synchronization
import TestSupport
import Testing

/// A database of which only the sessions exist.
private final class Sessions: Sendable {
    struct State {
        var opened = 0
        var open: Set<Int> = []
        var inUse: Set<Int> = []
        var clashes = 0
        var mostOpen = 0
        var resets: [Int] = []
        var isDown = false
    }
    let state = Mutex(State())

    struct Down: Error {}

    var factory: ConnectionFactory<Int> {
        ConnectionFactory(
            connect: { [self] in
                await Task.yield()
                return try state.withLock { state in
                    if state.isDown { throw Down() }
                    state.opened += 1
                    state.open.insert(state.opened)
                    state.mostOpen = max(state.mostOpen, state.open.count)
                    return state.opened
                }
            },
            isAlive: { [self] session in state.withLock { !$0.isDown && $0.open.contains(session) } },
            reset: { [self] session in state.withLock { $0.resets.append(session) } },
            close: { [self] session in _ = state.withLock { $0.open.remove(session) } })
    }

    func use(_ session: Int) async {
        state.withLock { state in
            if !state.inUse.insert(session).inserted || !state.open.contains(session) { state.clashes += 1 }
        }
        await Task.yield()
        _ = state.withLock { $0.inUse.remove(session) }
    }
}

/// The pool as another package uses it.
@Suite(.timeLimit(.minutes(5))) struct LibraryTests {
    private func configuration(
        _ size: Int, _ change: (inout ConnectionPool.Configuration) -> Void = { _ in }
    ) -> ConnectionPool.Configuration {
        var configuration = ConnectionPool.Configuration()
        configuration.maximumPoolSize = size
        configuration.minimumIdle = 0
        configuration.initializationFailTimeout = nil
        change(&configuration)
        return configuration
    }

    /// The README's usage, as it stands there.
    // @covers POOL-B1 POOL-H5
    @Test("the documented usage, in Swift's manner")
    func usage() async throws {
        struct Connection: Sendable { func query(_ text: String) async -> String { "answer to \(text)" } }
        @Sendable func dial(_ host: String, _ port: Int) async throws -> Connection { Connection() }

        var configuration = ConnectionPool.Configuration()
        configuration.maximumPoolSize = 10
        configuration.idleTimeout = .seconds(300)
        configuration.testsOnBorrow = true

        let pool = try AsyncConnectionPool(
            configuration, ConnectionFactory(connect: { try await dial("db", 5432) }))

        let answer = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await pool.run() }
            defer { group.cancelAll() }
            // Waits if the pool is exhausted, and gives the connection back however the block ends.
            return try await pool.withConnection { connection in
                await connection.query("select 1")
            }
        }
        #expect(answer == "answer to select 1")
    }

    private func running<R: Sendable>(
        _ pool: AsyncConnectionPool<Int>, _ body: @Sendable () async throws -> R
    ) async throws -> R {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await pool.run() }
            let result = try await body()
            group.cancelAll()
            return result
        }
    }

    @Test("fifty tasks share ten connections, none of them twice at a time", arguments: [true, false])
    func sharing(isFair: Bool) async throws {
        let sessions = Sessions()
        let pool = try AsyncConnectionPool(
            configuration(10) { $0.isFair = isFair }, sessions.factory, clock: ManualClock())
        try await running(pool) {
            await withTaskGroup(of: Void.self) { group in
                for user in 0..<50 {
                    group.addTask {
                        for _ in 0..<200 {
                            try? await pool.withConnection(by: "user \(user)") { await sessions.use($0) }
                        }
                    }
                }
            }
            #expect(pool.withEngine { $0.brokenInvariants } == [])
            #expect(pool.withEngine { $0.counters.borrowed } == 10_000)
        }
        sessions.state.withLock { state in
            #expect(state.clashes == 0)
            #expect(state.mostOpen <= 10)
            #expect(state.open.isEmpty, "all are closed when run has returned")
        }
    }

    @Test("cancelled borrowers leave the line and take nothing with them")
    func cancellation() async throws {
        let sessions = Sessions()
        let pool = try AsyncConnectionPool(configuration(3), sessions.factory, clock: ManualClock())
        try await running(pool) {
            for round in 0..<200 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<10 {
                        group.addTask {
                            // Whoever got it although it was cancelled gives it back, as always.
                            if let loan = try? await pool.borrow() { loan.giveBack() }
                        }
                    }
                    if round % 2 == 0 { await Task.yield() }
                    group.cancelAll()
                }
            }
            var loans: [AsyncConnectionPool<Int>.Loan] = []
            for _ in 0..<3 { loans.append(try await pool.borrow()) }
            #expect(pool.borrowIfFree() == nil, "three, and not four")
            #expect(pool.withEngine { $0.waitingCount } == 0)
            for loan in loans { loan.giveBack() }
            #expect(pool.withEngine { $0.brokenInvariants } == [])
        }
    }

    @Test("with callbacks: at once if one is free, later if not, and cancelled if wanted")
    func callbacks() async throws {
        let sessions = Sessions()
        let pool = try AsyncConnectionPool(configuration(1), sessions.factory, clock: ManualClock())
        try await running(pool) {
            let loan = try await pool.borrow()
            #expect(pool.borrowIfFree() == nil)
            let heard = Mutex<[String]>([])
            let ticket = pool.borrow { result in
                heard.withLock { $0.append(result.text) }
            }
            pool.borrow { result in
                heard.withLock { $0.append(result.text) }
                if case .success(let loan) = result { loan.giveBack() }
            }
            #expect(heard.withLock { $0 } == [])
            #expect(pool.cancel(ticket!))
            #expect(!pool.cancel(ticket!))
            loan.giveBack()
            #expect(heard.withLock { $0 } == ["CancellationError()", "lent"])
            #expect(loan.giveBack() == false, "once is enough")
            #expect(pool.borrowIfFree() != nil)
        }
    }

    @Test("an error in the middle resets the connection, a cancellation closes it")
    func errors() async throws {
        struct Trouble: Error {}
        let sessions = Sessions()
        let pool = try AsyncConnectionPool(configuration(1), sessions.factory, clock: ManualClock())
        try await running(pool) {
            await #expect(throws: Trouble.self) { try await pool.withConnection { _ in throw Trouble() } }
            let next1 = try await pool.withConnection { $0 }
            #expect(next1 == 1)
            await #expect(throws: CancellationError.self) {
                try await pool.withConnection { _ in throw CancellationError() }
            }
            let next2 = try await pool.withConnection { $0 }
            #expect(next2 == 2)
        }
        #expect(sessions.state.withLock { $0.resets } == [1])
    }

    @Test("time is the clock's: waits end, leaks are reported, idle connections go")
    func time() async throws {
        let sessions = Sessions()
        let clock = ManualClock()
        let leaks = Mutex<[String]>([])
        let pool = try AsyncConnectionPool(
            configuration(1) {
                $0.leakDetectionThreshold = .seconds(60)
                $0.idleTimeout = .seconds(300)
                $0.keepaliveTime = .zero
            },
            sessions.factory, clock: clock,
            onLeak: { leak in leaks.withLock { $0.append("\(leak.borrower.name) \(leak.heldFor)") } })
        try await running(pool) {
            let loan = try await pool.borrow(by: "forgetful")
            let waits = Mutex<String?>(nil)
            pool.borrow(timeout: .seconds(5)) { result in waits.withLock { $0 = result.text } }
            try await until {
                clock.advance(by: .seconds(1)); return waits.withLock { $0 } != nil
            }
            #expect(waits.withLock { $0 }!.contains("timed out after"))
            try await until {
                clock.advance(by: .seconds(10)); return !leaks.withLock { $0.isEmpty }
            }
            #expect(leaks.withLock { $0 }[0].hasPrefix("forgetful "))
            loan.giveBack()
            try await until {
                clock.advance(by: .seconds(30)); return sessions.state.withLock { $0.open.isEmpty }
            }
            #expect(pool.withEngine { $0.counters.reaped } == 1)
        }
    }

    /// Lets other tasks run until something is so.
    private func until(_ isSo: () -> Bool) async throws {
        for _ in 0..<100_000 {
            if isSo() { return }
            for _ in 0..<20 { await Task.yield() }
        }
        Issue.record("it never came to be")
    }

    @Test("a pool that was closed before it ran ends at once")
    func closedEarly() async throws {
        let sessions = Sessions()
        let pool = try AsyncConnectionPool(configuration(2), sessions.factory)
        pool.close()
        await pool.run()
        await #expect(throws: ConnectionPool.Failure.closed(pool: "pool")) { _ = try await pool.borrow() }
        #expect(sessions.state.withLock { $0.opened } == 0)
    }

    @Test("a pool that cannot make its first connection stops running, and says why to whoever asks")
    func notStarted() async throws {
        let sessions = Sessions()
        sessions.state.withLock { $0.isDown = true }
        let pool = try AsyncConnectionPool(
            configuration(2) { $0.initializationFailTimeout = .milliseconds(1) }, sessions.factory)
        await pool.run()
        await #expect(throws: ConnectionPool.Failure.self) { _ = try await pool.borrow() }
    }

    @Test("a pool that is closed turns away whoever comes, and waits for what is out")
    func close() async throws {
        let sessions = Sessions()
        let pool = try AsyncConnectionPool(configuration(2), sessions.factory, clock: ManualClock())
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await pool.run() }
            let loan = try? await pool.borrow()
            pool.close()
            await #expect(throws: ConnectionPool.Failure.closed(pool: "pool")) { _ = try await pool.borrow() }
            #expect(sessions.state.withLock { $0.open.count } == 1)
            loan?.giveBack()
            // `run` returns by itself.
        }
        #expect(sessions.state.withLock { $0.open.isEmpty })
    }
}

extension Result {
    fileprivate var text: String {
        switch self {
        case .success: "lent"
        case .failure(let error): "\(error)"
        }
    }
}

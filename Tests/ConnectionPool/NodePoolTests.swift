import ConnectionPoolEngine
import ConnectionPoolService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// The pool on the World's streams, with a database that can be killed.
@Suite struct NodePoolTests {
    typealias Pool = NodePool<RESPConnection>

    private final class Lab {
        let world: World
        let client: Node
        var database: PoolDatabase!
        let pool: Pool

        init(_ change: (inout ConnectionPool.Configuration) -> Void = { _ in }) throws {
            world = memoryWorld()
            client = world.node("app")
            var configuration = ConnectionPool.Configuration()
            configuration.minimumIdle = 0
            configuration.initializationFailTimeout = nil
            change(&configuration)
            let node = client
            pool = Pool(node: node, configuration: configuration) { _ in
                RESPConnection(node, to: HostPort(host: "db", port: 5432))
            }
            try startDatabase()
            pool.start()
        }

        deinit { world.shutDown() }

        func startDatabase() throws {
            var settings = PoolDatabase.Settings(port: 5432)
            settings.connectLatency = .milliseconds(150)
            settings.queryLatency = .milliseconds(2)
            database = PoolDatabase(node: world.node("db"), settings: settings)
            try database.start()
        }

        /// Borrows and lets time pass until there is an answer.
        func borrow() -> Result<Pool.Loan, ConnectionPool.Failure>? {
            var answer: Result<Pool.Loan, ConnectionPool.Failure>?
            pool.borrow { answer = $0 }
            for _ in 0..<200 where answer == nil { world.pass(.milliseconds(200)) }
            return answer
        }

        func ask(_ loan: Pool.Loan, _ words: String...) -> String {
            var answer = "nothing"
            loan.connection.send(words) { result in
                switch result {
                case .success(let value): answer = value.text ?? value.errorText ?? "?"
                case .failure(let failure): answer = "\(failure)"
                }
            }
            world.pass(.milliseconds(100))
            return answer
        }
    }

    @Test("connections are opened over the network, used, given back and used again")
    func roundTrip() throws {
        let lab = try Lab()
        let loan = try lab.borrow()!.get()
        #expect(lab.ask(loan, "QUERY") == "OK")
        loan.close()
        let again = try lab.borrow()!.get()
        #expect(again.lease.connection.number == 1)
        #expect(lab.database.acceptedCount == 1)
        #expect(lab.pool.engine.metrics.creation.sum == 150)
    }

    @Test("toy: a transaction left open is rolled back before the next borrower gets the connection")
    func dirtySession() throws {
        let lab = try Lab { $0.maximumPoolSize = 1 }
        let first = try lab.borrow()!.get()
        #expect(lab.ask(first, "BEGIN") == "OK")
        #expect(lab.ask(first, "SESSION") == "open")
        first.close()
        let second = try lab.borrow()!.get()
        #expect(second.lease.connection == first.lease.connection)
        #expect(lab.ask(second, "SESSION") == "idle")
        // One that was ended properly costs no reset.
        _ = lab.ask(second, "BEGIN")
        _ = lab.ask(second, "COMMIT")
        second.close()
        #expect(lab.pool.engine.counters.resets == 1)
    }

    @Test("toy: after the database was killed nobody gets a dead connection", arguments: [true, false])
    func killedDatabase(hasPower: Bool) throws {
        let lab = try Lab()
        let loans = try (0..<4).map { _ in try lab.borrow()!.get() }
        for loan in loans { loan.close() }
        #expect(lab.pool.engine.idleCount == 4)
        // Without power nobody says goodbye: only a check can find out.
        lab.database.node.end(hasPower ? .killed : .poweredOff)
        lab.world.pass(.seconds(1))
        #expect(lab.pool.engine.totalCount == (hasPower ? 0 : 4))
        try lab.startDatabase()
        let loan = try lab.borrow()!.get()
        #expect(lab.ask(loan, "QUERY") == "OK")
    }

    @Test("a connection that is returned with an answer still to come is closed")
    func pendingAnswer() throws {
        let lab = try Lab()
        let loan = try lab.borrow()!.get()
        var answer: Result<RESPValue, RESPClientFailure>?
        loan.connection.send(["QUERY"]) { answer = $0 }
        loan.close()
        lab.world.pass(.milliseconds(1))
        #expect(lab.pool.engine.totalCount == 0)
        #expect(answer != nil, "whoever asked is told")
    }

    @Test("a borrower may borrow and return from within its callback")
    func reentrance() throws {
        let lab = try Lab { $0.maximumPoolSize = 2 }
        var served = 0
        func again(_ rounds: Int) {
            lab.pool.borrow { result in
                guard case .success(let loan) = result else { return }
                served += 1
                loan.close()
                if rounds > 1 { again(rounds - 1) }
            }
        }
        for _ in 0..<5 { again(20) }
        lab.world.pass(.seconds(2))
        #expect(served == 100)
        #expect(lab.pool.engine.brokenInvariants == [])
    }

    @Test("toy: setting the calendar fails nobody and reaps nothing")
    func calendar() throws {
        let lab = try Lab { $0.maximumPoolSize = 1 }
        let loan = try lab.borrow()!.get()
        var answers = 0
        lab.pool.borrow { _ in answers += 1 }
        for skew in [86_400, -86_400] {
            lab.client.clockSkew = .seconds(skew)
            lab.world.pass(.milliseconds(10))
        }
        #expect(answers == 0 && lab.pool.engine.totalCount == 1)
        loan.close()
        #expect(answers == 1)
    }

    @Test("what a frozen database holds up is given up after the time for checks, and others are served")
    func frozenDatabase() throws {
        let lab = try Lab { $0.validationTimeout = .seconds(1) }
        try lab.borrow()!.get().close()
        lab.world.pass(.seconds(1))
        lab.database.node.freeze()
        var answer: Result<Pool.Loan, ConnectionPool.Failure>?
        lab.pool.borrow { answer = $0 }
        lab.world.pass(.seconds(2))
        #expect(lab.pool.engine.totalCount == 0 && answer == nil)
        lab.database.node.thaw()
        lab.world.pass(.seconds(1))
        if case .success = answer {} else { Issue.record("nobody was served") }
    }

    // MARK: Other protocols

    @Test("bare TCP connections: kept, given up when closed or spoken on unasked")
    func tcp() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let server = try ScriptedServer(world.node("server"), port: 7)
        let node = world.node("app")
        var configuration = ConnectionPool.Configuration()
        configuration.minimumIdle = 0
        configuration.initializationFailTimeout = nil
        let pool = NodePool(node: node, configuration: configuration) { _ in
            TCPConnection(node, to: HostPort(host: "server", port: 7))
        }
        pool.start()
        server.onReceived = { $0.write("pong") }
        var heard = ""
        pool.borrow { result in
            guard case .success(let loan) = result else { return }
            loan.connection.onReceived = { bytes in
                heard += String(decoding: bytes, as: UTF8.self)
                loan.close()
            }
            loan.connection.write(Array("ping".utf8))
        }
        world.pass(.milliseconds(10))
        #expect(heard == "pong" && pool.engine.idleCount == 1)
        // One that is lost in its first second counts as an attempt that failed.
        world.pass(.seconds(1))
        server.connections[0].write("by the way")
        world.pass(.milliseconds(10))
        #expect(pool.engine.totalCount == 0)
        pool.borrow { if case .success(let loan) = $0 { loan.close() } }
        world.pass(.milliseconds(10))
        server.connections[1].stream.close()
        world.pass(.milliseconds(10))
        #expect(pool.engine.totalCount == 0)
        #expect(pool.engine.counters.foundDead == 2)
    }

    @Test("toy: who gives back a second time does not deafen the borrower after it")
    func secondReturn() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let server = try ScriptedServer(world.node("server"), port: 7)
        server.onReceived = { $0.write("pong") }
        let node = world.node("app")
        var configuration = ConnectionPool.Configuration()
        configuration.minimumIdle = 0
        configuration.initializationFailTimeout = nil
        let pool = NodePool(node: node, configuration: configuration) { _ in
            TCPConnection(node, to: HostPort(host: "server", port: 7))
        }
        pool.start()
        var loans: [NodePool<TCPConnection>.Loan] = []
        var heard = ""
        func borrow() {
            pool.borrow { if case .success(let loan) = $0 { loans.append(loan) } }
            world.pass(.milliseconds(10))
        }
        borrow()
        loans[0].close()
        borrow()
        #expect(loans.count == 2 && loans[0].connection === loans[1].connection)
        loans[1].connection.onReceived = { heard += String(decoding: $0, as: UTF8.self) }
        loans[0].close()
        loans[1].connection.write(Array("ping".utf8))
        world.pass(.milliseconds(10))
        #expect(heard == "pong" && pool.engine.counters.rejectedReturns == 1)
    }

    @Test("HTTP connections: one serves many requests, and one that will be closed is not kept")
    func http() throws {
        let world = memoryWorld()
        defer { world.shutDown() }
        let server = try ScriptedServer(world.node("server"), port: 80)
        let node = world.node("app")
        var configuration = ConnectionPool.Configuration()
        configuration.minimumIdle = 0
        configuration.initializationFailTimeout = nil
        let pool = NodePool(node: node, configuration: configuration) { _ in
            HTTPConnection(node, to: HostPort(host: "server", port: 80))
        }
        pool.start()
        server.onReceived = { connection in
            guard connection.text.hasSuffix("\r\n\r\n") else { return }
            let isLast = connection.text.split(separator: "GET").count == 3
            connection.write(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\(isLast ? "Connection: close\r\n" : "")\r\nhi")
        }
        var statuses: [Int] = []
        for _ in 0..<4 {
            pool.borrow { result in
                guard case .success(let loan) = result else { return }
                loan.connection.get("/") { answer in
                    if case .success(let response) = answer { statuses.append(response.status) }
                    loan.close()
                }
            }
            world.pass(.milliseconds(10))
        }
        #expect(statuses == [200, 200, 200, 200])
        #expect(server.connections.count == 2, "three requests, then a new connection")
        #expect(pool.engine.brokenInvariants == [])
    }

    @Test("two runs of the same seed tell the same story")
    func determinism() throws {
        func story() throws -> String {
            let lab = try Lab {
                $0.isFair = false
                $0.leakDetectionThreshold = .seconds(2)
            }
            for number in 0..<30 {
                lab.pool.borrow(by: "user \(number)") { result in
                    guard case .success(let loan) = result, number % 7 != 0 else { return }
                    loan.connection.send(["QUERY"]) { _ in loan.close() }
                }
            }
            lab.world.pass(.seconds(3))
            lab.database.node.end(.killed)
            lab.world.pass(.seconds(5))
            return lab.world.journal.text
        }
        let first = try story()
        let second = try story()
        #expect(second == first)
        #expect(first.contains("WARNING: Connection borrowed"))
    }
}

import Glibc
import Testing

/// The connection pool as a process, with databases that this project did not write.
@Suite(.enabled(if: ProgramTool.canRun("redis-cli", "redis-server"))) struct ProcessPoolTests {
    private func cli(_ port: UInt16, _ words: String...) throws -> String {
        let client = try ProgramProcess(
            ["-p", "\(port)"] + words, program: try ProgramTool.needed("redis-cli"))
        _ = try client.waitForExit()
        return client.output + client.errors
    }

    private func redis(_ port: UInt16) throws -> ProgramProcess {
        try ProgramProcess.tool(
            "redis-server", ["--port", "\(port)", "--save", "", "--bind", "127.0.0.1"], port: port)
    }

    @Test("the documented program as a process of its own, with its database, in real time")
    func documented() throws {
        let port = try ProgramPort.free()
        let test = try ProgramProcess(
            [
                "pool-test", "--max-conns", "10", "--concurrent-users", "50", "--db-port", "\(port)", "--latency",
                "300ms",
            ])
        try test.waitFor("Avg wait time")
        #expect(test.output.contains("[POOL] Created: 10, Idle: 0, In-use: 10\n"))
        #expect(test.output.contains(" users waiting...\n"))
        #expect(test.output.contains("[POOL] Created: 10, Idle: 3, In-use: 7\n"))
        test.send(SIGTERM)
        #expect(try test.waitForExit() == 0)
        #expect(test.errors == "")
    }

    // @covers POOL-C2 POOL-H5
    @Test(
        "fifty users share ten sessions with Debian's PostgreSQL, and no transaction of one reaches another",
        .enabled(if: ProgramPostgres.canRun))
    func sharedPostgres() throws {
        let server = try ProgramPostgres()
        let test = try ProgramProcess(
            [
                "pool-test", "--db", "postgres://127.0.0.1:\(server.port)/postgres", "--max-conns", "10",
                "--concurrent-users", "50", "--rounds", "20", "--leaks", "0", "--transactions",
            ])
        try test.waitFor("Avg wait time")
        #expect(test.output.contains("[POOL] Created: 10, Idle: 0, In-use: 10\n"))
        let sessions = """
            select count(*), count(*) filter (where state <> 'idle') from pg_stat_activity
            where application_name <> 'psql' and backend_type = 'client backend'
            """
        #expect(try server.psql("-Atc", sessions) == "10|0\n")
        test.send(SIGTERM)
        #expect(try test.waitForExit() == 0)
        #expect(test.errors == "")
    }

    @Test("redis-cli talks to pool-db")
    func database() throws {
        let port = try ProgramPort.free()
        let database = try ProgramProcess.service("pool-db", "--latency", "1ms", port: port)
        #expect(try cli(port, "PING") == "PONG\n")
        #expect(try cli(port, "QUERY") == "OK\n")
        #expect(try cli(port, "QUERY", "often").contains("QUERY takes milliseconds, 0 to 86400000, not 'often'"))
        #expect(try cli(port, "COMMIT").contains("there is no transaction in progress"))
        database.send(SIGTERM)
        #expect(try database.waitForExit() == 0)
    }

    @Test("a thousand commands of fifty users reach a real Redis over ten connections")
    func sharedRedis() throws {
        let port = try ProgramPort.free()
        let redis = try redis(port)
        let test = try ProgramProcess([
            "pool-test", "--db", "localhost:\(port)", "--leaks", "0", "--rounds", "20", "--command", "INCR visits",
        ])
        try test.waitFor("Avg wait time")
        #expect(try cli(port, "GET", "visits") == "1000\n")
        let clients = try cli(port, "CLIENT", "LIST").split(separator: "\n")
        #expect(clients.count <= 11, "ten, and redis-cli itself: \(clients)")
        #expect(redis.isRunning)
    }

    @Test("a Redis that is killed and comes back is used again, without a storm of attempts")
    func killedRedis() throws {
        let port = try ProgramPort.free()
        let first = try redis(port)
        let test = try ProgramProcess([
            "pool-test", "--db", "localhost:\(port)", "--leaks", "0", "--rounds", "forever", "--think", "20ms",
            "--command", "INCR visits",
        ])
        #expect(try ProgramClock.wait { Int(try cli(port, "GET", "visits").dropLast()) ?? 0 > 100 })
        first.send(SIGKILL)
        _ = try first.waitForExit()
        // Refused, or reset if one was on its way just then.
        try test.waitFor("Cannot connect: ")
        let second = try redis(port)
        try test.waitFor("Connected again after", within: 30)
        #expect(try ProgramClock.wait { Int(try cli(port, "GET", "visits").dropLast()) ?? 0 > 100 })
        #expect(second.isRunning && test.isRunning)
    }

    @Test("a port that is taken is named, with what to do")
    func takenPort() throws {
        let port = try ProgramPort.free()
        let database = try ProgramProcess.service("pool-db", port: port)
        let test = try ProgramProcess.run("pool-test", "--db-port", "\(port)")
        #expect(test.status == 1)
        #expect(test.errors.contains("port \(port) is in use"))
        #expect(database.isRunning)
    }
}

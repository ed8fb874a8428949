import Glibc
import KernelStructures
import KernelWire
import TestSupport
import Testing

/// `sdlab lsm-kv` under the programs that are made for Redis, and beside Redis itself.
@Suite(.enabled(if: ProgramTool.canRun("redis-cli", "redis-benchmark", "redis-server"))) struct ProcessRedisTests {
    /// Both servers, each on a directory and a port of its own.
    private struct Pair {
        let directory: ProgramDirectory
        let ours: ProgramProcess
        let redis: ProgramProcess
        let ports: (ours: UInt16, redis: UInt16)

        init() throws {
            directory = try ProgramDirectory()
            ports = (try ProgramPort.free(), try ProgramPort.free())
            ours = try ProgramProcess.service("lsm-kv", "--data-dir", directory.path + "/kv", port: ports.ours)
            redis = try ProgramProcess.tool(
                "redis-server",
                ["--port", "\(ports.redis)", "--save", "", "--dir", directory.path, "--bind", "127.0.0.1"],
                port: ports.redis)
        }
    }

    private func server(_ arguments: String...) throws -> (ProgramProcess, UInt16, ProgramDirectory) {
        let directory = try ProgramDirectory()
        let port = try ProgramPort.free()
        let process = try ProgramProcess(
            ["lsm-kv", "--data-dir", directory.path + "/kv", "--port", "\(port)"] + arguments)
        try process.waitUntilListening(on: port)
        return (process, port, directory)
    }

    private func tool(_ name: String, _ port: UInt16, _ arguments: [String], input: String = "") throws -> String {
        let process = try ProgramProcess(
            ["-p", "\(port)"] + arguments, input: input, program: try ProgramTool.needed(name))
        #expect(try process.waitForExit() == 0)
        #expect(process.errors == "")
        return process.output
    }

    @Test("redis-cli shows the same with both servers", arguments: [[], ["-3"]])
    func commandLine(_ arguments: [String]) throws {
        let pair = try Pair()
        let script = """
            SET user:1 "{\\"name\\": \\"Alice\\"}"
            GET user:1
            GET nosuch
            MSET a 1 b 2 c 3
            MGET a b nosuch
            INCRBYFLOAT a 0.1
            EXPIRE a 100
            TTL a
            TYPE a
            MULTI
            INCR n
            GET user:1
            EXEC
            SETRANGE s 3 xyz
            HELLO 9
            FOO bar "b c"
            GET
            CLIENT SETNAME
            CONFIG GET appendfsync
            COMMAND GETKEYS MSET a 1 b 2
            EXISTS a b nosuch
            DEL a b c n s user:1
            DBSIZE

            """
        let ours = try tool("redis-cli", pair.ports.ours, arguments, input: script)
        #expect(ours == (try tool("redis-cli", pair.ports.redis, arguments, input: script)))
        #expect(ours.contains("{\"name\": \"Alice\"}"))
        withExtendedLifetime(pair) {}
    }

    @Test("redis-cli scans, looks for big keys, and reads what INFO says")
    func commandLineViews() throws {
        let (process, port, directory) = try server()
        for number in 0..<300 { _ = try? tool("redis-cli", port, ["SET", "key:\(number)", "v"]) }
        #expect(try tool("redis-cli", port, ["--scan", "--pattern", "key:1*"]).split(separator: "\n").count == 111)
        #expect(try tool("redis-cli", port, ["--bigkeys"]).contains("300 strings with 300 bytes"))
        #expect(try tool("redis-cli", port, ["INFO", "keyspace"]).contains("db0:keys=300,expires=0,"))
        #expect(try tool("redis-cli", port, ["LSM", "TRACE", "key:7"]).contains("memtable: found"))
        withExtendedLifetime((process, directory)) {}
    }

    @Test("a thread makes writes durable within a second or two, and a checkpoint opens as a store")
    func durability() throws {
        let (process, port, directory) = try server()
        for number in 0..<50 { #expect(try tool("redis-cli", port, ["SET", "key:\(number)", "v"]) == "OK\n") }
        #expect(try tool("redis-cli", port, ["LSM", "FLUSH"]) == "OK\n")
        #expect(try tool("redis-cli", port, ["SET", "last", "v"]) == "OK\n")
        let isDurable = try ProgramClock.wait {
            try tool("redis-cli", port, ["INFO", "persistence"]).contains("unsynced_bytes:0")
        }
        #expect(isDurable)
        #expect(!(try tool("redis-cli", port, ["INFO", "persistence"])).contains("\nsyncs:0"))
        #expect(!(try tool("redis-cli", port, ["INFO", "cpu"])).contains("used_cpu_user:0.000000"))
        #expect(try tool("redis-cli", port, ["BGSAVE"]) == "Background saving started\n")
        let isSaved = try ProgramClock.wait {
            try tool("redis-cli", port, ["INFO", "persistence"]).contains("rdb_bgsave_in_progress:0")
        }
        #expect(isSaved)
        #expect(try tool("redis-cli", port, ["FLUSHALL"]) == "OK\n")
        #expect(try tool("redis-cli", port, ["DBSIZE"]) == "0\n")
        let other = try ProgramPort.free()
        let copy = try ProgramProcess.service("lsm-kv", "--data-dir", directory.path + "/kv/checkpoint", port: other)
        #expect(try tool("redis-cli", other, ["DBSIZE"]) == "51\n")
        #expect(try tool("redis-cli", other, ["GET", "last"]) == "v\n")
        withExtendedLifetime((process, copy, directory)) {}
    }

    @Test("redis-benchmark measures it, pipelined or not, synced with each write or not")
    func benchmark() throws {
        for arguments in [["--appendfsync", "always"], []] {
            let (process, port, directory) = try server(arguments.first ?? "--appendfsync", arguments.last ?? "no")
            for pipeline in ["1", "16"] {
                let said = try tool(
                    "redis-benchmark", port,
                    ["-q", "-n", "2000", "-c", "20", "-P", pipeline, "-r", "500", "-t", "ping,set,get,incr,mset"])
                let results = said.split(whereSeparator: { "\r\n".contains($0) })
                    .filter { $0.contains("requests per second") }
                for name in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
                    #expect(results.contains { $0.contains("\(name): ") }, "\(name) in \(said)")
                }
                #expect(!said.contains("Error") && !said.contains("WARNING"), "\(said)")
            }
            withExtendedLifetime((process, directory)) {}
        }
    }

    // MARK: Beside Redis

    @Test("random histories have the same replies as Redis's, byte for byte", arguments: 1...4 as ClosedRange<UInt64>)
    func histories(_ seed: UInt64) throws {
        let pair = try Pair()
        var commands = RedisHistory(seed: seed)
        let connections = [try ProgramConnection(port: pair.ports.ours), try ProgramConnection(port: pair.ports.redis)]
        var readers = [RESPReplyReader(), RESPReplyReader()]
        for _ in 0..<ProgramSize.full(20_000, else: 1500) {
            let command = commands.next()
            var answers: [RESPValue] = []
            for side in 0..<2 {
                try connections[side].send(command + "\r\n")
                answers.append(try reply(connections[side], &readers[side]))
            }
            #expect(answers[0] == answers[1], "seed \(seed): \(command)")
            if answers[0] != answers[1] { return }
        }
    }

    private func reply(_ connection: ProgramConnection, _ reader: inout RESPReplyReader) throws -> RESPValue {
        let deadline = ProgramClock.seconds + ProgramClock.patience
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while ProgramSocket.isReadable(connection.descriptor, until: deadline) {
            let count = read(connection.descriptor, &buffer, buffer.count)
            guard count > 0 else { throw ProgramTrouble("the server closed the connection") }
            var position = 0
            switch buffer[..<count].withUnsafeBytes({ reader.next($0, &position) }) {
            case .needMore: continue
            case .value(let value): return value
            case .failed(let error): throw ProgramTrouble("\(error)")
            }
        }
        throw ProgramTrouble("no reply")
    }

    // MARK: redis-py

    @Test("redis-py works with it, in both versions of the protocol", .enabled(if: TestPython.canRun))
    func python() throws {
        let (process, port, directory) = try server()
        for version in [2, 3] {
            let output = try TestPython.run(Self.script, input: "\(port) \(version)")
            #expect(output == "all is well\n")
        }
        withExtendedLifetime((process, directory)) {}
    }

    private static let script = """
        import redis, sys
        port, version = map(int, sys.stdin.read().split())
        r = redis.Redis(port=port, protocol=version, decode_responses=True)
        r.flushall()
        assert r.ping() and r.info()["redis_version"] == "7.0.15"
        assert r.set("a", 1) and r.get("a") == "1" and r.get("nosuch") is None
        assert r.set("a", 2, nx=True) is None and r.set("a", 2, get=True) == "1"
        assert r.mset({"b": 1, "c": 2}) and r.mget("a", "b", "nosuch") == ["2", "1", None]
        assert r.incrby("b", 5) == 6 and r.incrbyfloat("b", 0.5) == 6.5
        assert r.expire("a", 100) and 99 <= r.ttl("a") <= 100 and r.persist("a")
        assert r.getrange("c", 0, -1) == "2" and r.append("c", "xy") == 3 and r.strlen("c") == 3
        assert r.exists("a", "b", "nosuch") == 2 and r.delete("a") == 1 and r.type("b") == "string"
        with r.pipeline() as pipeline:
            for number in range(500):
                pipeline.set(f"key:{number}", number)
            assert pipeline.execute() == [True] * 500
        assert sorted(r.scan_iter("key:*", count=17)) == sorted(f"key:{n}" for n in range(500))
        assert r.dbsize() == 502
        def add(pipeline):
            value = int(pipeline.get("n") or 0)
            pipeline.multi()
            pipeline.set("n", value + 1)
        r.transaction(add, "n")
        assert r.get("n") == "1"
        with r.pipeline() as pipeline:
            pipeline.watch("n")
            r.set("n", 5)
            pipeline.multi()
            pipeline.set("n", 6)
            try:
                pipeline.execute()
                assert False, "the watched key was written"
            except redis.WatchError:
                pass
        assert r.client_setname("me") and r.client_getname() == "me"
        assert r.client_info()["lib-name"] == "redis-py" and len(r.client_list()) >= 1
        assert r.config_get("appendfsync") == {"appendfsync": "everysec"} and r.config_set("appendfsync", "always")
        assert r.config_set("appendfsync", "everysec") and r.command_count() > 50 and "get" in r.command()
        try:
            r.execute_command("NOSUCH")
            assert False
        except redis.ResponseError as error:
            assert str(error).startswith("unknown command 'NOSUCH'")
        binary = redis.Redis(port=port, protocol=version)
        assert binary.set(bytes(range(256)), bytes(range(255, -1, -1)) * 1000)
        assert binary.get(bytes(range(256))) == bytes(range(255, -1, -1)) * 1000
        print("all is well")
        """
}

/// Commands by chance, over few keys, with mistakes among them. Left out is what two servers may answer differently:
/// the order of keys, times that pass between two commands, several databases, and DBSIZE, in which Redis counts keys
/// that have ended already.
struct RedisHistory {
    private var random: SeededRandom
    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private static let values = [
        "1", "10", "x", "hello", "-5", "3.5", "''", "\"a b\"", "9223372036854775807", "\"\\x00\\xff\"",
    ]
    private static let ends = [
        "EX 1000", "PX 1000000", "EXAT 1900000000", "PXAT 1900000000000", "KEEPTTL", "EX 0", "EX -1", "EX x", "PX",
        "EXAT 1", "PXAT 1",
    ]
    private static let mistakes = [
        "GET", "SET a", "FOO", "foo bar 'b c'", "GET a b", "CLIENT", "CLIENT FOO", "CONFIG", "CONFIG FOO", "INCR",
        "EXPIRE a", "MULTI a", "SELECT x", "HELLO 9", "HELLO x", "PING a b", "CLIENT SETNAME", "EXEC a", "GETEX a FOO",
        "SCAN", "SCAN x", "SCAN 0 COUNT x", "SCAN 0 COUNT 0", "SCAN 0 FOO", "SCAN 0 MATCH", "AUTH a", "AUTH a b",
        "AUTH default b", "CLIENT KILL 1:1", "CONFIG SET nosuch 1", "FLUSHDB x", "ECHO", "CLIENT REPLY x",
        "CLIENT LIST TYPE x", "CLIENT LIST foo", "COMMAND GETKEYS get a", "COMMAND GETKEYS mset a 1 b 2",
        "COMMAND GETKEYS foo bar", "CLIENT KILL ID 0", "CLIENT KILL FOO 1", "HELLO 2 foo", "HELLO 2 AUTH a b", "RESET",
    ]

    private mutating func one(_ words: [String]) -> String { words[random.below(words.count)] }
    private mutating func key() -> String { "k\(random.below(6))" }
    private mutating func keys() -> String { (0...random.below(3)).map { _ in key() }.joined(separator: " ") }
    private mutating func value() -> String {
        random.chance(0.3) ? "\(random.below(40) - 20)" : one(Self.values)
    }

    mutating func next() -> String {
        let plain = ["GET", "STRLEN", "INCR", "DECR", "GETDEL", "TYPE", "PERSIST"]
        switch random.below(20) {
        case 0, 1: return "SET \(key()) \(value())"
        case 2:
            let options = [one(["NX", "XX", "GET", ""]), one(["GET", ""]), random.chance(0.5) ? one(Self.ends) : ""]
            return "SET \(key()) \(value()) " + options.joined(separator: " ")
        case 3, 4, 5: return "\(one(plain)) \(key())"
        case 6: return "\(one(["MGET", "DEL", "EXISTS", "UNLINK", "TOUCH", "WATCH"])) \(keys())"
        case 7:
            return "\(one(["MSET", "MSETNX"])) \(key()) \(value()) \(key()) \(value())"
                + (random.chance(0.2) ? " odd" : "")
        case 8: return "\(one(["APPEND", "GETSET", "SETNX"])) \(key()) \(value())"
        case 9: return "\(one(["GETRANGE", "SUBSTR"])) \(key()) \(random.below(13) - 6) \(random.below(13) - 6)"
        case 10: return "SETRANGE \(key()) \(one(["0", "1", "5", "-1", "x", "600000000"])) \(value())"
        case 11:
            return "\(one(["INCRBY", "DECRBY"])) \(key()) "
                + one(["1", "-3", "x", "9223372036854775807", "-9223372036854775808"])
        case 12: return "INCRBYFLOAT \(key()) \(one(["1", "0.5", "-2.25", "x", "inf", "nan", "1e3"]))"
        case 13: return "\(one(["SETEX", "PSETEX"])) \(key()) \(one(["1000000", "0", "-1", "x"])) \(value())"
        case 14:
            let condition = one(["", "", "NX", "XX", "GT", "LT", "NX GT", "GT LT", "foo", "XX GT"])
            if random.chance(0.3) {
                return "EXPIRE \(key()) \(one(["1000000", "-1", "0", "x", "9223372036854775807"]))"
            }
            return "EXPIREAT \(key()) \(one(["1900000000", "2000000000", "2000000001", "1", "x"])) \(condition)"
        case 15: return "\(one(["MULTI", "EXEC", "DISCARD", "UNWATCH"]))"
        case 16: return "GETEX \(key()) \(one(["", "PERSIST", "EX 1000", "PXAT 1", "EX 1 PERSIST"]))"
        case 17: return "\(one(["RENAME", "RENAMENX"])) \(key()) \(key())"
        case 18: return one(["PING", "ECHO x", "KEYS zz*", "SCAN 0 MATCH k1 COUNT 100"])
        default: return one(Self.mistakes)
        }
    }
}

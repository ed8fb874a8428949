import Glibc
import TestSupport
import Testing

/// Applications with a cache layer around Debian's Redis 7 and around our node, which tell them what has changed.
@Suite(.enabled(if: TestPython.canRun && ProgramTool.canRun("redis-server"))) struct ProcessCacheLayerTests {
    /// A shared cache, a database, and two applications.
    private final class Lab {
        let directory: ProgramDirectory
        let cachePort: UInt16
        let ports: [UInt16]
        private let kind: String
        private var cache: ProgramProcess
        private let others: [ProgramProcess]

        init(_ kind: String, _ invalidation: String) throws {
            let directory = try ProgramDirectory()
            let cachePort = try ProgramPort.free()
            let databasePort = try ProgramPort.free()
            let ports = [try ProgramPort.free(), try ProgramPort.free()]
            cache = try Self.startCache(kind, cachePort, directory)
            var others = [
                try ProgramProcess.service("postgres", "--data-dir", directory.path + "/pg", port: databasePort)
            ]
            for port in ports {
                others.append(
                    try ProgramProcess.service(
                        "users-api", "--db", "postgres://127.0.0.1:\(databasePort)/postgres", "--redis",
                        "127.0.0.1:\(cachePort)", "--users", "50", "--invalidation", invalidation, "--data-dir",
                        "\(directory.path)/\(port)", port: port))
            }
            self.others = others
            self.kind = kind
            self.directory = directory
            self.cachePort = cachePort
            self.ports = ports
        }

        private static func startCache(_ kind: String, _ port: UInt16, _ directory: ProgramDirectory) throws
            -> ProgramProcess
        {
            if kind != "redis-server" { return try .service(kind, port: port) }
            return try .tool(
                kind, ["--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", directory.path], port: port)
        }

        func killCache() throws {
            cache.send(SIGKILL)
            _ = try cache.waitForExit()
        }

        func startCacheAgain() throws { cache = try Self.startCache(kind, cachePort, directory) }

        func python(_ program: String) throws -> String {
            defer { withExtendedLifetime(self) {} }
            return try TestPython.run(Self.beginning + "\nPORTS = \(ports)\nCACHE = \(cachePort)\n" + program)
        }

        private static let beginning = """
            import json, time, redis
            from urllib.request import Request, urlopen
            def call(port, path, body=None, method='GET'):
                data = json.dumps(body).encode() if body else None
                with urlopen(Request(f'http://127.0.0.1:{port}{path}', data, method=method), timeout=20) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None
            def name(place, user): return call(PORTS[place], f'/users/{user}')['name']
            def put(place, user, name):
                call(PORTS[place], f'/users/{user}', {'name': name, 'email': 'a@example.com'}, 'PUT')
            def state(place, user): return (call(PORTS[place], f'/cache/explain/{user}')['entry'] or {}).get('state')
            def until(condition, what):
                end = time.time() + 20
                while not condition():
                    assert time.time() < end, what
                    time.sleep(0.005)
            def kept(place, user):
                'Has it kept for longer than the second that is allowed without being told.'
                def isSo():
                    name(place, user)
                    return state(place, user) == 'fresh'
                until(isSo, 'it keeps nothing')
                time.sleep(1.2)
                return state(place, user) == 'fresh'
            """
    }

    @Test(
        "what one of them changes the other hears of, and what somebody changes by hand",
        arguments: ["redis-server", "cache-node"], ["tracking", "broadcast"])
    func hears(kind: String, invalidation: String) throws {
        // @covers CL-C2 CL-C3
        let lab = try Lab(kind, invalidation)
        #expect(try lab.python(Self.changes) == "ok\n")
        try lab.killCache()
        #expect(try lab.python(Self.withoutCache) == "ok\n")
        try lab.startCacheAgain()
        #expect(try lab.python(Self.again) == "ok\n")
    }

    private static let changes = """
        until(lambda: kept(0, 7) and kept(1, 7), 'nobody is told')
        assert name(0, 7) == name(1, 7) == 'User 7'
        # Its own writes are no news: they stay.
        put(0, 7, 'Seven')
        assert state(0, 7) == 'fresh', state(0, 7)
        until(lambda: state(1, 7) != 'fresh', 'the other has not heard')
        assert name(1, 7) == name(0, 7) == 'Seven'
        # And the one that wrote hears of the next change.
        put(1, 7, 'VII')
        until(lambda: name(0, 7) == 'VII', 'who wrote last hears nothing any more')
        # By hand, which nobody publishes.
        assert kept(0, 7) and kept(1, 7)
        redis.Redis(port=CACHE).delete('user:7')
        until(lambda: state(0, 7) != 'fresh' and state(1, 7) != 'fresh', 'a DEL by hand is not heard')
        # All at once, by their tag, and all there is.
        assert kept(0, 8) and kept(1, 8)
        call(PORTS[0], '/cache/invalidate?tag=users', method='POST')
        until(lambda: state(1, 8) != 'fresh', 'a tag is not heard')
        assert kept(0, 8)
        redis.Redis(port=CACHE).flushall()
        until(lambda: state(0, 8) != 'fresh', 'FLUSHALL is not heard')
        assert kept(0, 9) and kept(1, 9)
        print('ok')
        """

    private static let withoutCache = """
        until(lambda: state(0, 9) != 'fresh' and state(1, 9) != 'fresh', 'a lost connection forgets everything')
        put(0, 9, 'Nine')
        assert name(0, 9) == 'Nine'
        until(lambda: name(1, 9) == 'Nine', 'deaf for longer than a second')
        print('ok')
        """

    private static let again = """
        until(lambda: kept(0, 9) and kept(1, 9), 'it does not hear again')
        put(1, 9, 'IX')
        until(lambda: name(0, 9) == 'IX', 'it does not hear again')
        print('ok')
        """
}

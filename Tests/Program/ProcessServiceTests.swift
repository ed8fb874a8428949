import Glibc
import Testing

/// `sdlab TOOL` as a process of its own: real sockets, real signals, real files.
@Suite struct ProcessServiceTests {
    @Test("a backend answers HTTP over real sockets, one request after the other on a connection")
    func backend() throws {
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--name", "A", port: port)
        let connection = try ProgramConnection(port: port)
        for _ in 0..<3 {
            let answer = try connection.get()
            #expect(answer.status == 200)
            #expect(answer.body == "Response from A\n")
        }
        #expect(try connection.get("/health").body == "OK\n")
        #expect(try connection.get("/status/503").status == 503)
        #expect(try connection.get("/bytes/1MiB", keepsBody: false).bodyByteCount == 1 << 20)
        try connection.send("GET /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
        #expect(try connection.response().body.hasSuffix("\r\n\r\nhello"))
        #expect(backend.isRunning)
    }

    @Test(
        "SIGTERM and SIGINT stop it in order: what is under way is answered, status 0",
        arguments: [SIGTERM, SIGINT])
    func stopsInOrder(signal: Int32) throws {
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--name", "A", port: port)
        let idle = try ProgramConnection(port: port)
        _ = try idle.get()
        let busy = try ProgramConnection(port: port)
        _ = try busy.get()
        try busy.send("GET /delay/300ms HTTP/1.1\r\nHost: test\r\n\r\n")
        // One more answer on another connection: the request before it has been read by then.
        _ = try ProgramConnection(port: port).get()
        backend.send(signal)
        #expect(idle.endsQuietly())
        #expect(try busy.response().status == 200)
        #expect(try backend.waitForExit() == 0)
        #expect(backend.errors == "")
        #expect((try? ProgramConnection(port: port)) == nil)
    }

    @Test(
        "SIGHUP ends no service: one that has nothing to read again says so, and goes on",
        arguments: ["backend", "cache-node", "lsm-kv", "messageq", "web-app"])
    func hangUp(_ kind: String) throws {
        let port = try ProgramPort.free()
        let directory = try ProgramDirectory()
        let service = try ProgramProcess.service(kind, port: port, directory: directory.path)
        for _ in 0..<2 {
            service.send(SIGHUP)
            try service.waitFor("ot reloaded: it has no configuration that could be read again")
            #expect(service.isRunning)
            _ = try ProgramConnection(port: port)
        }
        service.send(SIGTERM)
        #expect(try service.waitForExit() == 0)
    }

    @Test("told to stop, it still sends all of a long answer to a slow reader")
    func stopsAfterLongAnswer() throws {
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", port: port)
        let slow = try ProgramConnection(port: port)
        let count = 50 << 20
        try slow.send("GET /bytes/\(count) HTTP/1.1\r\nHost: test\r\n\r\n")
        _ = try ProgramConnection(port: port).get()
        backend.send(SIGTERM)
        #expect(ProgramClock.wait { (try? ProgramConnection(port: port)) == nil })
        #expect(try slow.response(keepsBody: false).bodyByteCount == count)
        #expect(try backend.waitForExit() == 0)
    }

    @Test("an answer that ends its connection is whole, even if its reader takes a break of three seconds")
    func slowReaderOfLastAnswer() throws {
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", port: port)
        // Of many sizes, so that of some the last part is past the kernel's buffers, whatever these are, and waits in
        // the backend, which has closed the connection already as far as it is concerned.
        let sizes = (1...40).map { $0 * 200 << 10 }
        let readers = try sizes.map { size in
            let reader = try ProgramConnection(port: port)
            try reader.send("GET /bytes/\(size) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            return reader
        }
        poll(nil, 0, 3000)
        for (reader, size) in zip(readers, sizes) {
            #expect(try reader.response(keepsBody: false).bodyByteCount == size)
            #expect(reader.endsQuietly())
        }
        #expect(backend.isRunning)
    }

    @Test("a second signal ends it at once, though a request is still under way")
    func secondSignal() throws {
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", port: port)
        let busy = try ProgramConnection(port: port)
        try busy.send("GET /delay/10m HTTP/1.1\r\nHost: test\r\n\r\n")
        _ = try ProgramConnection(port: port).get()
        backend.send(SIGTERM)
        #expect(ProgramClock.wait { (try? ProgramConnection(port: port)) == nil })
        #expect(backend.isRunning)
        backend.send(SIGTERM)
        #expect(try backend.waitForExit() != 0)
    }

    @Test("a port that is taken: status 1, and the message says which, and how to find who has it")
    func portTaken() throws {
        let port = try ProgramPort.free()
        let first = try ProgramProcess.service("backend", "--name", "A", port: port)
        let second = try ProgramProcess.run("backend", "--name", "B", "--port", "\(port)")
        #expect(second.status == 1)
        #expect(
            second.errors
                == "backend: port \(port) is in use on 127.0.0.1; choose another --port, or find who has it with: "
                + "ss -ltnp 'sport = :\(port)'\n")
        #expect(second.output == "")
        #expect(first.isRunning)
        #expect(try ProgramConnection(port: port).get().body == "Response from A\n")
    }

    @Test("a port is free again as soon as its process has ended, even by kill -9 with connections open")
    func portAfterKill() throws {
        let port = try ProgramPort.free()
        for name in ["A", "B"] {
            let backend = try ProgramProcess.service("backend", "--name", name, port: port)
            let connection = try ProgramConnection(port: port)
            #expect(try connection.get().body == "Response from \(name)\n")
            backend.send(SIGKILL)
            #expect(try backend.waitForExit() == 128 + 9)
            #expect(connection.endsQuietly())
        }
    }

    @Test("--bind chooses the address")
    func bind() throws {
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--bind", "0.0.0.0", port: port)
        #expect(try ProgramConnection(port: port).get().status == 200)
        let other = try ProgramProcess.run("backend", "--bind", "203.0.113.7", "--port", "\(port)")
        #expect(other.status == 1)
        #expect(other.errors.contains("203.0.113.7"))
        #expect(backend.isRunning)
    }

    @Test(
        "a configuration with a mistake: status 1, with file, line and column, and nothing listens",
        arguments: [
            (["backends: [8081]", "health_check: {intervall: 5s}"], "lb.yaml:2:16: ", "did you mean interval?"),
            (["backends: [8081"], "lb.yaml:2:1: ", ""),
            (["backends: [8081]", "timeouts: {response: soon}"], "lb.yaml:2:22: ", "'soon'"),
            (["backends:", "  - 8081", "  - 99999"], "lb.yaml:3:5: ", "'99999'"),
            (["backends: []"], "lb.yaml:1:11: ", "empty"),
            (["mode: http"], "lb.yaml:1:1: ", "no backends"),
            (["backends: [8081, 8081]"], "lb.yaml:1:18: ", "two backends are called 8081"),
        ] as [([String], String, String)])
    func configuration(_ lines: [String], _ place: String, _ hint: String) throws {
        let directory = try ProgramDirectory()
        try directory.place("lb.yaml", lines.joined(separator: "\n") + "\n")
        let port = try ProgramPort.free()
        let run = try ProgramProcess.run(
            "loadbalancer", "--config", "lb.yaml", "--port", "\(port)", directory: directory.path)
        #expect(run.status == 1)
        #expect(run.errors.hasPrefix("loadbalancer: \(place)"), "\(run.errors)")
        #expect(hint.isEmpty || run.errors.contains(hint), "\(run.errors)")
        #expect(run.output == "")
    }

    @Test("a configuration that is not there: status 1 and its name")
    func configurationMissing() throws {
        let run = try ProgramProcess.run("loadbalancer", "--config", "nowhere.yaml", "--port", "8080")
        #expect(run.status == 1)
        #expect(run.errors == "loadbalancer: nowhere.yaml: No such file or directory\n")
    }

    @Test(
        "a client that speaks no HTTP gets the status that says why, and the backend lives on", arguments: HTTPAbuse.all
    )
    func abuse(_ abuse: HTTPAbuse) throws {
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--name", "A", "--body-limit", "1MiB", port: port)
        let connection = try ProgramConnection(port: port)
        try connection.send(abuse.request)
        let answer = try connection.response()
        #expect(answer.status == abuse.status, "\(answer.head)")
        #expect(answer.head.lowercased().contains("\r\nconnection: close\r\n"))
        #expect(connection.endsQuietly())
        #expect(try ProgramConnection(port: port).get().body == "Response from A\n")
        #expect(backend.isRunning)
    }
}

/// A request that must be refused.
struct HTTPAbuse: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let request: String
    let status: Int

    init(_ name: String, _ request: String, _ status: Int) {
        testDescription = name
        self.request = request
        self.status = status
    }

    static let all = [
        HTTPAbuse("no HTTP at all", "\u{1}\u{2}hello\r\n\r\n", 400),
        HTTPAbuse("two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        HTTPAbuse(
            "a length and chunks",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        HTTPAbuse("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
        HTTPAbuse("a blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        HTTPAbuse(
            "no chunk size", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        HTTPAbuse("a body above the limit", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413),
        HTTPAbuse("a long target", "GET /\(String(repeating: "a", count: 9_000)) HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        HTTPAbuse(
            "a long field", "GET / HTTP/1.1\r\nHost: x\r\nX: \(String(repeating: "a", count: 40_000))\r\n\r\n", 431),
        HTTPAbuse("many fields", "GET / HTTP/1.1\r\nHost: x\r\n\(String(repeating: "a: b\r\n", count: 101))\r\n", 431),
        HTTPAbuse("an unknown version", "GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    ]
}

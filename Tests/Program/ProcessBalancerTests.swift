import Glibc
import Synchronization
import Testing

/// `sdlab loadbalancer` as a process in front of real and of misbehaving servers.
@Suite struct ProcessBalancerTests {
    /// A balancer in front of these ports, and its own port.
    private func balancer(_ backends: [UInt16], _ settings: String = "", directory: ProgramDirectory) throws -> (
        process: ProgramProcess, port: UInt16
    ) {
        let list = backends.map { "\($0)" }.joined(separator: ", ")
        try directory.place("lb.yaml", "backends: [\(list)]\n\(settings)\n")
        let port = try ProgramPort.free()
        return (try .service("loadbalancer", "--config", "lb.yaml", port: port, directory: directory.path), port)
    }

    /// Probes so rare that none comes during the test.
    private static let unprobed = "health_check: {interval: 1h}"

    // @covers LB-M2
    @Test("requests go round robin, whoever asks, and one client connection reaches every backend")
    func roundRobin() throws {
        let ports = [try ProgramPort.free(), try ProgramPort.free()]
        let backends = try zip(ports, ["A", "B"]).map { try ProgramProcess.service("backend", "--name", $1, port: $0) }
        let directory = try ProgramDirectory()
        let (balancer, port) = try balancer(ports, directory: directory)
        let connection = try ProgramConnection(port: port)
        let bodies = try (0..<10).map { _ in try connection.get().body }
        #expect(bodies.filter { $0 == "Response from A\n" }.count == 5)
        #expect(bodies.filter { $0 == "Response from B\n" }.count == 5)
        #expect(zip(bodies, bodies.dropFirst()).allSatisfy { $0 != $1 })
        #expect(backends[0].isRunning && backends[1].isRunning && balancer.isRunning)
    }

    @Test(
        "a backend that answers nonsense or nothing is a 502 that says so, and the balancer lives on",
        arguments: ServerAbuse.all)
    func nonsense(_ abuse: ServerAbuse) throws {
        let bad = try ProgramBadServer.answering(abuse.answer)
        defer { bad.stop() }
        let directory = try ProgramDirectory()
        let (balancer, port) = try balancer([bad.port], Self.unprobed, directory: directory)
        // POST: a request that may not be repeated gets its one answer at once.
        for _ in 0..<3 {
            let connection = try ProgramConnection(port: port)
            try connection.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi")
            let answer = try connection.response()
            #expect(answer.status == 502)
            #expect(answer.body.hasPrefix("502 Bad Gateway: "))
        }
        #expect(balancer.isRunning)
    }

    @Test("a backend that breaks off inside a body cuts the client's connection: a part never looks like the whole")
    func cutBody() throws {
        let bad = try ProgramBadServer.answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
        defer { bad.stop() }
        let directory = try ProgramDirectory()
        let (balancer, port) = try balancer([bad.port], Self.unprobed, directory: directory)
        let connection = try ProgramConnection(port: port)
        #expect(throws: ProgramTrouble.self) { try connection.get() }
        #expect(balancer.isRunning)
    }

    @Test("a backend that is silent for ever is a 504 after the time the configuration gives it")
    func silence() throws {
        let bad = try ProgramBadServer.silent()
        defer { bad.stop() }
        let directory = try ProgramDirectory()
        let (balancer, port) = try balancer(
            [bad.port], Self.unprobed + "\ntimeouts: {response: 300ms}", directory: directory)
        let began = ProgramClock.seconds
        let answer = try ProgramConnection(port: port).get()
        #expect(answer.status == 504)
        #expect(ProgramClock.seconds - began >= 0.3)
        #expect(balancer.isRunning)
    }

    // @covers LB-C3
    @Test("with every backend gone, the answer is 503 at once")
    func nobodyThere() throws {
        let directory = try ProgramDirectory()
        let (balancer, port) = try balancer(
            [try ProgramPort.free(), try ProgramPort.free()], Self.unprobed, directory: directory)
        let connection = try ProgramConnection(port: port)
        for _ in 0..<3 { #expect(try connection.get().status == 503) }
        #expect(balancer.isRunning)
    }

    @Test("a backend whose name does not resolve is passed over, and the log says why it is out of the pool")
    func unresolvable() throws {
        let backendPort = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
        let directory = try ProgramDirectory()
        let port = try ProgramPort.free()
        try directory.place(
            "lb.yaml",
            """
            backends: [\(backendPort), "no-such-host.invalid:80"]
            health_check: {interval: 50ms, unhealthy_after: 1}
            """)
        let balancer = try ProgramProcess.service(
            "loadbalancer", "--config", "lb.yaml", port: port, directory: directory.path)
        let connection = try ProgramConnection(port: port)
        for _ in 0..<6 { #expect(try connection.get().body == "Response from A\n") }
        try balancer.waitFor("[LB] Removed no-such-host.invalid:80 from pool")
        #expect(backend.isRunning)
    }

    // @covers LB-M3 LB-C2
    @Test("kill -9 of backends under load: every request is answered 200 as long as one of them lives")
    func killUnderLoad() throws {
        let ports = try (0..<3).map { _ in try ProgramPort.free() }
        let names = ["A", "B", "C"]
        var backends = try zip(ports, names).map { try ProgramProcess.service("backend", "--name", $1, port: $0) }
        let directory = try ProgramDirectory()
        let (balancer, port) = try balancer(
            ports, "health_check: {interval: 50ms, unhealthy_after: 2, healthy_after: 1}", directory: directory)
        let load = ProgramLoad(port: port, connections: 16)
        defer { load.stop() }
        for round in 0..<ProgramSize.full(30, else: 4) {
            let victim = round % 3
            try load.waitForRequests(500)
            backends[victim].send(SIGKILL)
            #expect(try backends[victim].waitForExit() == 137)
            // Once it stays dead until the pool has closed over it; the other times it may be back before.
            if round == 0 { try balancer.waitFor("[LB] Removed \(ports[victim]) from pool") }
            try load.waitForRequests(500)
            backends[victim] = try .service("backend", "--name", names[victim], port: ports[victim])
            try load.waitForBody("Response from \(names[victim])\n")
        }
        load.stop()
        #expect(load.failures == [])
        #expect(balancer.isRunning)
    }

    // @covers LB-C2
    @Test("-STOP of a backend: its requests end as 504, the pool closes over it, and -CONT brings it back")
    func freezeUnderLoad() throws {
        let ports = [try ProgramPort.free(), try ProgramPort.free()]
        let backends = try zip(ports, ["A", "B"]).map { try ProgramProcess.service("backend", "--name", $1, port: $0) }
        let directory = try ProgramDirectory()
        let (balancer, port) = try balancer(
            ports,
            """
            health_check: {interval: 50ms, timeout: 50ms, unhealthy_after: 2, healthy_after: 2}
            timeouts: {response: 500ms}
            """, directory: directory)
        let load = ProgramLoad(port: port, connections: 8)
        defer { load.stop() }
        try load.waitForRequests(200)
        backends[1].send(SIGSTOP)
        defer { backends[1].send(SIGCONT) }
        try balancer.waitFor("[LB] Removed \(ports[1]) from pool")
        try load.waitForRequests(500)
        backends[1].send(SIGCONT)
        try balancer.waitFor("[LB] Added \(ports[1]) to pool")
        try load.waitForBody("Response from B\n")
        load.stop()
        #expect(load.failures.allSatisfy { $0.hasPrefix("504") }, "\(load.failures)")
        #expect(load.failures.count <= 4 * 8, "each of the 8 clients is caught by it a few times at most")
    }

    @Test("stopped while requests are under way, it answers them, takes no new ones and ends with 0")
    func drain() throws {
        let backendPort = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
        let directory = try ProgramDirectory()
        let (balancer, port) = try balancer([backendPort], Self.unprobed, directory: directory)
        let connection = try ProgramConnection(port: port)
        try connection.send("GET /delay/500ms HTTP/1.1\r\nHost: test\r\n\r\n")
        _ = try ProgramConnection(port: port).get()
        balancer.send(SIGTERM)
        #expect(try connection.response().status == 200)
        #expect(try balancer.waitForExit() == 0)
        #expect(balancer.output.contains("[LB] Draining: "))
        #expect(balancer.output.hasSuffix("[LB] Stopped\n"))
        #expect(backend.isRunning)
    }

    // @covers LB-M1 LB-H1
    @Test("in TCP mode bytes go through as they are, in both directions, to their end")
    func tcp() throws {
        let backendPort = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--name", "A", port: backendPort)
        let port = try ProgramPort.free()
        let balancer = try ProgramProcess.service(
            "loadbalancer", "--backends", "\(backendPort)", "--mode", "tcp", port: port)
        let connection = try ProgramConnection(port: port)
        #expect(try connection.get("/bytes/5MiB", keepsBody: false).bodyByteCount == 5 << 20)
        try connection.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        #expect(try connection.response().body == "Response from A\n")
        #expect(connection.endsQuietly())
        #expect(backend.isRunning && balancer.isRunning)
    }
}

/// What a server should not say in answer to a request.
struct ServerAbuse: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let answer: String

    init(_ name: String, _ answer: String) {
        testDescription = name
        self.answer = answer
    }

    static let all = [
        ServerAbuse("nothing", ""),
        ServerAbuse("another protocol", "SSH-2.0-OpenSSH_9.2\r\n"),
        ServerAbuse("zero bytes", "\0\0\0\0"),
        ServerAbuse("a status that is none", "HTTP/1.1 abc OK\r\n\r\n"),
        ServerAbuse("half a head", "HTTP/1.1 200 OK\r\nContent-Le"),
        ServerAbuse("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
        ServerAbuse("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ]
}

/// Keeps asking `GET /` on a few connections, each on a thread, until it is stopped, and notes every answer that is
/// not a 200 as `STATUS body`, every connection that broke as its error.
final class ProgramLoad: Sendable {
    private struct State {
        var requests = 0
        var failures: [String] = []
        var bodies: [String: Int] = [:]
        var running = 0
        var isStopped = false
    }

    private let state = Mutex(State())

    init(port: UInt16, connections: Int) {
        state.withLock { $0.running = connections }
        for _ in 0..<connections {
            startProgramThread { [self] in
                while !isStopped { ask(port) }
                state.withLock { $0.running -= 1 }
            }
        }
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }
    var requests: Int { state.withLock { $0.requests } }
    var failures: [String] { state.withLock { $0.failures } }

    /// Asks on one connection for as long as it lasts. A balancer closes it only with an error.
    private func ask(_ port: UInt16) {
        do {
            let connection = try ProgramConnection(port: port)
            while !isStopped {
                let answer = try connection.get()
                state.withLock {
                    $0.requests += 1
                    $0.bodies[answer.body, default: 0] += 1
                    if answer.status != 200 { $0.failures.append("\(answer.status) \(answer.body)") }
                }
                // Not to occupy the machine: what is tested is not its speed.
                poll(nil, 0, 1)
            }
        } catch {
            state.withLock {
                if !$0.isStopped, $0.failures.count < 1000 { $0.failures.append("\(error)") }
            }
        }
    }

    /// Waits for that many more answers.
    func waitForRequests(_ count: Int) throws {
        let goal = requests + count
        guard ProgramClock.wait(until: { requests >= goal }) else {
            throw ProgramTrouble("only \(requests) of \(goal) answers")
        }
    }

    /// Waits for one more answer with that body.
    func waitForBody(_ body: String) throws {
        let before = state.withLock { $0.bodies[body] ?? 0 }
        guard ProgramClock.wait(until: { state.withLock { $0.bodies[body] ?? 0 } > before }) else {
            throw ProgramTrouble("no answer \(body)")
        }
    }

    /// Ends the threads; returns when they have.
    func stop() {
        state.withLock { $0.isStopped = true }
        _ = ProgramClock.wait { state.withLock { $0.running } == 0 }
    }
}

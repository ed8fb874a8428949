import Glibc
import TestSupport
import Testing

/// The runtime API as HAProxy's own clients use it: `socat` and `hatop` at a unix socket.
@Suite struct ProcessRuntimeTests {
    private final class Setting {
        let directory: ProgramDirectory
        let ports: [UInt16]
        let port: UInt16
        let socket: String
        let balancer: ProgramProcess
        private let backends: [ProgramProcess]

        init() throws {
            directory = try ProgramDirectory()
            let ports = [try ProgramPort.free(), try ProgramPort.free()]
            backends = try zip(ports, ["A", "B"]).map { try .service("backend", "--name", $1, port: $0) }
            port = try ProgramPort.free()
            socket = directory.path + "/lb.sock"
            let list = ports.map { "\($0)" }.joined(separator: ",")
            balancer = try .service("loadbalancer", "--backends", list, "--runtime", socket, port: port)
            self.ports = ports
            try balancer.waitFor("Runtime API on")
        }

        /// What `socat` prints when it hands this over.
        func socat(_ input: String, place: String? = nil) throws -> String {
            let process = try ProgramProcess(
                ["-t", "20", "-", place ?? "UNIX-CONNECT:\(socket)"], input: input, program: "/usr/bin/socat")
            guard try process.waitForExit() == 0 else { throw ProgramTrouble("socat: \(process.errors)") }
            return process.output
        }

        func status(of server: UInt16) throws -> String? {
            for line in try socat("show stat\n").split(separator: "\n") {
                let cells = line.split(separator: ",", omittingEmptySubsequences: false)
                if cells.count > 17, cells[1] == "\(server)" { return String(cells[17]) }
            }
            return nil
        }
    }

    @Test("socat looks and drains, several commands a line, and a prompt for those who stay")
    func socat() throws {
        let setting = try Setting()
        let connection = try ProgramConnection(port: setting.port)
        for _ in 0..<4 { _ = try connection.get() }
        let table = try setting.socat("show stat\n").split(separator: "\n")
        #expect(table.count == 5 && table[0].hasPrefix("# pxname,svname,qcur,qmax,scur,"))
        for line in table { #expect(line.count { $0 == "," } == 128, "\(line)") }
        #expect(table[4].hasPrefix("lb,BACKEND,0,0,0,1,,4,"))
        let first = setting.ports[0]
        #expect(
            try setting.socat("set server lb/\(first) state drain; get weight lb/\(first)\n") == "\n1 (initial 1)\n\n")
        #expect(try setting.status(of: first) == "DRAIN")
        #expect(Set(try (0..<4).map { _ in try connection.get().body }) == ["Response from B\n"])
        #expect(try setting.socat("prompt\nget weight lb/\(first)\nquit\n") == "\n> 1 (initial 1)\n\n> ")
        #expect(try setting.socat("nonsense\n").hasPrefix("Unknown command"))
    }

    @Test("haproxyadmin looks, drains and closes the door", .enabled(if: TestPython.canRun))
    func haproxyadmin() throws {
        let setting = try Setting()
        let connection = try ProgramConnection(port: setting.port)
        for _ in 0..<4 { _ = try connection.get() }
        let program = """
            from haproxyadmin import haproxy, STATE_DISABLE, STATE_ENABLE
            hap = haproxy.HAProxy(socket_file="\(setting.socket)")
            front = hap.frontend("lb")
            print([f.name for f in hap.frontends()], [b.name for b in hap.backends()], front.status, front.requests)
            print(sorted(s.name for s in hap.servers()), [s.status for s in hap.servers()])
            server = hap.server("\(setting.ports[0])", backend="lb")[0]
            print(server.setstate(STATE_DISABLE), server.status, server.setweight(3), server.weight)
            print(server.setstate(STATE_ENABLE), server.status)
            print(front.setmaxconn(7), front.maxconn)
            print(front.disable(), front.status)
            print(front.enable(), front.status)
            """
        let lines = try TestPython.run(program).split(separator: "\n").map(String.init)
        let names = setting.ports.map { "'\($0)'" }.sorted().joined(separator: ", ")
        #expect(lines.count == 7 && lines[0] == "['lb'] ['lb'] OPEN 4", "\(lines)")
        #expect(lines[1].hasPrefix("[\(names)] ['UP'"), "\(lines[1])")
        #expect(lines[2] == "True MAINT True 3" && lines[3].hasPrefix("True UP"), "\(lines)")
        #expect(lines.suffix(3) == ["True 7", "True PAUSED", "True OPEN"], "\(lines)")
    }

    @Test("hatop shows the servers, and what becomes of them")
    func hatop() throws {
        let setting = try Setting()
        let terminal = try Pty(["-i", "1", "-s", setting.socket], columns: 140, rows: 30, program: "/usr/bin/hatop")
        try terminal.wait(for: "the rows") { pty in
            let wanted = [">>> lb", "FRONTEND", "BACKEND"] + setting.ports.map { "\($0)" }
            return wanted.allSatisfy { pty.text.contains($0) }
        }
        #expect(!terminal.text.contains("DRAIN"))
        _ = try setting.socat("set server lb/\(setting.ports[1]) state drain\n")
        try terminal.wait(for: "the drained server") { $0.text.contains("DRAIN") }
        terminal.type("q")
        #expect(try terminal.end() == 0)
    }

    @Test(
        "the socket is its owner's, is gone with the balancer, and outlives one that is killed until the next one comes"
    )
    func file() throws {
        let setting = try Setting()
        var information = stat()
        #expect(stat(setting.socket, &information) == 0 && information.st_mode & 0o777 == 0o600)
        let second = try ProgramProcess.run(
            "loadbalancer", "--backends", "1", "--port", "\(try ProgramPort.free())", "--runtime", setting.socket)
        #expect(second.status == 1 && second.errors.contains("\(setting.socket) is in use"))
        #expect(try setting.socat("show version\n") != "")
        setting.balancer.send(SIGKILL)
        _ = try setting.balancer.waitForExit()
        #expect(access(setting.socket, F_OK) == 0)
        let third = try ProgramProcess.service(
            "loadbalancer", "--backends", "1", "--runtime", setting.socket, port: try ProgramPort.free())
        try third.waitFor("Runtime API on")
        #expect(try setting.socat("show backend\n") == "# name\nlb\n\n")
        third.send(SIGTERM)
        #expect(try third.waitForExit() == 0)
        #expect(access(setting.socket, F_OK) != 0)
        let wrong = try ProgramProcess.run("loadbalancer", "--backends", "1", "--port", "1", "--runtime", "70000")
        #expect(wrong.status == 2 && wrong.errors.contains("neither a port"))
    }

    @Test("the same at a port, and numbers for Prometheus beside it")
    func ports() throws {
        let (backend, runtime, metrics) = (try ProgramPort.free(), try ProgramPort.free(), try ProgramPort.free())
        let server = try ProgramProcess.service("backend", "--name", "A", port: backend)
        let balancer = try ProgramProcess.service(
            "loadbalancer", "--backends", "\(backend)", "--runtime", "\(runtime)", "--metrics", "\(metrics)",
            port: try ProgramPort.free())
        try balancer.waitFor("Metrics on")
        let socat = try ProgramProcess(
            ["-t", "20", "-", "TCP:127.0.0.1:\(runtime)"], input: "show backend\n", program: "/usr/bin/socat")
        #expect(try socat.waitForExit() == 0 && socat.output == "# name\nlb\n\n")
        let page = try ProgramConnection(port: metrics).get("/metrics")
        #expect(page.head.contains("text/plain; version=0.0.4") && server.isRunning)
        #expect(page.body.contains("\nhaproxy_server_status{proxy=\"lb\",server=\"\(backend)\",state=\"UP\"} 1\n"))
    }
}

import BackendService
import KernelHosting
import KernelStructures
import KernelWorld
import LoadBalancerEngine
import TestSupport
import Testing

/// The table that `show stat` writes, read as a client reads it: by the names in its first line.
struct StatReader {
    let columns: [String]
    let rows: [[String: String]]

    init(_ csv: String) throws {
        let lines = csv.split(separator: "\n").map(String.init)
        let first = try #require(lines.first)
        #expect(first.hasPrefix("# pxname,svname,") && first.hasSuffix(",h1_spliced_bytes_out,"))
        columns = first.dropFirst(2).dropLast().split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        rows = lines.dropFirst().map { line in
            let cells = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            #expect(cells.count == 129 && cells.last == "", "a line has another number of columns: \(line)")
            return Dictionary(zip(Self.names(first), cells)) { $1 }
        }
        #expect(columns.count == 128)
    }

    private static func names(_ first: String) -> [String] {
        first.dropFirst(2).split(separator: ",").map(String.init)
    }

    func row(_ name: String) throws -> [String: String] { try #require(rows.first { $0["svname"] == name }) }
    func cell(_ name: String, _ column: String) throws -> String { try #require(try row(name)[column]) }
    func number(_ name: String, _ column: String) throws -> Int { try #require(Int(try cell(name, column))) }
}

extension Farm {
    /// The answer to one line, without the empty line at its end.
    @discardableResult
    func operate(_ line: String) -> String {
        RuntimeLine.commands(line).map { host.runtime($0).text }.joined(separator: "\n")
    }

    func stat() throws -> StatReader { try StatReader(operate("show stat")) }
}

@Suite("The runtime API")
struct RuntimeTests {
    @Test("the table has a row for each server between the frontend's and the backend's, and HAProxy's 128 columns")
    func table() throws {
        let stat = try Farm().stat()
        #expect(stat.rows.map { $0["svname"] } == ["FRONTEND", "8081", "8082", "8083", "BACKEND"])
        #expect(stat.rows.allSatisfy { $0["pxname"] == "lb" && $0["iid"] == "2" && $0["-"] == "-" })
        #expect(stat.rows.map { $0["type"] } == ["0", "2", "2", "2", "1"])
        #expect(stat.columns[17] == "status" && stat.columns[73] == "addr" && stat.columns[103] == "-")
    }

    @Test("the numbers follow what happens: requests, bytes, answers, errors")
    func numbers() throws {
        let farm = try Farm()
        #expect(try farm.ask(4) == ["a", "b", "c", "a"])
        var stat = try farm.stat()
        #expect(try ["8081", "8082", "8083"].map { try stat.number($0, "stot") } == [2, 1, 1])
        #expect(try stat.number("BACKEND", "stot") == 4 && stat.number("FRONTEND", "req_tot") == 4)
        #expect(try stat.number("BACKEND", "hrsp_2xx") == 4 && stat.number("FRONTEND", "hrsp_2xx") == 4)
        #expect(try stat.number("8081", "connect") == 1 && stat.number("8081", "reuse") == 1)
        #expect(try stat.number("8081", "srv_icur") == 1 && stat.number("8081", "lbtot") == 2)
        // "GET / HTTP/1.1", "Host: lb", "Connection: close", and what the balancer's head to the server looks like.
        let request = "GET / HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n".utf8.count
        #expect(try stat.number("FRONTEND", "bin") == 4 * request)
        // The same when the connections are over: what they carried stays counted.
        farm.pass(.seconds(4))
        stat = try farm.stat()
        #expect(try stat.number("FRONTEND", "scur") == 0 && stat.number("FRONTEND", "bin") == 4 * request)
        let bytes = try ["8081", "8082", "8083"].map { try stat.number($0, "bin") }
        #expect(bytes[0] == 2 * bytes[1] && bytes[1] == bytes[2] && bytes[1] > request)
        #expect(try stat.number("BACKEND", "bin") == bytes.reduce(0, +))
        #expect(try stat.number("8082", "bout") > 50)

        _ = try farm.ask(3, "/status/503")
        farm.backends[1].node.end(.killed)
        // The one that is gone costs a retry, and no client notices.
        #expect(try farm.ask(3).allSatisfy { $0 == "a" || $0 == "c" })
        let garbage = try farm.dial()
        garbage.write("NONSENSE\r\n\r\n")
        farm.pass(.milliseconds(5))
        stat = try farm.stat()
        #expect(try stat.number("8082", "econ") >= 1 && stat.number("8082", "wretr") >= 1)
        #expect(try stat.number("BACKEND", "hrsp_5xx") == 3 && stat.number("8081", "hrsp_5xx") == 1)
        #expect(try stat.number("FRONTEND", "ereq") == 1 && stat.number("FRONTEND", "hrsp_4xx") == 1)
        #expect(try stat.number("BACKEND", "hrsp_4xx") == 0)
    }

    @Test("states have HAProxy's words")
    func states() throws {
        let farm = try Farm { $0.healthCheck.interval = .seconds(1) }
        farm.pass(.seconds(2))
        #expect(try farm.stat().cell("8081", "status") == "UP" && farm.stat().cell("8081", "check_status") == "L7OK")
        farm.operate("set server lb/8081 state drain")
        #expect(try farm.stat().cell("8081", "status") == "DRAIN")
        #expect(try farm.ask(4) == ["b", "c", "b", "c"])
        farm.operate("set server lb/8081 state maint")
        #expect(try farm.stat().cell("8081", "status") == "MAINT")
        farm.backends[1].node.end(.killed)
        farm.pass(.milliseconds(1500))
        #expect(try farm.stat().cell("8082", "status") == "UP 2/3" || farm.stat().cell("8082", "status") == "UP 1/3")
        farm.pass(.seconds(5))
        #expect(try farm.stat().cell("8082", "status") == "DOWN")
        #expect(try farm.stat().cell("8082", "check_status") == "L4CON" && farm.stat().number("8082", "chkdown") == 1)
        #expect(try farm.stat().number("8082", "downtime") >= 2 && farm.stat().number("8082", "chkfail") == 3)
        try farm.restart(1)
        farm.pass(.seconds(5))
        #expect(try farm.stat().cell("8082", "status") == "UP" && farm.stat().number("8082", "downtime") >= 2)
        farm.operate("set server lb/8082 health down; set server lb/8083 health down")
        #expect(try farm.stat().cell("BACKEND", "status") == "DOWN" && farm.stat().number("BACKEND", "chkdown") == 1)
        farm.operate("enable server lb/8081")
        #expect(try farm.stat().cell("BACKEND", "status") == "UP" && farm.stat().number("BACKEND", "act") == 1)
        farm.operate("disable health lb/8081")
        #expect(try farm.stat().cell("8081", "status") == "no check")
        farm.backends[0].node.end(.killed)
        farm.pass(.seconds(10))
        #expect(try farm.stat().cell("8081", "status") == "no check")
        farm.operate("enable health lb/8081")
        farm.pass(.seconds(5))
        #expect(try farm.stat().cell("8081", "status") == "DOWN")
    }

    @Test("weights change turns; percents are of the first weight")
    func weights() throws {
        let farm = try Farm(2, weights: [4, 1])
        #expect(farm.operate("get weight lb/8081") == "4 (initial 4)\n")
        #expect(farm.operate("set weight lb/8081 25%") == "" && farm.operate("get weight lb/8081") == "1 (initial 4)\n")
        #expect(try farm.ask(4).sorted() == ["a", "a", "b", "b"])
        #expect(farm.operate("set server lb/8081 weight 3") == "")
        #expect(try farm.ask(4).sorted() == ["a", "a", "a", "b"])
        farm.operate("set weight lb/8081 0")
        #expect(try farm.ask(3) == ["b", "b", "b"] && farm.stat().cell("8081", "status") == "DRAIN")
        for (line, answer) in [
            ("257", "Absolute"), ("-1", "Absolute"), ("-1%", "Relative"), ("x", "no weight"), ("%", "no weight"),
            ("99999999999999999999", "no weight"), ("", "Require"),
        ] {
            #expect(farm.operate("set weight lb/8082 \(line)").contains(answer), "\(line)")
        }
        #expect(farm.operate("get weight lb/8082") == "1 (initial 1)\n")
        farm.operate("set weight lb/8081 2147483647%")
        #expect(farm.operate("get weight lb/8081") == "256 (initial 4)\n")
    }

    @Test("a server that was added gets traffic once it is ready, and one that is deleted gets none")
    func comeAndGo() throws {
        let farm = try Farm(2)
        let node = try farm.world.nodes.start("late")
        let late = BackendHost(node: node, settings: .init(name: "Server-L", port: 9000))
        defer { withExtendedLifetime(late) {} }
        try late.start()
        #expect(
            farm.operate("add server lb/late localhost:9000 weight 2 maxconn 7 check") == "New server registered.\n")
        #expect(try farm.stat().cell("late", "status") == "MAINT" && farm.stat().number("late", "slim") == 7)
        #expect(try farm.ask(4) == ["a", "b", "a", "b"])
        farm.operate("set server lb/late state ready")
        #expect(try farm.ask(4).sorted() == ["a", "b", "l", "l"])
        #expect(farm.operate("add server lb/late localhost:9000").hasPrefix("Already exists"))
        #expect(farm.operate("del server lb/late").hasPrefix("Only servers in maintenance"))
        farm.operate("disable server lb/late")
        #expect(farm.operate("del server lb/late") == "Server deleted.\n")
        #expect(try farm.ask(4).sorted() == ["a", "a", "b", "b"])
        #expect(try farm.stat().rows.count == 4 && farm.stat().number("BACKEND", "stot") == 12)
        #expect(farm.operate("del server lb/late") == "No such server.\n")
        for (words, answer) in [
            ("lb/x", "expects"), ("lb/x localhost", "no address"), ("lb/x :1", "no address"),
            ("lb/x localhost:0", "no address"), ("nope/x localhost:1", "No such backend"), ("x", "Require"),
            ("lb/ localhost:1", "Require"), ("lb/x localhost:1 weight 300", "weight"),
            ("lb/x localhost:1 frob", "unknown keyword 'frob'"), ("lb/a\\ b localhost:1", "letters"),
        ] {
            #expect(farm.operate("add server \(words)").contains(answer), "\(words)")
        }
        #expect(try farm.stat().rows.count == 4)
    }

    @Test("a busy server cannot be deleted until its sessions are cut, and 'show sess' shows who uses it")
    func cutSessions() throws {
        for mode in [LoadBalancerConfiguration.Mode.http, .tcp] {
            let farm = try Farm(1) { $0.mode = mode }
            let client = try farm.dial()
            client.write("GET /delay/10s HTTP/1.1\r\nHost: lb\r\n\r\n")
            farm.pass(.milliseconds(5))
            #expect(farm.operate("show sess").contains("srv=8081"), "\(mode)")
            #expect(try farm.stat().number("8081", "scur") == 1 && farm.stat().number("FRONTEND", "scur") == 1)
            farm.operate("disable server lb/8081")
            #expect(farm.operate("del server lb/8081").hasPrefix("Server still has connections"), "\(mode)")
            #expect(farm.operate("shutdown sessions server lb/8081") == "")
            farm.pass(.milliseconds(5))
            #expect(client.closed == .reset && farm.operate("show sess") == "", "\(mode)")
            let stat = try farm.stat()
            #expect(try stat.number("8081", "scur") == 0 && stat.number("8081", "cli_abrt") == 1, "\(mode)")
            #expect(farm.operate("del server lb/8081") == "Server deleted.\n")
            farm.pass(.seconds(20))
            #expect(farm.host.engine.counters.errors == 0, "\(mode): the operator's act is no fault of the server")
        }
    }

    @Test("maxconn takes effect at once: a second request waits, and goes on when the limit is lifted")
    func maxconn() throws {
        let farm = try Farm(1)
        #expect(farm.operate("set maxconn server lb/8081 1") == "")
        let clients = try (0..<2).map { _ in try farm.dial() }
        for client in clients { client.write("GET /delay/1s HTTP/1.1\r\nHost: lb\r\n\r\n") }
        farm.pass(.milliseconds(5))
        #expect(try farm.stat().number("BACKEND", "qcur") == 1 && farm.stat().number("8081", "scur") == 1)
        farm.operate("set maxconn server lb/8081 0")
        farm.pass(.milliseconds(5))
        #expect(try farm.stat().number("BACKEND", "qcur") == 0 && farm.stat().number("8081", "scur") == 2)
        #expect(try farm.stat().number("BACKEND", "qmax") == 1 && farm.stat().number("8081", "smax") == 2)
        #expect(try farm.stat().cell("8081", "slim") == "")
    }

    @Test("counters are cleared, and requests keep their numbers")
    func clear() throws {
        let farm = try Farm()
        _ = try farm.ask(3)
        farm.operate("clear counters")
        #expect(try farm.stat().number("BACKEND", "stot") == 3 && farm.stat().number("BACKEND", "smax") == 0)
        farm.operate("clear counters all")
        let stat = try farm.stat()
        #expect(try stat.number("BACKEND", "stot") == 0 && stat.number("FRONTEND", "bin") == 0)
        #expect(try stat.number("8081", "bin") == 0 && stat.number("FRONTEND", "hrsp_2xx") == 0)
        _ = try farm.ask(1)
        #expect(try farm.stat().number("BACKEND", "stot") == 1)
        #expect(farm.host.engine.log.decisions.map(\.request) == [1, 2, 3, 4])
    }

    @Test("the last bad request and response are shown, escaped and bounded")
    func errors() throws {
        let farm = try Farm(0, extraPorts: [9000]) { $0.healthCheck.kind = .off }
        let server = try ScriptedServer(try farm.world.nodes.start("scripted"), port: 9000)
        server.answer("NOT\tHTTP \u{1}\r\n\r\n")
        #expect(farm.operate("show errors").hasSuffix(": 0\n"))
        _ = try farm.ask(1)
        let answer = farm.operate("show errors")
        #expect(answer.contains(": 1\n") && answer.contains("bad response of server 9000"))
        #expect(answer.contains("NOT\\tHTTP \\x01\\r\\n"))
        let client = try farm.dial()
        client.write("G\\T " + String(repeating: "\u{2}", count: 5000) + "\r\n\r\n")
        farm.pass(.milliseconds(5))
        let request = farm.operate("show errors lb request")
        #expect(request.contains("bad request, src 127.") && request.contains("G\\\\T \\x02"))
        #expect(request.contains("1024 bytes") && !request.contains("bad response"))
    }

    @Test("filters, json and typed lines show the same numbers")
    func forms() throws {
        let farm = try Farm(2)
        _ = try farm.ask(2)
        let servers = try StatReader(farm.operate("show stat -1 4 -1"))
        #expect(servers.rows.map { $0["svname"] } == ["8081", "8082"])
        #expect(try StatReader(farm.operate("show stat lb 3 -1")).rows.map { $0["svname"] } == ["FRONTEND", "BACKEND"])
        #expect(try StatReader(farm.operate("show stat 2 4 2")).rows.map { $0["svname"] } == ["8082"])
        #expect(try StatReader(farm.operate("show stat 3 -1 -1")).rows.isEmpty)
        let typed = farm.operate("show stat typed").split(separator: "\n")
        #expect(typed.contains("S.2.1.7.stot.1:MCP:u64:1") && typed.contains("F.2.0.17.status.1:SGP:str:OPEN"))
        let json = farm.operate("show stat json")
        #expect(json.contains("\"objType\":\"Backend\",\"proxyId\":2,\"id\":0,\"field\":{\"pos\":7,\"name\":\"stot\"}"))
        #expect(json.filter { $0 == "{" }.count == json.filter { $0 == "}" }.count)
        farm.operate("disable server lb/8081")
        #expect(try StatReader(farm.operate("show stat no-maint")).rows.map { $0["svname"] }.contains("8081") == false)
        #expect(farm.operate("show info").contains("CumReq: 2\n"))
        #expect(farm.operate("show info typed").contains(".CumReq.1:MCP:u32:2\n"))
        let states = farm.operate("show servers state").split(separator: "\n").map { $0.split(separator: " ") }
        #expect(states[0] == ["1"] && states[1].count == 26 && states[2].count == 25 && states[3].count == 25)
        #expect(states[2][5] == "0" && states[2][6] == "1" && states[3][5] == "2" && states[3][6] == "0")
    }

    @Test("a socket answers one line and closes, or stays with a prompt until it has had enough")
    func socket() throws {
        let farm = try Farm(2, runtimeAPI: .port(9999))
        func dial() throws -> RawClient { try RawClient(farm.client, "lb", 9999) }
        let once = try dial()
        once.write("show version; get weight lb/8081\nshow version\n")
        farm.pass(.milliseconds(5))
        #expect(once.text == "2.6-sdlab\n\n1 (initial 1)\n\n" && once.hasEnded)
        let stays = try dial()
        stays.write("prompt\nshow ver")
        farm.pass(.milliseconds(5))
        stays.write("sion\nset server lb/8082 state drain\n")
        farm.pass(.milliseconds(5))
        #expect(stays.text == "\n> 2.6-sdlab\n\n> \n> " && !stays.hasEnded)
        #expect(try farm.ask(2) == ["a", "a"])
        stays.write("prompt; show backend\n")
        farm.pass(.milliseconds(5))
        #expect(stays.text.hasSuffix("> \n# name\nlb\n\n") && stays.hasEnded)
        let quits = try dial()
        quits.write("quit\n")
        let unended = try dial()
        unended.write("show version")
        unended.stream.finish()
        let silent = try dial()
        let patient = try dial()
        patient.write("prompt\nset timeout cli 1m\n")
        let endless = try dial()
        endless.write(String(repeating: "x", count: RuntimeLine.limitBytes + 1))
        farm.pass(.seconds(9))
        #expect(quits.text == "" && quits.hasEnded && unended.text == "2.6-sdlab\n\n")
        #expect(endless.text.contains("longer than") && endless.hasEnded && !silent.hasEnded)
        farm.pass(.seconds(2))
        #expect(silent.hasEnded && !patient.hasEnded)
        farm.pass(.seconds(60))
        #expect(patient.hasEnded)
    }

    @Test("a socket's path needs sockets of the machine")
    func memory() throws {
        #expect(throws: NetworkError.self) { try Farm(1, runtimeAPI: .path("x.sock")) }
    }

    @Test("whatever is typed has an answer, without an empty line in it", arguments: 1...20)
    func fuzz(_ seed: UInt64) throws {
        let farm = try Farm(3, seed: seed)
        let words = [
            "show", "stat", "info", "servers", "state", "conn", "sess", "errors", "set", "get", "server", "weight",
            "maxconn", "lb/8081", "lb/8082", "lb/8083", "lb/n", "lb/", "/", "lb", "-1", "0", "1", "256", "50%", "%",
            "9223372036854775807", "-9223372036854775808", "ready", "drain", "maint", "health", "up", "down", "enable",
            "disable", "add", "del", "localhost:1", "localhost:8081", "shutdown", "sessions", "session", "0x1", "clear",
            "counters", "all", "timeout", "cli", "10", "help", "prompt", "quit", "json", "typed", ";", "\\", "\\;",
            "\"",
            "\u{1}", "é", "\u{10FFFF}", "",
        ]
        var random = SeededRandom(seed: seed)
        for step in 0..<400 {
            var line = (0...Int(random.next() % 7)).map { _ in words[Int(random.next() % UInt64(words.count))] }
                .joined(separator: " ")
            if step % 10 == 0 {
                line = String(decoding: randomBytes(Int(random.next() % 200), seed: random.next()), as: UTF8.self)
            }
            if step % 7 == 0 { _ = try? farm.ask(1) }
            for command in RuntimeLine.commands(line) {
                let answer = farm.host.runtime(command).text
                #expect(!answer.contains("\n\n") && !answer.hasPrefix("\n"), "\(command)")
                #expect(answer.isEmpty || answer.hasSuffix("\n"), "\(command)")
            }
            if farm.host.engine.servers.contains(where: { $0.active < 0 || $0.waiting < 0 }) { Issue.record("\(line)") }
        }
        _ = try farm.stat()
    }

    @Test("a line is cut at semicolons and blanks, unless a backslash stands before them")
    func lines() {
        #expect(RuntimeLine.commands("a  b;c\td ;; e\\ f\\;g\\\\") == [["a", "b"], ["c", "d"], ["e f;g\\"]])
        #expect(RuntimeLine.commands("") == [[]] && RuntimeLine.commands(" ; ;") == [[]])
        #expect(RuntimeLine.commands("quit\r\n") == [["quit"]])
    }
}

import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// A server of one number, which a test can make slow to commit, or unable to.
private final class Counter: RESPService {
    var number = 0
    var commits: [(String?) -> Void] = []
    var failure: String?
    var isSlow = false
    var commitCount = 0
    var waiting: RESPServerConnection?

    func commit(_ server: RESPServer, done: @escaping (String?) -> Void) {
        commitCount += 1
        if isSlow { commits.append(done) } else { done(failure) }
    }

    var commands: [RESPCommand] {
        [
            RESPCommand("add", arity: 1, [.write], group: "test", "Add one") { [unowned self] connection, _ in
                number += 1
                connection.reply.integer(number)
            },
            RESPCommand("read", arity: 1, [.readOnly], group: "test", "Read") { [unowned self] connection, _ in
                connection.reply.integer(number)
            },
            RESPCommand("big", arity: 2, [.readOnly], group: "test", "Many bytes") { connection, arguments in
                connection.reply.bulk([UInt8](repeating: 97, count: arguments.integer(1) ?? 0))
            },
            RESPCommand("later", arity: 1, [.readOnly], group: "test", "Answer later") { [unowned self] connection, _ in
                waiting = connection
                connection.suspend()
            },
        ]
    }
}

private struct Fixture {
    let world = memoryWorld()
    let service = Counter()
    let server: RESPServer
    let client: RawClient

    init(_ change: (inout RESPServerOptions) -> Void = { _ in }) throws {
        var options = RESPServerOptions()
        change(&options)
        server = RESPServer(
            node: world.node("server"), commands: service.commands, service: service, options: options)
        try server.listen(on: 6379)
        client = try RawClient(world.node("client-1"), "server", 6379)
        world.pass(.milliseconds(1))
    }

    /// What has come since the last call.
    func ask(_ text: String) -> String {
        let before = client.bytes.count
        client.write(text)
        world.pass(.milliseconds(5))
        return String(decoding: client.bytes[before...], as: UTF8.self)
    }
}

@Suite("A RESP server")
struct RESPServerTests {
    @Test("what every server answers, in Redis's words")
    func standard() throws {
        let fixture = try Fixture()
        let cases = [
            ("PING\r\n", "+PONG\r\n"), ("ping hello\r\n", "$5\r\nhello\r\n"), ("ECHO x\r\n", "$1\r\nx\r\n"),
            ("PING a b\r\n", "-ERR wrong number of arguments for 'ping' command\r\n"),
            ("ECHO\r\n", "-ERR wrong number of arguments for 'echo' command\r\n"),
            ("SELECT 0\r\n", "+OK\r\n"), ("SELECT 1\r\n", "-ERR DB index is out of range\r\n"),
            ("SELECT x\r\n", "-ERR value is not an integer or out of range\r\n"),
            ("FOO\r\n", "-ERR unknown command 'FOO', with args beginning with: \r\n"),
            ("foo a 'b c'\r\n", "-ERR unknown command 'foo', with args beginning with: 'a' 'b c' \r\n"),
            ("CLIENT\r\n", "-ERR wrong number of arguments for 'client' command\r\n"),
            ("CLIENT FOO\r\n", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n"),
            ("CLIENT SETNAME\r\n", "-ERR wrong number of arguments for 'client|setname' command\r\n"),
            ("CLIENT ID\r\n", ":1\r\n"), ("CLIENT GETNAME\r\n", "$-1\r\n"), ("CLIENT SETNAME me\r\n", "+OK\r\n"),
            ("CLIENT GETNAME\r\n", "$2\r\nme\r\n"),
            (
                "CLIENT SETNAME 'a b'\r\n",
                "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
            ),
            ("CLIENT SETINFO LIB-NAME redis-py\r\n", "+OK\r\n"),
            ("CLIENT SETINFO X y\r\n", "-ERR Unrecognized option 'X'\r\n"),
            ("HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n"),
            ("HELLO x\r\n", "-ERR Protocol version is not an integer or out of range\r\n"),
            ("HELLO 2 FOO\r\n", "-ERR Syntax error in HELLO option 'FOO'\r\n"),
            ("AUTH a b\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
            ("COMMAND GETKEYS PING x\r\n", "-ERR The command has no key arguments\r\n"),
            ("RESET\r\n", "+RESET\r\n"), ("CLIENT GETNAME\r\n", "$-1\r\n"),
        ]
        for (request, reply) in cases { #expect(fixture.ask(request) == reply, "\(request)") }
        #expect(fixture.ask("AUTH x\r\n").hasPrefix("-ERR AUTH <password> called without any password configured"))
        #expect(fixture.ask("CLIENT LIST\r\n").contains("id=1 addr="))
        #expect(fixture.ask("COMMAND COUNT\r\n") == ":\(fixture.server.table.commands.count)\r\n")
        #expect(fixture.ask("COMMAND INFO nosuch\r\n") == "*1\r\n$-1\r\n")
        #expect(fixture.ask("COMMAND INFO ping\r\n").hasPrefix("*1\r\n*10\r\n$4\r\nping\r\n:-1\r\n*1\r\n+fast\r\n"))
    }

    @Test("HELLO 3 changes the form of what follows, RESET changes it back")
    func versions() throws {
        let fixture = try Fixture()
        #expect(fixture.ask("HELLO\r\n").hasPrefix("*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n"))
        #expect(fixture.ask("HELLO 3 SETNAME me\r\n").hasPrefix("%7\r\n$6\r\nserver\r\n"))
        #expect(fixture.ask("CLIENT GETNAME\r\n") == "$2\r\nme\r\n")
        #expect(fixture.ask("RESET\r\nCLIENT GETNAME\r\n") == "+RESET\r\n$-1\r\n")
    }

    @Test("pipelined requests are answered in order, and each byte of them may come alone")
    func pipelining() throws {
        let fixture = try Fixture()
        let request = "*1\r\n$3\r\nADD\r\n*1\r\n$4\r\nREAD\r\nPING\r\n"
        #expect(fixture.ask(request + request) == ":1\r\n:1\r\n+PONG\r\n:2\r\n:2\r\n+PONG\r\n")
        for byte in request.utf8 {
            fixture.client.stream.write([byte])
            fixture.world.pass(.milliseconds(1))
        }
        #expect(fixture.client.text.hasSuffix(":3\r\n:3\r\n+PONG\r\n"))
    }

    @Test("all that came in one turn is committed once, and nothing is said before")
    func groupCommit() throws {
        let fixture = try Fixture()
        fixture.service.isSlow = true
        let clients = try (0..<50).map { _ in try RawClient(fixture.world.node("many"), "server", 6379) }
        fixture.world.pass(.milliseconds(1))
        for client in clients { client.write("ADD\r\n") }
        fixture.world.pass(.milliseconds(5))
        #expect(fixture.service.number == 50 && fixture.service.commitCount == 1)
        #expect(clients.allSatisfy { $0.bytes.isEmpty })
        // A read of what is not committed waits, too.
        #expect(fixture.ask("READ\r\n") == "")
        #expect(fixture.service.commitCount == 1)
        fixture.service.isSlow = false
        fixture.service.commits[0](nil)
        fixture.world.pass(.milliseconds(5))
        #expect(clients.map(\.text) == (1...50).map { ":\($0)\r\n" })
        #expect(fixture.client.text == ":50\r\n" && fixture.service.commitCount == 2)
    }

    @Test("a commit that fails turns what promised too much into an error, and nothing else")
    func failedCommit() throws {
        let fixture = try Fixture()
        fixture.service.failure = "MISCONF no disk"
        #expect(
            fixture.ask("READ\r\nADD\r\nPING\r\nADD\r\n") == ":0\r\n-MISCONF no disk\r\n+PONG\r\n-MISCONF no disk\r\n")
        fixture.service.failure = nil
        #expect(fixture.ask("ADD\r\n") == ":3\r\n")
    }

    @Test("what arrived while a commit was under way is judged by its own commit")
    func failedCommitOfOthers() throws {
        let fixture = try Fixture()
        fixture.service.isSlow = true
        #expect(fixture.ask("ADD\r\n") == "")
        #expect(fixture.ask("PING\r\nADD\r\n") == "")
        fixture.service.commits[0]("MISCONF no disk")
        fixture.world.pass(.milliseconds(5))
        #expect(fixture.client.text == "-MISCONF no disk\r\n")
        fixture.service.commits[1](nil)
        fixture.world.pass(.milliseconds(5))
        #expect(fixture.client.text == "-MISCONF no disk\r\n+PONG\r\n:2\r\n")
    }

    @Test("a protocol error is answered, and ends the connection after what came before it")
    func protocolError() throws {
        let fixture = try Fixture()
        #expect(
            fixture.ask("PING\r\n*1\r\n:3\r\nPING\r\n") == "+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n")
        fixture.world.pass(.seconds(3))
        #expect(fixture.client.hasEnded && fixture.server.openConnectionCount == 0)
    }

    @Test("a client that takes no replies is not read any more, and gets all of them when it does")
    func backPressure() throws {
        let fixture = try Fixture { $0.outputBytes = 64 << 10 }
        fixture.client.stream.pauseReading()
        for _ in 0..<2000 { fixture.client.write("*2\r\n$3\r\nBIG\r\n$5\r\n10000\r\n") }
        fixture.world.pass(.seconds(1))
        let connection = try #require(fixture.server.openConnections.first)
        #expect(connection.outputByteCount < 1 << 20, "\(connection.outputByteCount)")
        #expect(fixture.server.commandCount < 200)
        fixture.client.stream.resumeReading()
        fixture.world.pass(.seconds(5))
        #expect(fixture.server.commandCount == 2000 && fixture.client.bytes.count == 2000 * 10_010)
    }

    @Test("a command may answer later; those behind it wait")
    func suspended() throws {
        let fixture = try Fixture()
        #expect(fixture.ask("READ\r\nLATER\r\nPING\r\n") == ":0\r\n")
        #expect(fixture.ask("PING\r\n") == "")
        let connection = try #require(fixture.service.waiting)
        connection.reply.simple("now")
        connection.resume()
        fixture.world.pass(.milliseconds(5))
        #expect(fixture.client.text == ":0\r\n+now\r\n+PONG\r\n+PONG\r\n")
    }

    @Test("a client that has said all it will say still gets its replies")
    func halfClosed() throws {
        let fixture = try Fixture()
        fixture.client.write("ADD\r\nREAD\r\n")
        fixture.client.stream.finish()
        fixture.world.pass(.milliseconds(5))
        #expect(fixture.client.text == ":1\r\n:1\r\n" && fixture.client.hasEnded)
        #expect(fixture.server.openConnectionCount == 0)
    }

    @Test("QUIT, CLIENT KILL, too many connections, and silence end them")
    func ends() throws {
        let fixture = try Fixture {
            $0.connectionLimit = 2
            $0.idleTimeout = .seconds(10)
        }
        let second = try RawClient(fixture.world.node("b"), "server", 6379)
        fixture.world.pass(.milliseconds(1))
        let third = try RawClient(fixture.world.node("c"), "server", 6379)
        fixture.world.pass(.milliseconds(1))
        #expect(third.text == "-ERR max number of clients reached\r\n" && third.hasEnded)
        #expect(fixture.ask("CLIENT KILL ID 2\r\n") == ":1\r\n" && second.closed != nil)
        #expect(fixture.ask("CLIENT KILL 1.2.3.4:5\r\n") == "-ERR No such client\r\n")
        #expect(fixture.ask("QUIT\r\nPING\r\n") == "+OK\r\n" && fixture.client.hasEnded)
        let fourth = try RawClient(fixture.world.node("d"), "server", 6379)
        fixture.world.pass(.seconds(9))
        fourth.write("PING\r\n")
        fixture.world.pass(.seconds(9))
        #expect(fourth.text == "+PONG\r\n" && fourth.closed == nil)
        fixture.world.pass(.seconds(2))
        #expect(fourth.closed != nil && fixture.server.openConnectionCount == 0)
    }

    @Test("CLIENT REPLY says which replies are wanted")
    func replyModes() throws {
        let fixture = try Fixture()
        #expect(fixture.ask("CLIENT REPLY OFF\r\nADD\r\nADD\r\nCLIENT REPLY ON\r\nREAD\r\n") == "+OK\r\n:2\r\n")
        #expect(fixture.ask("CLIENT REPLY SKIP\r\nADD\r\nREAD\r\n") == ":3\r\n")
    }
}

@Suite("A RESP client's connection")
struct RESPClientTests {
    @Test("replies go to whoever asked, in order; errors are values")
    func order() throws {
        let fixture = try Fixture()
        let client = RESPClientConnection()
        try client.connect(from: fixture.world.node("client-2"), to: HostPort(host: "server", port: 6379))
        var heard: [RESPValue] = []
        for words in [["ADD"], ["ECHO", "a\r\nb"], ["NOSUCH"], ["READ"]] {
            client.send(words) { if case .success(let value) = $0 { heard.append(value) } }
        }
        fixture.world.pass(.milliseconds(5))
        #expect(
            heard == [
                .integer(1), .bulk(Array("a\r\nb".utf8)),
                .error("ERR unknown command 'NOSUCH', with args beginning with: "), .integer(1),
            ])
        #expect(client.isReusable && client.requestCount == 4)
    }

    @Test("everybody who waits hears that the connection ended, or never was")
    func failures() throws {
        let fixture = try Fixture()
        var heard: [RESPClientFailure] = []
        let note: RESPClientConnection.Completion = { if case .failure(let failure) = $0 { heard.append(failure) } }
        let client = RESPClientConnection()
        try client.connect(from: fixture.world.node("client-2"), to: HostPort(host: "server", port: 6379))
        client.send(["LATER"], completion: note)
        client.send(["PING"], completion: note)
        fixture.world.pass(.milliseconds(5))
        fixture.server.node.end(.killed)
        fixture.world.pass(.milliseconds(5))
        #expect(heard.count == 2 && !client.isReusable)
        let late = RESPClientConnection()
        var end: RESPClientFailure?
        late.onEnd = { end = $0 }
        try late.connect(from: fixture.world.node("client-3"), to: HostPort(host: "server", port: 6379))
        late.send(["PING"], completion: note)
        fixture.world.pass(.milliseconds(5))
        #expect(heard.last == .notConnected(.refused) && end == .notConnected(.refused))
    }

    @Test("a server that speaks no RESP, or speaks unasked, is left")
    func nonsense() throws {
        for text in ["HTTP/1.1 400 Bad Request\r\n", "+OK\r\n+OK\r\n"] {
            let world = memoryWorld()
            let server = try ScriptedServer(world.node("server"), port: 1)
            server.onReceived = { $0.write(text) }
            let client = RESPClientConnection()
            var end: RESPClientFailure?
            client.onEnd = { end = $0 }
            try client.connect(from: world.node("client-1"), to: HostPort(host: "server", port: 1))
            client.send(["PING"]) { _ in }
            world.pass(.milliseconds(5))
            guard case .malformed = end else {
                Issue.record("\(text): \(String(describing: end))")
                continue
            }
            #expect(client.isClosed)
        }
    }
}

import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// A server that answers each statement with its own text, and keeps what it heard.
private final class EchoServer {
    final class Connection: StreamHandler {
        private let reader = FrontendMessageReader()
        private unowned let server: EchoServer
        private var statements: [String: String] = [:]
        private var portal = ""
        private var isInTransaction = false

        init(_ server: EchoServer) { self.server = server }

        func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
            var writer = BackendMessageWriter()
            var position = 0
            while case .message(let message) = reader.next(bytes, &position) {
                server.heard.append(message)
                answer(message, &writer)
            }
            stream.write(writer.take())
        }

        private func answer(_ message: FrontendMessage, _ writer: inout BackendMessageWriter) {
            switch message {
            case .startup:
                writer.write(.authentication(.ok))
                writer.write(.backendKeyData(PostgresCancelKey(process: 1, secret: 2)))
                ready(&writer)
            case .query(let text):
                row(text, describes: true, &writer)
                ready(&writer)
            case .parse(let name, let query, _):
                statements[name] = query
                writer.parseComplete()
            case .bind(let bind):
                portal = statements[bind.statement] ?? ""
                writer.bindComplete()
            case .describe: writer.rowDescription([ColumnDescription("echo", .text)])
            case .execute: row(portal, describes: false, &writer)
            case .sync: ready(&writer)
            default: break
            }
        }

        private func row(_ text: String, describes: Bool, _ writer: inout BackendMessageWriter) {
            if text.hasPrefix("BEGIN") { isInTransaction = true }
            if text == "COMMIT" || text == "ROLLBACK" { isInTransaction = false }
            if text == "fail" { return writer.error(PostgresError(.undefinedTable, "no such thing")) }
            if describes { writer.rowDescription([ColumnDescription("echo", .text)]) }
            writer.beginRow(columnCount: 1)
            writer.value(utf8: text)
            writer.endRow()
            writer.commandComplete("SELECT 1")
        }

        private func ready(_ writer: inout BackendMessageWriter) {
            writer.readyForQuery(isInTransaction ? .inTransaction : .idle)
        }
    }

    var heard: [FrontendMessage] = []
    private(set) var streams: [Stream] = []
    private var listener: Listener?

    init(_ node: Node) throws {
        listener = try node.listen(on: 5432) { [unowned self] stream in
            streams.append(stream)
            return Connection(self)
        }
    }

    var queries: [String] {
        heard.compactMap { message in
            switch message {
            case .query(let text): text
            case .parse(_, let text, _): "parse \(text)"
            case .execute: "execute"
            default: nil
            }
        }
    }
}

/// The client against a server in memory.
@Suite struct PostgresClientTests {
    private let world = memoryWorld()

    private func setUp() throws -> (EchoServer, PostgresClient) {
        let server = try EchoServer(world.node("db"))
        let client = PostgresClient(world.node("app"), try PostgresURL("postgres://app@db/urls"))
        return (server, client)
    }

    @Test("questions are asked without waiting, and each hears its own answer; a failure takes no other with it")
    func pipelining() throws {
        let (server, client) = try setUp()
        var answers: [String] = []
        for text in ["a", "fail", "b"] {
            client.query(text) { result in
                switch result {
                case .success(let results): answers.append(results[0].texts[0][0] ?? "")
                case .failure(let failure): answers.append(failure.sqlState?.rawValue ?? "")
                }
            }
        }
        world.pass(.seconds(1))
        #expect(answers == ["a", "42P01", "b"])
        #expect(client.connectCount == 1 && server.queries == ["a", "fail", "b"])
    }

    @Test("a statement is prepared once a connection, and its columns are known from then on")
    func prepared() throws {
        let (server, client) = try setUp()
        var answers: [[PostgresResult]] = []
        for _ in 0..<3 {
            client.execute("x", [.int4(1)]) { result in
                if case .success(let results) = result { answers.append(results) }
            }
            world.pass(.milliseconds(10))
        }
        #expect(server.queries == ["parse x", "execute", "execute", "execute"])
        #expect(answers.count == 3 && answers.allSatisfy { $0 == answers[0] && $0[0].columns.map(\.name) == ["echo"] })
    }

    @Test("a transaction has the connection to itself; who asks meanwhile comes after it")
    func transactions() throws {
        let (server, client) = try setUp()
        var ends: [PostgresFailure?] = []
        client.transaction(failed: { ends.append($0) }) { transaction in
            client.query("other") { _ in }
            transaction.query("inside") { _ in transaction.commit { ends.append($0) } }
        }
        world.pass(.seconds(1))
        #expect(server.queries == ["BEGIN", "inside", "COMMIT", "other"])
        #expect(ends == [nil])
    }

    @Test("what was under way when the connection ended fails, and the next question makes another one")
    func reconnect() throws {
        let (server, client) = try setUp()
        client.query("a") { _ in }
        world.pass(.milliseconds(10))
        var outcomes: [Bool] = []
        func note(_ result: Result<[PostgresResult], PostgresFailure>) {
            if case .success = result { outcomes.append(true) } else { outcomes.append(false) }
        }
        client.query("b", note)
        server.streams[0].abort()
        world.pass(.milliseconds(10))
        client.query("c", note)
        world.pass(.milliseconds(10))
        #expect(outcomes == [false, true])
        #expect(client.connectCount == 2)
    }

    @Test("a database that is not there is said to be so, and a closed client asks nothing")
    func failures() throws {
        let client = PostgresClient(world.node("app"), try PostgresURL("postgres://app@nowhere/urls"))
        var failures: [String] = []
        func note(_ result: Result<[PostgresResult], PostgresFailure>) {
            if case .failure(let failure) = result { failures.append("\(failure)") }
        }
        client.query("a", note)
        world.pass(.seconds(1))
        client.close()
        client.query("b", note)
        world.pass(.seconds(1))
        #expect(failures == ["could not resolve host: nowhere", "the connection was closed here"])
    }
}

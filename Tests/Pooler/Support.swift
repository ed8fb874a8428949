import KernelHosting
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine
import PoolerService
import TestSupport

/// A database that answers each statement with its own text. Like PostgreSQL it keeps answers to the extended protocol
/// until a Sync or a Flush, passes over what follows an error, and over data that nobody asked for.
final class EchoDatabase {
    final class Session: StreamHandler {
        let stream: Stream
        private unowned let database: EchoDatabase
        private let reader = FrontendMessageReader()
        private var writer = BackendMessageWriter()
        private var statements: [String: String] = [:]
        private var portal = ""
        private var status = PostgresTransactionStatus.idle
        private var isCopying = false
        private var isSkipping = false

        init(_ stream: Stream, _ database: EchoDatabase) {
            self.stream = stream
            self.database = database
        }

        func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
            var position = 0
            while case .message(let message) = reader.next(bytes, &position) { take(message) }
        }

        private func flush() { stream.write(writer.take()) }

        private func ready() {
            isSkipping = false
            writer.readyForQuery(status)
            flush()
        }

        private func take(_ message: FrontendMessage) {
            switch message {
            case .startup: welcome()
            case .query(let text): query(text)
            case .sync: ready()
            case .flush: flush()
            case .copyData(let data): if isCopying, data.starts(with: Array("bad".utf8)) { failCopy() }
            case .copyDone:
                guard isCopying else { return }
                isCopying = false
                writer.commandComplete("COPY 1")
                ready()
            case .terminate: stream.close()
            default: if !isSkipping { extended(message) }
            }
        }

        private func welcome() {
            writer.write(.authentication(.ok))
            let settings = [
                ("server_version", "15.0"), ("client_encoding", "UTF8"), ("TimeZone", "UTC"),
                ("standard_conforming_strings", "on"), ("application_name", ""),
            ]
            for (name, value) in settings { writer.write(.parameterStatus(name: name, value: value)) }
            writer.write(.backendKeyData(PostgresCancelKey(process: 1, secret: 2)))
            ready()
        }

        private func query(_ text: String) {
            database.queries.append(text)
            switch text {
            case "copy":
                isCopying = true
                writer.write(.copyIn(.text, columns: [.text]))
                return flush()
            case "slow": return database.held.append { [unowned self] in self.answer(text) }
            default: answer(text)
            }
        }

        private func answer(_ text: String) {
            if text.hasPrefix("SET ") {
                set(text)
            } else if text == "fail" {
                writer.error(PostgresError(.undefinedTable, "no such thing"))
            } else {
                if text == "BEGIN" { status = .inTransaction }
                if text == "COMMIT" { status = .idle }
                row(text)
            }
            ready()
        }

        /// `SET NAME='VALUE';…`, the whole of it or nothing.
        private func set(_ text: String) {
            if text.contains("Nowhere") {
                return writer.error(
                    PostgresError("22023", "invalid value for parameter \"TimeZone\": \"Nowhere/XX\""))
            }
            for part in text.split(separator: ";") {
                let sides = part.dropFirst("SET ".count).split(separator: "=", maxSplits: 1)
                writer.commandComplete("SET")
                writer.write(
                    .parameterStatus(name: String(sides[0]), value: String(sides[1].dropFirst().dropLast())))
            }
        }

        private func row(_ text: String) {
            writer.beginRow(columnCount: 1)
            writer.value(utf8: text)
            writer.endRow()
            writer.commandComplete("SELECT 1")
        }

        private func failCopy() {
            isCopying = false
            writer.error(PostgresError("22P04", "bad data"))
            ready()
        }

        private func extended(_ message: FrontendMessage) {
            switch message {
            case .parse(_, "selec", _): refuse(PostgresError("42601", "syntax error"))
            case .parse(let name, let query, _):
                if !name.isEmpty, statements[name] != nil {
                    return refuse(PostgresError("42P05", "prepared statement \"\(name)\" already exists"))
                }
                statements[name] = query
                writer.parseComplete()
            case .bind(let bind):
                guard let query = statements[bind.statement] else {
                    return refuse(
                        PostgresError("26000", "prepared statement \"\(bind.statement)\" does not exist"))
                }
                portal = query
                writer.bindComplete()
            case .execute: row(portal)
            case .close(.statement(let name)):
                statements[name] = nil
                writer.closeComplete()
            default: break
            }
        }

        private func refuse(_ error: PostgresError) {
            writer.error(error)
            isSkipping = true
        }
    }

    /// Texts of simple queries, in their order.
    fileprivate(set) var queries: [String] = []
    private(set) var sessions: [Session] = []
    /// Statements that are not answered yet.
    fileprivate var held: [() -> Void] = []
    private var listener: Listener?

    init(_ node: Node) throws {
        listener = try node.listen(on: 5432) { [unowned self] stream in
            let session = Session(stream, self)
            sessions.append(session)
            return session
        }
    }

    /// Answers what was slow.
    func answerSlow() {
        let held = self.held
        self.held = []
        for answer in held { answer() }
    }
}

/// A client that says what it is told.
final class PoolerVisitor {
    let raw: RawClient
    private var understood = 0

    init(_ raw: RawClient, _ parameters: [PostgresStartup.Parameter]) {
        self.raw = raw
        raw.stream.write(FrontendMessage.startup(PostgresStartup(parameters: parameters)).encoded)
    }

    func say(_ messages: FrontendMessage...) {
        var bytes: [UInt8] = []
        for message in messages { message.encode(into: &bytes) }
        raw.stream.write(bytes)
    }

    func query(_ text: String) { say(.query(text)) }

    /// All that it heard, from the beginning.
    var heard: [BackendMessage] {
        let reader = BackendMessageReader()
        var messages: [BackendMessage] = []
        raw.bytes.withUnsafeBytes { bytes in
            var position = 0
            while case .message(let message) = reader.next(bytes, &position) { messages.append(message) }
        }
        return messages
    }

    /// What it has heard since the last call: errors as code and message, rows with blanks between their values, tags,
    /// and `Z` for ReadyForQuery.
    func news() -> [String] {
        let all = heard
        defer { understood = all.count }
        return all[understood...].compactMap { message in
            switch message {
            case .errorResponse(let error): "\(error.sqlState.rawValue) \(error.message)"
            case .dataRow(let row): row.texts.map { $0 ?? "" }.joined(separator: " ")
            case .commandComplete(let tag): tag
            case .readyForQuery: "Z"
            default: nil
            }
        }
    }
}

/// A pooler in a world in memory, with a database behind it.
final class PoolerLab {
    let world = memoryWorld()
    let database: EchoDatabase
    let host: PoolerHost
    private let node: Node

    /// - Parameter settings: of `[pgbouncer]`; transaction pooling with one server for the database `urls` without any.
    init(_ settings: [String: String] = [:]) throws {
        database = try EchoDatabase(world.node("db"))
        node = world.node("app")
        var configuration = PoolerConfiguration()
        let all = ["auth_type": "any", "pool_mode": "transaction", "default_pool_size": "1"]
            .merging(settings) { $1 }
        for (name, value) in all.sorted(by: { $0.key < $1.key }) { try configuration.set(name, value) }
        try configuration.add(try PoolerDatabase("urls", connection: "host=db"))
        host = PoolerHost(node: world.node("pooler"), source: ConfigurationSource(fixed: configuration))
        try host.start()
        world.pass(.milliseconds(1))
    }

    deinit { world.shutDown() }

    /// A client that is let in, and has heard so.
    func visitor(_ database: String = "urls", _ settings: [String: String] = [:]) throws -> PoolerVisitor {
        let own = settings.sorted { $0.key < $1.key }.map { PostgresStartup.Parameter($0.key, $0.value) }
        let visitor = PoolerVisitor(
            try RawClient(node, "pooler", PoolerHost.defaultPort),
            [.init("user", "app"), .init("database", database)] + own)
        pass()
        _ = visitor.news()
        return visitor
    }

    func pass() { world.pass(.milliseconds(20)) }

    /// What a visitor hears of what it says.
    func answer(_ visitor: PoolerVisitor, _ text: String) -> [String] {
        visitor.query(text)
        pass()
        return visitor.news()
    }
}

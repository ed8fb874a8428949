import CommandKit
import CommandServices
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

extension SQLCommands {
    /// `sql 'select 1'`
    static var sql: Command {
        let description = CommandDescription(
            "sql", "asks a PostgreSQL database: the lab's, or a real one",
            usage: "[postgres://USER:PASSWORD@HOST:PORT/DATABASE] [STATEMENT…] [FLAGS]",
            flags: [
                .init("db", "d", .text("URL"), "which database (postgres://localhost:5432/postgres)"),
                .init("file", "f", .file, "statements from a file"),
                .init("timeout", nil, .duration(), "gives up after that time, and cancels what is under way"),
                CommonFlags.json,
            ],
            arguments: .init([.text], 0...1_000),
            examples: [
                "sql 'select now()'", "sql postgres://db:5432/urls 'select * from urls' --json",
                "sql --db postgres://app@localhost:6432/pgbouncer 'show pools'", "sql -f schema.sql", "sql '\\d urls'",
            ],
            group: .clients,
            details: """
                Without a statement it reads them from its input; at a terminal each is
                carried out once its semicolon and Enter are typed, and \\q or Ctrl-D ends it.
                What has several statements stops at the first that fails. \\l lists databases,
                \\dt tables, \\di indexes, \\d NAME the columns of a table. Rows that are wider
                than the terminal are shown with a line for each value; \\x on does so always,
                \\x off never, \\x auto where it must be. sslmode in the URL asks for TLS: disable
                (if it is left out), prefer, require, verify-ca, verify-full; the lab's
                authority vouches. Exits with 1 if a statement has failed, with 2 if there
                was no session.
                """)
        return Command(description) { invocation in
            let (url, statements) = try words(invocation)
            let program = SQLProgram(
                invocation.process, url, security: try url.security(in: invocation.session.world),
                wantsJSON: invocation.arguments.wantsJSON)
            program.timeout = invocation.arguments.duration("timeout")
            program.statements = statements
            return .running(program)
        }
    }

    /// The database, and what is to be said to it; nil for what the input says.
    private static func words(_ invocation: Invocation) throws -> (PostgresURL, [String]?) {
        let arguments = invocation.arguments
        var words = arguments.arguments
        var address = arguments.text("db")
        if let first = words.first, PostgresURL.isOne(first) {
            if address != nil { throw UsageError("sql: two databases; give either --db or a URL as the first word") }
            address = first
            words.removeFirst()
        }
        let url: PostgresURL
        do throws(PostgresURL.Malformed) {
            url = try PostgresURL(address ?? "postgres://localhost:\(PostgresURL.defaultPort)/postgres")
        } catch {
            throw UsageError("sql: \(error)")
        }
        guard let file = arguments.text("file") else { return (url, words.isEmpty ? nil : words) }
        guard words.isEmpty else {
            throw UsageError("sql: statements come either from --file or from the command line")
        }
        do throws(LabFileError) {
            return (url, [String(decoding: try invocation.session.files.read(file), as: UTF8.self)])
        } catch {
            throw CommandFailure("\(error)")
        }
    }
}

/// One run of `sql`: statement after statement, on one connection. What is typed is carried out as it comes, and goes
/// on after an error; everything else is read to its end first, and stops at the first error.
final class SQLProgram: Program {
    let process: Process
    private let url: PostgresURL
    private let connection: PostgresConnection
    private let wantsJSON: Bool
    /// How long a server has to answer that it has canceled what is under way.
    private static let cancelPatience = LabDuration.seconds(2)
    var timeout: LabDuration?
    /// Nil: what the input says.
    var statements: [String]?
    private var queue: ArraySlice<String> = []
    private var input: [UInt8] = []
    private var hasTimedOut = false
    private var timer: TimerID?
    private var expansion = SQLView.Expansion.auto

    /// Whether somebody types the statements.
    private var isTyped = false
    /// Lines of a statement that has no end yet.
    private var draft = ""
    private var hasInputEnded = false
    /// A statement is under way.
    private var isBusy = false

    static let inputLimitBytes = 64 << 20

    init(_ process: Process, _ url: PostgresURL, security: (any StreamSecurity)?, wantsJSON: Bool) {
        self.process = process
        self.url = url
        self.wantsJSON = wantsJSON
        connection = PostgresConnection(process.node, url, security: security)
    }

    func start() {
        if let statements { return begin(statements) }
        // Where nobody can type, nobody has to be told.
        if !process.hasInput, !process.session.hasNoKeyboard { return beginTyped() }
        process.read(
            onBytes: { [self] bytes in
                input += bytes
                if input.count > Self.inputLimitBytes { fail("the input is longer than 64 MiB", 1) }
            },
            onEnd: { [self] in begin([String(decoding: input, as: UTF8.self)]) })
    }

    // MARK: At a terminal

    private func beginTyped() {
        isTyped = true
        process.errorOutput.write(
            "Type statements, each with a semicolon at its end, then Enter; \\q or Ctrl-D ends it.\n")
        begin([])
        guard process.isRunning else { return }
        process.read(
            onBytes: { [self] in typed($0) },
            onEnd: { [self] in
                let rest = SQLText.statements(draft)
                draft = ""
                endTyping(rest)
            })
    }

    private func typed(_ bytes: [UInt8]) {
        input += bytes
        guard input.count + draft.utf8.count <= Self.inputLimitBytes else {
            return fail("the statement is longer than 64 MiB", 1)
        }
        while process.isRunning, !hasInputEnded, let end = input.firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: input[..<end], as: UTF8.self)
            input.removeSubrange(...end)
            take(line)
        }
    }

    private func take(_ line: String) {
        if SQLShortcut.isQuit(line) { return endTyping([]) }
        draft += line + "\n"
        // Nothing else can be the end of one.
        guard line.contains(";") || SQLText.trimmed(line).hasPrefix("\\"),
            let statements = SQLText.completeStatements(draft)
        else { return }
        draft = ""
        queue += statements
        if !isBusy { next() }
    }

    private func endTyping(_ rest: [String]) {
        guard !hasInputEnded else { return }
        hasInputEnded = true
        queue += rest
        if !isBusy { next() }
    }

    // MARK: One after the other

    private func begin(_ texts: [String]) {
        queue = texts.flatMap { SQLText.statements($0) }[...]
        connection.onNotice = { [self] notice in
            process.errorOutput.write("\(notice.severity.rawValue):  \(notice.message)\n")
        }
        connection.onEnd = { [self] failure in fail(complaint(failure), 2) }
        do throws(NetworkError) {
            try connection.connect()
        } catch {
            return fail(complaint(.network(error)), 2)
        }
        if !isTyped { limitTime() }
        next()
    }

    /// Of all statements together, or of each that is typed.
    private func limitTime() {
        guard let timeout else { return }
        timer = process.node.after(timeout) { [self] in
            hasTimedOut = true
            guard connection.isOpen else { return fail("no answer within \(timeout)", 2) }
            connection.cancel()
            // Whoever does not answer may not answer this either.
            timer = process.node.after(Self.cancelPatience) { [self] in
                fail("no answer within \(timeout), and none to the request to cancel it", 2)
            }
        }
    }

    private func next() {
        guard process.isRunning else { return }
        isBusy = false
        if let first = queue.first, SQLShortcut.isQuit(first) { (queue, hasInputEnded) = ([], true) }
        guard let text = queue.popFirst() else {
            if isTyped, !hasInputEnded { return }
            connection.close()
            return process.exit(0)
        }
        isBusy = true
        let statement: String
        do throws(CommandFailure) {
            if let wanted = try SQLShortcut.expansion(text, now: expansion) {
                expansion = wanted
                if !wantsJSON { process.print(wanted.text) }
                return next()
            }
            statement = try SQLShortcut.expand(text)
        } catch {
            return refuse(error.description)
        }
        ask(statement)
    }

    private func ask(_ statement: String) {
        if isTyped { limitTime() }
        connection.query(statement) { [self] result in
            guard process.isRunning else { return }
            if isTyped, let timer {
                process.node.cancel(timer)
                self.timer = nil
            }
            switch result {
            case .success(let results):
                for result in results { show(result) }
                next()
            case .failure(.server(let error)): fail(error, statement)
            case .failure(let failure): fail(complaint(failure), 2)
            }
        }
    }

    private func show(_ result: PostgresResult) {
        if !result.copied.isEmpty { return process.output.write(String(decoding: result.copied, as: UTF8.self)) }
        guard result.returnsRows else {
            if !wantsJSON, !result.tag.isEmpty { process.print(result.tag) }
            return
        }
        if isExpanded(result) {
            return process.output.write(SQLView.records(result, columns: process.session.renderer.columns))
        }
        let view = SQLView.table(result)
        process.output.write(process.text(of: view, asJSON: wantsJSON))
        if !wantsJSON { process.print("(\(counted(result.rows.count, "row")))") }
    }

    /// Records are wanted, or do not fit as rows. What has one column is as wide either way.
    private func isExpanded(_ result: PostgresResult) -> Bool {
        guard !wantsJSON, !result.rows.isEmpty else { return false }
        switch expansion {
        case .on: return true
        case .off: return false
        case .auto:
            return process.writesToTerminal && result.columns.count > 1
                && SQLView.width(result) > process.session.renderer.columns
        }
    }

    private func fail(_ error: PostgresError, _ statement: String) {
        if hasTimedOut, error.sqlState == .queryCanceled, let timeout {
            hasTimedOut = false
            return refuse("canceled: it took longer than \(timeout)")
        }
        var lines = ["\(error.severity.rawValue):  \(error.message) (\(error.sqlState))"]
        if let position = error.position { lines += SQLText.pointer(to: position, in: statement) }
        if let detail = error.detail { lines.append("DETAIL:  \(detail)") }
        if let hint = error.hint { lines.append("HINT:  \(hint)") }
        if let context = error.context { lines.append("CONTEXT:  \(context)") }
        refuse(lines.joined(separator: "\n"))
    }

    /// Where there is no database, how to have one.
    private func complaint(_ failure: PostgresFailure) -> String {
        let text = "\(url.text): \(failure)"
        let destination = url.destination
        switch failure {
        case .network(.unresolved(let host)) where destination.port == PostgresURL.defaultPort:
            return text + "; start a database of that name: postgres --name \(host) &"
        case .notConnected(.refused) where destination.port == PostgresURL.defaultPort:
            return text + "; is a database running there? start one: postgres &"
        case .notConnected(.refused): return text + "; does anything listen there?"
        default: return text
        }
    }

    /// A statement has failed: nothing more is done, unless somebody is there who can type another.
    private func refuse(_ text: String) {
        guard isTyped else { return fail(text, 1) }
        process.complain(text)
        next()
    }

    private func fail(_ text: String, _ status: Int) {
        guard process.isRunning else { return }
        process.complain(text)
        connection.close()
        process.exit(status)
    }
}

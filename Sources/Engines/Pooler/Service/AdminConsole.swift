import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine

/// The database `pgbouncer`, which is the pooler itself: `psql -p 6432 pgbouncer -c 'show pools'`.
final class AdminConsole {
    unowned let host: PoolerHost
    private unowned let client: PoolerClient
    private var writer = BackendMessageWriter()
    /// A command that waits for something; what comes meanwhile waits for it.
    private var isBusy = false
    private var hasEnded = false

    init(_ host: PoolerHost, _ client: PoolerClient) {
        self.host = host
        self.client = client
    }

    func ended() { hasEnded = true }

    func welcome() {
        writer.write(.authentication(.ok))
        let parameters = [
            ("server_version", "1.18.0/sdlab"), ("client_encoding", "UTF8"), ("server_encoding", "UTF8"),
            ("DateStyle", "ISO"), ("TimeZone", "GMT"), ("standard_conforming_strings", "on"), ("is_superuser", "on"),
        ]
        for (name, value) in parameters { writer.write(.parameterStatus(name: name, value: value)) }
        writer.write(.backendKeyData(client.key))
        ready()
    }

    private func ready() {
        writer.readyForQuery(.idle)
        flush()
    }

    private func flush() { if !hasEnded { client.stream.write(writer.take()) } }

    private func refuse(_ state: SQLState, _ message: String) { writer.error(PostgresError(state, message)) }

    func receive(_ message: FrontendMessage) {
        switch message {
        case .query(let text) where !isBusy: query(text)
        case .query: client.fail(.protocolViolation, "a command is under way")
        case .sync: ready()
        case .terminate: client.end()
        case .flush: break
        default:
            refuse(.featureNotSupported, "extended query protocol not supported by admin console")
            flush()
        }
    }

    private func query(_ text: String) {
        host.consoleMeter.totals.transactions += 1
        host.consoleMeter.totals.queries += 1
        if text.allSatisfy({ $0.isWhitespace || $0 == ";" }) {
            writer.emptyQueryResponse()
            return ready()
        }
        do throws(AdminCommand.Malformed) {
            perform(try AdminCommand(parsing: text))
        } catch {
            refuse(.syntaxError, error.description)
            ready()
        }
    }

    private func perform(_ command: AdminCommand) {
        if case .show(let subject) = command { return show(subject) }
        guard host.configuration.isAdmin(client.user) else {
            refuse(.insufficientPrivilege, "admin access needed")
            return ready()
        }
        switch command {
        case .show: break
        case .set(let name, let value): set(name, value)
        case .pause(let name): pause(name)
        case .resume(let name): resume(name)
        case .disable(let name):
            with(name) { state in
                state.isDisabled = true; done("DISABLE")
            }
        case .enable(let name):
            with(name) { state in
                state.isDisabled = false; done("ENABLE")
            }
        case .reconnect(let name):
            known(name) {
                for pool in pools(name) { pool.reconnect() }
                done("RECONNECT")
            }
        case .kill(let name):
            with(name) { state in
                host.kill(state); done("KILL")
            }
        case .waitClose(let name):
            known(name) {
                let pools = pools(name)
                wait("WAIT_CLOSE") { pools.allSatisfy(\.hasClosedDoomed) }
            }
        case .reload: reload()
        case .shutdown: shutDown()
        case .suspend: refused("SUSPEND is for a restart that keeps sockets; use PAUSE")
        }
    }

    private func done(_ tag: String) {
        writer.commandComplete(tag)
        ready()
    }

    private func refused(_ text: String) {
        refuse(.featureNotSupported, text)
        ready()
    }

    /// Answers once the condition holds.
    private func wait(_ tag: String, until isDone: @escaping () -> Bool) {
        isBusy = true
        host.whenDrained({ [weak self] in self?.hasEnded != false || isDone() }) { [weak self] in
            guard let self, !hasEnded else { return }
            isBusy = false
            done(tag)
        }
    }

    private func pools(_ name: String?) -> [PoolerPool] {
        name.map { name in host.pools.filter { $0.database.name == name } } ?? host.pools
    }

    private func with(_ name: String, _ action: (PoolerDatabaseState) -> Void) {
        guard host.configuration.database(name) != nil else { return refuseUnknown(name) }
        action(host.state(name))
    }

    /// Where servers of one database or of all are meant: one that `*` stands for has to have been asked for.
    private func known(_ name: String?, _ action: () -> Void) {
        if let name, !host.configuration.databases.contains(where: { $0.name == name }),
            !host.states.contains(where: { $0.name == name })
        {
            return refuseUnknown(name)
        }
        action()
    }

    private func refuseUnknown(_ name: String) {
        refuse(.invalidCatalogName, "no such database: \(name)")
        ready()
    }

    private func set(_ name: String, _ value: String) {
        do throws(PoolerConfiguration.Malformed) {
            guard PoolerSetting.all.first(where: { $0.name == name })?.isChangeable != false else {
                return refused("\(name) cannot be changed while it runs")
            }
            try host.set(name, value)
            done("SET")
        } catch {
            refuse(.invalidParameterValue, error.description)
            ready()
        }
    }

    private func pause(_ name: String?) {
        guard let name else {
            if host.isPaused { return refused("already suspended/paused") }
            host.pauseAll()
            return wait("PAUSE") { [host] in host.pools.allSatisfy(\.isDrained) }
        }
        with(name) { state in
            if state.isPaused { return refused("database \(name) is already paused") }
            state.isPaused = true
            let pools = pools(name)
            for pool in pools { pool.pause() }
            wait("PAUSE") { pools.allSatisfy(\.isDrained) }
        }
    }

    private func resume(_ name: String?) {
        guard let name else {
            guard host.isPaused || host.states.contains(where: \.isPaused) else {
                return refused("pooler is not paused/suspended")
            }
            host.resumeAll()
            return done("RESUME")
        }
        with(name) { state in
            guard state.isPaused else { return refused("database \(name) is not paused") }
            state.isPaused = false
            for pool in pools(name) { pool.resume() }
            done("RESUME")
        }
    }

    private func reload() {
        do {
            try host.reload()
            done("RELOAD")
        } catch {
            refuse(.configurationLimitExceeded, "\(error)")
            ready()
        }
    }

    private func shutDown() {
        writer.commandComplete("SHUTDOWN")
        ready()
        guard let stop = host.onShutdown else { return }
        host.node.enqueue(stop)
    }

    /// A table: names of columns, and rows of texts and numbers.
    func table(_ columns: [String], _ rows: [[Cell]]) {
        writer.rowDescription(
            columns.enumerated().map { index, name in
                if case .number? = rows.first?[index] {
                    ColumnDescription(name, .int8)
                } else {
                    ColumnDescription(name, .text)
                }
            })
        for row in rows {
            writer.beginRow(columnCount: row.count)
            for cell in row {
                switch cell {
                case .text(let text): writer.value(utf8: text)
                case .number(let number): writer.value(decimal: number)
                case .null: writer.null()
                }
            }
            writer.endRow()
        }
        done("SHOW")
    }

    enum Cell {
        case text(String)
        case number(Int)
        case null
    }
}

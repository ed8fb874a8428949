import KernelStructures
import KernelWire

/// How a session begins: who are you, and to which database.
extension DatabaseSession {
    func receiveOpening(_ message: FrontendMessage) {
        switch (phase, message) {
        case (.starting, .startup(let startup)): begin(startup)
        case (.authenticating, .password(let body)): take(authenticator?.receive(body))
        case (_, .terminate): end()
        default: end(with: PostgresError(.protocolViolation, "expected a startup packet", severity: .fatal))
        }
    }

    private func begin(_ startup: PostgresStartup) {
        guard let user = startup["user"], !user.isEmpty else {
            let message = "no PostgreSQL user name specified in startup packet"
            return end(with: PostgresError(.invalidAuthorization, message, severity: .fatal))
        }
        guard cluster.sessionCount <= cluster.options.sessionLimit else {
            return end(with: PostgresError(.tooManyConnections, "sorry, too many clients already", severity: .fatal))
        }
        if startup.minor > 0 { output.write(.negotiateProtocolVersion(minor: 0, unrecognized: [])) }
        var random = cluster.makeRandom()
        let nonce = (0..<24).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        makeContext(startup, user: user, random: random)
        guard phase == .starting else { return }
        phase = .authenticating
        authenticator = PostgresAuthenticator(
            user: user, method: cluster.options.authentication, secret: cluster.options.secrets[user] ?? .none,
            nonce: nonce)
        take(authenticator?.begin())
    }

    private func makeContext(_ startup: PostgresStartup, user: String, random: SeededRandom) {
        let name = databaseName(startup, user)
        context = SessionContext(
            user: user, database: name, backendPID: key.process, random: random, clock: cluster.wallClock)
        do throws(PostgresError) {
            try context.settings.setDefault("max_connections", String(cluster.options.sessionLimit))
            for (name, value) in cluster.options.settings { try context.settings.setDefault(name, value) }
            for parameter in startup.parameters {
                switch parameter.name {
                case "user", "database", "replication": break
                case "options": try setOptions(parameter.value)
                case let name where name.hasPrefix("_pq_."): break
                default: try context.settings.setDefault(parameter.name, parameter.value)
                }
            }
        } catch {
            end(with: error.asFatal)
        }
    }

    /// Clients that name no database name the user's. Where there is none of that name, `postgres` is meant, as
    /// somebody who has just started a server and types `psql -h localhost` would think.
    private func databaseName(_ startup: PostgresStartup, _ user: String) -> String {
        let name = startup["database"].flatMap { $0.isEmpty ? nil : $0 } ?? user
        return name == user && cluster.databases[name] == nil ? DatabaseCluster.initialDatabases[0] : name
    }

    /// `-c name=value --name=value`
    private func setOptions(_ text: String) throws(PostgresError) {
        var words = text.split(separator: " ").map(String.init)[...]
        while var word = words.popFirst() {
            if word == "-c" {
                word = words.popFirst() ?? ""
            } else if word.hasPrefix("-c") || word.hasPrefix("--") {
                word.removeFirst(2)
            }
            guard let equals = word.firstIndex(of: "=") else {
                throw PostgresError(.syntaxError, "invalid command-line argument for server process: \(word)")
            }
            let name = String(word[..<equals]).replacing("-", with: "_")
            try context.settings.setDefault(name, String(word[word.index(after: equals)...]))
        }
    }

    private func take(_ step: PostgresAuthenticator.Step?) {
        switch step {
        case .ask(let question)?: output.write(.authentication(question))
        case .accepted(let last)?:
            if let last { output.write(.authentication(last)) }
            welcome()
        case .refused(let error)?: end(with: error.asFatal)
        case nil: end()
        }
    }

    private func welcome() {
        authenticator = nil
        guard let database = cluster.databases[context.database] else {
            let message = "database \"\(context.database)\" does not exist"
            return end(with: PostgresError(.invalidCatalogName, message, severity: .fatal))
        }
        self.database = database
        database.sessionCount += 1
        phase = .ready
        output.write(.authentication(.ok))
        for (name, value) in context.settings.reported { output.write(.parameterStatus(name: name, value: value)) }
        output.write(.backendKeyData(key))
        activity.backendStart = cluster.wallClock()
        connectContext()
        noteSettings()
        ready()
    }

    /// What functions may ask about other sessions.
    private func connectContext() {
        context.outerRows = { [unowned self] table in cluster.rows(of: table, for: self) }
        context.advisory = { [unowned self] verb, key in try advisory(verb, key) }
        context.notify = { [unowned self] channel, payload in try notify(channel, payload) }
        context.signal = { [unowned cluster] process, terminates in cluster.signal(process, terminates: terminates) }
    }
}

import ConnectionPoolService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine

/// How a client gets in: startup, password, and the welcome that a server has given before.
extension PoolerClient {
    /// Messages before the session, and those to the pooler itself.
    func listen(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        while phase != .ended {
            if phase == .ready || phase == .awaitingWelcome {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
                if rest.isEmpty { return }
                return phase == .ready ? relay(rest) : hold(rest)
            }
            switch reader.next(bytes, &position) {
            case .needMore: return
            case .failed(let error), .invalid(_, let error): return fail(error)
            case .message(let message): take(message, rest: bytes.count - position)
            }
        }
    }

    private func take(_ message: FrontendMessage, rest: Int) {
        switch message {
        case .sslRequest: negotiate(rest: rest)
        case .gssEncryptionRequest: stream.write([UInt8(ascii: "N")])
        case .cancelRequest(let key): host.cancel(key, for: self)
        case .startup(let startup): begin(startup)
        case .password(let body):
            guard authenticator != nil else { return fail(.protocolViolation, "unexpected password") }
            proceed(authenticator!.receive(body))
        case .terminate: end()
        default:
            guard let admin else { return fail(.protocolViolation, "unexpected message before the login") }
            admin.receive(message)
        }
    }

    /// What a client sent behind its request before it had an answer was not encrypted, whatever it thinks
    /// (CVE-2021-23214).
    private func negotiate(rest: Int) {
        if stream.security != nil { return fail(.protocolViolation, "SSL req inside SSL") }
        guard let security = host.security.forClients else { return stream.write([UInt8(ascii: "N")]) }
        guard rest == 0 else { return fail(.protocolViolation, "received unencrypted data after SSL request") }
        stream.write([UInt8(ascii: "S")])
        stream.secure(with: security)
    }

    private func begin(_ startup: PostgresStartup) {
        let configuration = host.configuration
        if host.security.settings.client.mode >= .require, stream.security == nil {
            return fail(.protocolViolation, "SSL required")
        }
        let ignored = configuration.list("ignore_startup_parameters")
        var name = ""
        var database: String?
        for parameter in startup.parameters {
            switch parameter.name {
            case "user": name = parameter.value
            case "database": database = parameter.value
            default:
                if settings.set(parameter.name, parameter.value) || ignored.contains(parameter.name) { continue }
                return fail(.protocolViolation, "unsupported startup parameter: \(parameter.name)")
            }
        }
        guard !name.isEmpty else { return fail(.protocolViolation, "no user name in the startup packet") }
        named(user: name, database: database ?? name)
        if host.clients.count > configuration.integer("max_client_conn"), !configuration.isAdmin(name) {
            return fail(.tooManyConnections, "no more connections allowed (max_client_conn)")
        }
        guard databaseName == PoolerConfiguration.adminDatabase || configuration.database(databaseName) != nil else {
            return fail(.invalidCatalogName, "no such database: \(databaseName)")
        }
        phase = .authenticating
        let nonce = host.node.draw { random in (0..<24).map { _ in UInt8(truncatingIfNeeded: random.next() >> 24) } }
        authenticator = PostgresAuthenticator(
            user: name, method: method(configuration), secret: secret(configuration), nonce: nonce)
        proceed(authenticator!.begin())
    }

    private func method(_ configuration: PoolerConfiguration) -> PostgresAuthenticator.Method {
        switch configuration.text("auth_type") {
        case "plain": .plain
        case "md5": .md5
        case "scram-sha-256": .scram
        default: .trust
        }
    }

    private func secret(_ configuration: PoolerConfiguration) -> PostgresAuthenticator.Secret {
        configuration.userList[user].map { PostgresAuthenticator.Secret(parsing: $0) } ?? .none
    }

    private func proceed(_ step: PostgresAuthenticator.Step) {
        switch step {
        case .ask(let request): stream.write(BackendMessage.authentication(request).encoded)
        case .refused(let error): fail(error)
        case .accepted(let last):
            let configuration = host.configuration
            if configuration.text("auth_type") == "trust", !configuration.userList.isEmpty,
                configuration.userList[user] == nil
            {
                return fail(.invalidAuthorization, "\"trust\" authentication failed: no such user: \(user)")
            }
            if let last { stream.write(BackendMessage.authentication(last).encoded) }
            authenticator = nil
            accepted()
        }
    }

    private func accepted() {
        if databaseName == PoolerConfiguration.adminDatabase {
            guard host.configuration.maySeeStatistics(user) else {
                return fail(.insufficientPrivilege, "not allowed: '\(user)' is none of admin_users and stats_users")
            }
            joined(nil)
            let console = AdminConsole(host, self)
            admin = console
            phase = .admin
            loggedIn()
            return console.welcome()
        }
        phase = .awaitingWelcome
        guard let pool = host.findPool(user: user, database: databaseName) else { return }
        joined(pool)
        if pool.state.isDisabled { return fail(.cannotConnectNow, "database \"\(databaseName)\" is disabled") }
        if pool.welcome != nil { return greet(pool) }
        askForWelcome(pool)
    }

    /// Nobody knows yet what servers say there: one has to be opened.
    private func askForWelcome(_ pool: PoolerPool) {
        let turn = pool.nodePool.borrow(by: place) { [unowned self] result in
            ticket = nil
            switch result {
            case .success(let loan):
                loan.close()
                greet(pool)
            case .failure(let failure):
                if phase != .ended {
                    fail(pool.lastFailure ?? PostgresError(.connectionFailure, failure.description, severity: .fatal))
                }
            }
        }
        if phase == .awaitingWelcome { ticket = turn }
    }

    private func greet(_ pool: PoolerPool) {
        guard let welcome = pool.welcome else { return fail(.connectionFailure, "the server said nothing of itself") }
        var known = TrackedSettings()
        for parameter in welcome { known.set(parameter.name, parameter.value) }
        settings.fill(from: known)
        var writer = BackendMessageWriter()
        writer.write(.authentication(.ok))
        for parameter in welcome {
            let value = settings[parameter.name] ?? parameter.value
            writer.write(.parameterStatus(name: parameter.name, value: value))
        }
        writer.write(.backendKeyData(key))
        writer.readyForQuery(.idle)
        stream.write(writer.take())
        phase = .ready
        loggedIn()
        host.log("log_connections", "\(place) is in, for \(databaseName)")
        goOn()
    }
}

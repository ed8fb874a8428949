import KernelStructures

/// Where a database is and who asks: `postgres://user:password@host:port/database?sslmode=require` (libpq, "Connection
/// URIs"). `postgresql://` says the same.
public struct PostgresURL: Hashable, Sendable {
    public enum TLS: String, CaseIterable, Sendable {
        case disable
        /// If the server has it.
        case prefer
        /// Safe from listeners, not from an impostor.
        case require
        /// An authority that is trusted here vouches for the server …
        case verifyAuthority = "verify-ca"
        /// … and its name is the one that was meant.
        case verifyFull = "verify-full"
    }

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public var destination: HostPort
    public var user: String
    public var password: String?
    public var database: String
    /// libpq's default is `prefer`; the lab's is not to ask.
    public var tls = TLS.disable
    public var applicationName: String?
    /// `-c name=value …`, for the session.
    public var options: String?
    public var connectTimeout = LabDuration.seconds(10)

    public static let defaultPort: UInt16 = 5432
    public static let defaultUser = "postgres"

    public init(
        _ destination: HostPort, user: String = PostgresURL.defaultUser, password: String? = nil,
        database: String? = nil
    ) {
        self.destination = destination
        self.user = user
        self.password = password
        self.database = database ?? user
    }

    /// Whether a text means a PostgreSQL database.
    public static func isOne(_ text: some StringProtocol) -> Bool {
        text.hasPrefix("postgres://") || text.hasPrefix("postgresql://")
    }

    /// - Throws: what is wrong, and how it should be.
    public init(_ text: String) throws(Malformed) {
        guard Self.isOne(text), text.utf8.count <= 4096, let start = text.firstRange(of: "://")?.upperBound else {
            throw Malformed(description: "'\(text.prefix(200))' is no postgres://USER:PASSWORD@HOST:PORT/DATABASE")
        }
        let rest = text[start...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        var tail = rest[authority.endIndex...]
        let at = authority.lastIndex(of: "@")
        let host = at.map { authority[authority.index(after: $0)...] } ?? authority
        self.init(try Self.destination(host))
        if let at {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try Self.decoded(parts[0])
            if !name.isEmpty { user = name }
            if parts.count > 1 { password = try Self.decoded(parts[1]) }
        }
        database = user
        if tail.hasPrefix("/") {
            let path = tail.dropFirst().prefix { $0 != "?" }
            if !path.isEmpty { database = try Self.decoded(path) }
            tail = tail[path.endIndex...]
        }
        for pair in tail.dropFirst().split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            try set(try Self.decoded(parts[0]), parts.count > 1 ? try Self.decoded(parts[1]) : "")
        }
    }

    private static func destination(_ text: Substring) throws(Malformed) -> HostPort {
        if text.isEmpty { return HostPort(host: "localhost", port: defaultPort) }
        if let whole = HostPort(parsing: String(text)) { return whole }
        guard let usual = HostPort(parsing: "\(text):\(defaultPort)") else {
            throw Malformed(description: "'\(text)' is no HOST or HOST:PORT")
        }
        return usual
    }

    private static func decoded(_ text: Substring) throws(Malformed) -> String {
        do throws(PercentCoding.Malformed) {
            return try PercentCoding.decodeText(text.utf8)
        } catch {
            throw Malformed(description: "'\(text)' is not percent-encoded as it should be")
        }
    }

    private mutating func set(_ name: String, _ value: String) throws(Malformed) {
        switch name {
        case "sslmode":
            guard let known = TLS(rawValue: value) else {
                let all = TLS.allCases.map(\.rawValue).joined(separator: ", ")
                throw Malformed(description: "sslmode '\(value)' is not one of \(all)")
            }
            tls = known
        case "user": user = value
        case "password": password = value
        case "dbname": database = value
        case "application_name": applicationName = value
        case "options": options = value
        case "connect_timeout":
            guard let seconds = Int(value), (0...3600).contains(seconds) else {
                throw Malformed(description: "connect_timeout '\(value)' is not a number of seconds from 0 to 3600")
            }
            connectTimeout = seconds == 0 ? .infinite : .seconds(seconds)
        default:
            throw Malformed(
                description: "'\(name)' is no setting here: sslmode, user, password, dbname, application_name, "
                    + "options, connect_timeout")
        }
    }

    /// A session's first words.
    public var startup: PostgresStartup {
        var parameters: [PostgresStartup.Parameter] = [.init("user", user), .init("database", database)]
        if let applicationName { parameters.append(.init("application_name", applicationName)) }
        if let options { parameters.append(.init("options", options)) }
        parameters.append(.init("client_encoding", "UTF8"))
        return PostgresStartup(parameters: parameters)
    }

    /// Without the password: for people to read.
    public var text: String { "postgres://\(user)@\(destination)/\(database)" }
}

import Glibc

/// Debian's PostgreSQL 15 on a free port, in a directory of its own, which does not wait for its disk.
final class ProgramPostgres {
    let port: UInt16
    private let directory: ProgramDirectory
    private var process: ProgramProcess!

    private static let binaries = "/usr/lib/postgresql/15/bin/"

    /// For `.enabled(if:)`.
    static var canRun: Bool {
        ProgramTool.mayNotSkip || access(binaries + "postgres", X_OK) == 0 && ProgramTool.canRun("psql", "pgbench")
    }

    /// The certificate that vouches for it, in PEM: its own. Nil without TLS.
    let authority: String?

    /// - Parameter speaksTLS: with a certificate for 127.0.0.1, signed by itself.
    init(speaksTLS: Bool = false) throws {
        port = try ProgramPort.free()
        directory = try ProgramDirectory()
        self.speaksTLS = speaksTLS
        authority = speaksTLS ? directory.path + "/data/server.crt" : nil
        if let owner = Self.owner { chown(directory.path, owner.user, owner.group) }
        let initialize = try Self.run(
            "initdb", ["-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C"])
        guard try initialize.waitForExit(within: 60) == 0 else { throw ProgramTrouble("initdb: \(initialize.errors)") }
        if speaksTLS { try makeCertificate() }
        let rules = "host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\nlocal all all trust\n"
        try directory.place("data/pg_hba.conf", rules)
        try start()
    }

    private let speaksTLS: Bool

    private func makeCertificate() throws {
        let words = [
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", data + "/server.key", "-out", data + "/server.crt",
        ]
        let openssl = try ProgramProcess(words, program: try ProgramTool.needed("openssl"))
        guard try openssl.waitForExit() == 0 else { throw ProgramTrouble("openssl: \(openssl.errors)") }
        chmod(data + "/server.key", 0o600)
        for name in ["/server.key", "/server.crt"] {
            if let owner = Self.owner { chown(data + name, owner.user, owner.group) }
        }
    }

    private var data: String { directory.path + "/data" }

    func start() throws {
        process = try Self.run(
            "postgres",
            [
                "-D", data, "-p", "\(port)", "-k", directory.path, "-c", "listen_addresses=127.0.0.1", "-c",
                "fsync=off",
                "-c", "max_connections=60",
            ] + (speaksTLS ? ["-c", "ssl=on"] : []))
        let isUp = try ProgramClock.wait(30) { try psql("-Atc", "select 1").hasPrefix("1") }
        guard isUp else { throw ProgramTrouble("PostgreSQL does not answer: \(process.errors)") }
    }

    /// Ends it as a crash would look to its clients.
    func stop() throws {
        process.send(SIGQUIT)
        _ = try process.waitForExit()
    }

    deinit { try? stop() }

    /// It refuses to run as root: Debian's package has made a user for it.
    private static var owner: (user: uid_t, group: gid_t)? {
        guard geteuid() == 0, let entry = getpwnam("postgres") else { return nil }
        return (entry.pointee.pw_uid, entry.pointee.pw_gid)
    }

    private static func run(_ name: String, _ arguments: [String]) throws -> ProgramProcess {
        guard let owner else { return try ProgramProcess(arguments, program: binaries + name) }
        let words = ["--reuid", "\(owner.user)", "--regid", "\(owner.group)", "--clear-groups", binaries + name]
        return try ProgramProcess(words + arguments, program: try ProgramTool.needed("setpriv"))
    }

    /// What `psql` says, both streams together.
    func psql(_ words: String..., user: String = "postgres", password: String? = nil) throws -> String {
        try Self.client("psql", port, words, user: user, password: password)
    }

    static func client(
        _ name: String, _ port: UInt16, _ words: [String], user: String = "postgres", password: String? = nil,
        within patience: Double = 60, environment more: [String] = []
    ) throws -> String {
        var environment = more + ["PGHOST=127.0.0.1", "PGPORT=\(port)", "PGUSER=\(user)", "PGCONNECT_TIMEOUT=20"]
        if let password { environment.append("PGPASSWORD=\(password)") }
        let client = try ProgramProcess(
            words, program: try ProgramTool.needed(name), environment: environment)
        _ = try client.waitForExit(within: patience)
        return client.output + client.errors
    }
}

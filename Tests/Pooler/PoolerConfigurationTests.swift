import KernelStructures
import KernelWire
import PoolerEngine
import Testing

/// `pgbouncer.ini`, `userlist.txt`, and what is said to the console.
@Suite struct PoolerConfigurationTests {
    private func read(_ text: String) throws -> PoolerConfiguration {
        try PoolerConfiguration(parsing: Array(text.utf8), file: "pgbouncer.ini")
    }

    @Test("the example of pgbouncer's own manual")
    func example() throws {
        let configuration = try read(
            """
            ;; a comment
            [databases]
            template1 = host=localhost dbname=template1 auth_user=someuser
            """.replacing(" auth_user=someuser", with: "")
                + """

                forcedb = host=db port=300 user=baz password='it''s' pool_size=7 pool_mode=statement
                * = host=other
                [users]
                batch = pool_mode=session max_user_connections=3
                [pgbouncer]
                pool_mode = transaction
                listen_port = 6543
                query_wait_timeout = 2.5
                logfile = /tmp/x
                admin_users = someadmin, another
                """)
        #expect(configuration.poolMode == .transaction)
        #expect(configuration.duration("query_wait_timeout") == .milliseconds(2500))
        #expect(configuration.withoutMeaning == ["logfile"])
        let forced = try #require(configuration.database("forcedb"))
        #expect(forced.password == "it's" && forced.server == HostPort(host: "db", port: 300))
        #expect(configuration.poolMode(of: forced, user: "x") == .statement)
        #expect(configuration.poolMode(of: forced, user: "batch") == .session)
        #expect(configuration.database("any")?.nameAtServer == "any")
        #expect(configuration.isAdmin("another") && !configuration.isAdmin("x"))
    }

    @Test(
        "mistakes are named with their place",
        arguments: [
            ("[pgbouncer]\npool_mod = x", "pgbouncer.ini:2: unknown setting 'pool_mod'; did you mean pool_mode?"),
            (
                "[pgbouncer]\npool_mode = x",
                "pgbouncer.ini:2: pool_mode = x: it must be one of session, transaction, statement"
            ),
            ("a = b", "pgbouncer.ini:1: 'a' stands before any section; begin with [databases]"),
            ("[databases]\nx = host=db port=0", "pgbouncer.ini:2: port=0: it must be a number from 1 to 65535"),
            ("[databases]\nx = host='db", "pgbouncer.ini:2: a quote is not closed"),
            ("[databases]\npgbouncer = host=db", "pgbouncer.ini:2: database name 'pgbouncer' is reserved"),
            (
                "[pgbouncer]\nclient_tls_sslmode = on",
                "pgbouncer.ini:2: client_tls_sslmode = on: it must be one of disable, allow, prefer, require, "
                    + "verify-ca, verify-full"
            ),
            (
                "[pgbouncer]\nserver_tls_protocols = sslv3",
                "pgbouncer.ini:2: server_tls_protocols = sslv3: it must be secure, all, or of tlsv1.2 and tlsv1.3"
            ),
            ("[nix]", "pgbouncer.ini:1: '[nix]' is no section: [databases], [users] or [pgbouncer]"),
        ])
    func mistakes(text: String, message: String) {
        #expect(throws: PoolerConfiguration.Malformed(message)) { try read(text) }
    }

    @Test("TLS: what has to go together, what files hold, and what the modes ask for")
    func security() throws {
        var read = try read("[pgbouncer]\nclient_tls_sslmode = prefer\nclient_tls_key_file = k.pem")
        let incomplete =
            "to allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set"
        #expect(throws: PoolerConfiguration.Malformed(incomplete)) { try read.readFiles { Array($0.utf8) } }
        try read.set("client_tls_cert_file", "c.pem")
        try read.set("client_tls_protocols", "tlsv1.3")
        try read.readFiles { Array("content of \($0)".utf8) }
        #expect(read.clientTLS.mode == .prefer && read.clientTLS.versions == ["1.3"] && read.clientTLS.ciphers == nil)
        #expect(read.clientTLS.key == .init(path: "k.pem", bytes: Array("content of k.pem".utf8)))
        #expect(read.clientTLS.authority == nil && read.serverTLS.mode == .disable)
        try read.set("server_tls_cert_file", "c.pem")
        let half = "server_tls_key_file and server_tls_cert_file belong together: set both or none"
        #expect(throws: PoolerConfiguration.Malformed(half)) { try read.check() }
        #expect(PoolerTLSMode.allow < .require && PoolerTLSMode.verifyAuthority > .require)
        #expect(PoolerTLSMode(rawValue: "verify-full") == .verifyFull)
    }

    @Test("random texts are refused or read, and what is read holds only values that can be")
    func fuzz() {
        let words = [
            "[pgbouncer]", "[databases]", "x", "=", "host=", "'", "\n", "pool_mode", "transaction", "9", " ", "*",
        ]
        var random = SeededRandom(seed: 8)
        for _ in 0..<5_000 {
            let text = (0..<random.below(20)).map { _ in words[random.below(words.count)] }.joined()
            guard let configuration = try? read(text) else { continue }
            #expect(PoolingMode(rawValue: configuration.text("pool_mode")) != nil)
            #expect(configuration.databases.allSatisfy { $0.server.port > 0 })
        }
    }

    @Test("userlist.txt: quotes within are doubled")
    func userList() throws {
        let users = try UserList.read(Array("; c\n\"a\" \"b\"\"c\"\n\n\"d\" \"\"\n".utf8), file: "u")
        #expect(users == ["a": "b\"c", "d": ""])
        let others = try UserList.read(Array("; c\r\n\"a\" \"b\"\r\n\r\n\"d\" \"\"\r\n".utf8), file: "u")
        #expect(others == ["a": "b", "d": ""])
        #expect(throws: PoolerConfiguration.Malformed.self) { try UserList.read(Array("a b".utf8), file: "u") }
    }

    @Test("lines may end in CR LF, and count as lines")
    func carriageReturns() throws {
        let configuration = try read("[databases]\r\nurls = host=db\r\n\r\n[pgbouncer]\r\nlisten_port = 6543\r\n")
        #expect(configuration.integer("listen_port") == 6543)
        #expect(configuration.database("urls")?.server == HostPort(host: "db", port: 5432))
        let message = "pgbouncer.ini:2: unknown setting 'pool_mod'; did you mean pool_mode?"
        #expect(throws: PoolerConfiguration.Malformed(message)) { try read("[pgbouncer]\r\npool_mod = x\r\n") }
    }

    @Test("the console's commands, in any case")
    func console() throws {
        #expect(try AdminCommand(parsing: "show pools;") == .show(.pools))
        #expect(try AdminCommand(parsing: "SHOW TOTALS") == .show(.sums))
        #expect(try AdminCommand(parsing: "show dns_hosts") == .show(.hosts))
        #expect(try AdminCommand(parsing: "PAUSE urls") == .pause("urls"))
        #expect(try AdminCommand(parsing: "Resume") == .resume(nil))
        #expect(
            try AdminCommand(parsing: "SET query_wait_timeout = '5';") == .set(name: "query_wait_timeout", value: "5"))
        #expect(try AdminCommand(parsing: "kill \"urls\"") == .kill("urls"))
        for text in ["", "show", "show nix", "kill", "reload all", "set x", "drop table t"] {
            #expect(throws: AdminCommand.Malformed.self) { try AdminCommand(parsing: text) }
        }
    }

    @Test("settings travel: only what differs is said, and quotes stay within")
    func settings() {
        var client = TrackedSettings()
        client.set("timezone", "UTC")
        client.set("Application_Name", "it's me")
        client.set("client_encoding", "utf-8")
        var server = TrackedSettings()
        server.set("TimeZone", "UTC")
        server.set("client_encoding", "UTF8")
        #expect(client.difference(from: server) == "SET application_name='it''s me'")
        #expect(client.difference(from: client) == nil)
        // With standard_conforming_strings off, a backslash in a plain literal would mean something.
        client.set("application_name", "C:\\new\\x'y'\u{301}")
        #expect(client.difference(from: server) == "SET application_name=E'C:\\\\new\\\\x''y''\u{301}'")
        let travels = client.set("search_path", "x")
        #expect(!travels)
    }

    @Test("the same statement has one number, and goes with its last user")
    func catalogue() {
        let catalogue = StatementCatalogue()
        func use(_ text: String) -> Int { Array(text.utf8).withUnsafeBytes { catalogue.use($0) } }
        let first = use("a")
        #expect(use("a") == first && use("b") != first && catalogue.count == 2)
        catalogue.release(first)
        #expect(catalogue[first] != nil)
        catalogue.release(first)
        #expect(catalogue[first] == nil && use("a") != first)
        var server = ServerStatements(limit: 2)
        let uses = [server.use(1), server.use(2), server.use(1), server.use(3)]
        #expect(uses.map(\.isNew) == [true, true, false, true])
        #expect(uses.map(\.closes) == [[], [], [], [2]], "the one unused for longest goes")
    }
}

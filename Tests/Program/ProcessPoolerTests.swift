import Glibc
import Testing

/// The pooler and `sql` as processes, between Debian's PostgreSQL 15 and clients that this project did not write.
@Suite(.enabled(if: ProgramPostgres.canRun), .serialized) struct ProcessPoolerTests {
    private func pooler(_ postgres: ProgramPostgres, _ words: String...) throws -> (ProgramProcess, UInt16) {
        let port = try ProgramPort.free()
        let flags = ["--db", "*=host=127.0.0.1 port=\(postgres.port)", "--port", "\(port)"]
        let process = try ProgramProcess(["pgbouncer"] + flags + words)
        try process.waitUntilListening(on: port)
        return (process, port)
    }

    private func psql(_ port: UInt16, _ words: String..., user: String = "postgres", password: String? = nil) throws
        -> String
    {
        try ProgramPostgres.client("psql", port, words, user: user, password: password)
    }

    private func pgbench(_ port: UInt16, _ words: String...) throws -> String {
        try ProgramPostgres.client("pgbench", port, words + ["postgres"])
    }

    @Test("psql through the pooler: rows, errors, COPY, the console", arguments: ["session", "transaction"])
    func psql(mode: String) throws {
        let postgres = try ProgramPostgres()
        let (process, port) = try pooler(postgres, "--pool-mode", mode)
        let answers = try psql(
            port, "-Atc", "create table t(a int primary key, b text)", "-c",
            "insert into t values (1, 'x') returning a",
            "-c", "copy t from program 'echo 2,y' csv", "-c", "copy t to stdout", "-c", "select nix", "postgres")
        #expect(answers.contains("CREATE TABLE\n1\nINSERT 0 1\nCOPY 1\n1\tx\n2\ty\n"), "\(answers)")
        #expect(answers.contains("column \"nix\" does not exist"))
        let pools = try psql(port, "-Atc", "show pools", "pgbouncer")
        #expect(pools.hasPrefix("postgres|postgres|") && pools.contains(mode), "\(pools)")
        #expect(try psql(port, "-c", "show nix", "pgbouncer").contains("use SHOW HELP;"))
        #expect(try psql(port, "-c", "select 1", "nowhere").contains("database \"nowhere\" does not exist"))
        process.send(SIGTERM)
        #expect(try process.waitForExit() == 0)
    }

    @Test("pgbench, all its protocols, more clients than servers", arguments: ["session", "transaction"])
    func pgbench(mode: String) throws {
        let postgres = try ProgramPostgres()
        _ = try pgbench(postgres.port, "-i", "-s", "1", "-q")
        let (process, port) = try pooler(postgres, "--pool-mode", mode, "--pool-size", "4")
        for protocolName in ["simple", "extended", "prepared"] {
            for kind in ["-S", "-N"] {
                let answer = try pgbench(
                    port, kind, "-M", protocolName, "-n", "-c", "8", "-j", "8", "-t", "50")
                #expect(answer.contains("actually processed: 400/400"), "\(mode) \(kind) \(protocolName): \(answer)")
            }
        }
        #expect(process.isRunning)
        #expect(Int(try postgres.psql("-Atc", "select count(*) from pgbench_history").dropLast()) == 1200)
    }

    @Test("no transaction ever sees what another client has set, in any protocol")
    func isolation() throws {
        let postgres = try ProgramPostgres()
        let (process, port) = try pooler(postgres, "--pool-mode", "transaction", "--pool-size", "3")
        let directory = try ProgramDirectory()
        let script = try directory.place(
            "history.sql",
            """
            BEGIN;
            SELECT 1 / (CASE WHEN coalesce(current_setting('my.owner', true), '') = '' THEN 1 ELSE 0 END);
            SELECT set_config('my.owner', 'client ' || :client_id, true);
            SELECT 1 / (CASE WHEN current_setting('my.owner') = 'client ' || :client_id THEN 1 ELSE 0 END);
            END;
            """)
        for protocolName in ["simple", "extended", "prepared"] {
            let answer = try pgbench(
                port, "-f", script, "-M", protocolName, "-n", "-c", "12", "-j", "12", "-t", "40")
            #expect(answer.contains("actually processed: 480/480"), "\(protocolName): \(answer)")
        }
        // Never more than three.
        #expect(
            Int(
                try postgres.psql("-Atc", "select count(*) from pg_stat_activity where backend_type = 'client backend'")
                    .dropLast()) ?? 99 <= 4)
        #expect(process.isRunning)
    }

    @Test("pause waits for what is under way and holds what comes; resume lets it go on; nothing is lost")
    func pause() throws {
        let postgres = try ProgramPostgres()
        let (process, port) = try pooler(postgres, "--pool-mode", "transaction")
        _ = try psql(port, "-c", "create table t(a int)", "postgres")
        #expect(try psql(port, "-Atc", "pause", "pgbouncer") == "PAUSE\n")
        let waiting = try ProgramProcess(
            [
                "-h", "127.0.0.1", "-p", "\(port)", "-U", "postgres", "-Atc", "insert into t values (1) returning a",
                "postgres",
            ],
            program: try ProgramTool.needed("psql"))
        #expect(try ProgramClock.wait { try psql(port, "-Atc", "show pools", "pgbouncer").contains("|0|1|") })
        #expect(try postgres.psql("-Atc", "select count(*) from t") == "0\n")
        #expect(try psql(port, "-Atc", "resume", "pgbouncer") == "RESUME\n")
        #expect(try waiting.waitForExit() == 0)
        #expect(waiting.output == "1\nINSERT 0 1\n")
        #expect(process.isRunning)
    }

    @Test("passwords: SCRAM at both ends, the wrong one is refused, and cancelling goes through")
    func passwords() throws {
        let postgres = try ProgramPostgres()
        _ = try postgres.psql(
            "-c", "create role app login password 's''e/cret'", "-c", "create database urls owner app")
        let directory = try ProgramDirectory()
        try directory.place("userlist.txt", "\"app\" \"s'e/cret\"\n")
        let port = try ProgramPort.free()
        let file = try directory.place(
            "pgbouncer.ini",
            """
            [databases]
            urls = host=127.0.0.1 port=\(postgres.port)
            [pgbouncer]
            auth_type = scram-sha-256
            auth_file = \(directory.path)/userlist.txt
            pool_mode = transaction
            stats_users = app
            """)
        let process = try ProgramProcess.service("pgbouncer", "--config", file, port: port)
        #expect(try psql(port, "-Atc", "select current_user", "urls", user: "app", password: "s'e/cret") == "app\n")
        let refusal = try psql(port, "-Atc", "select 1", "urls", user: "app", password: "secret")
        #expect(refusal.contains("password authentication failed for user \"app\""))
        #expect(
            try psql(port, "-c", "pause", "pgbouncer", user: "app", password: "s'e/cret").contains(
                "admin access needed"))
        let url = "postgres://app:s'e%2Fcret@127.0.0.1:\(port)/urls"
        let began = ProgramClock.seconds
        let sleeper = try ProgramProcess.run("sql", url, "select pg_sleep(30)", "--timeout", "500ms")
        #expect(sleeper.status == 1 && sleeper.errors == "sql: canceled: it took longer than 500ms\n")
        #expect(ProgramClock.seconds - began < 15)
        let direct = try ProgramProcess.run(
            "sql", "postgres://app:s'e%2Fcret@127.0.0.1:\(postgres.port)/urls", "select 1 as a, null as b", "--json")
        #expect(direct.output == "[{\"a\": 1, \"b\": null}]\n", "\(direct.errors)")
        #expect(process.isRunning)
    }

    @Test("the database crashes and comes back: who comes meanwhile waits, and is served")
    func crash() throws {
        let postgres = try ProgramPostgres()
        let (process, port) = try pooler(postgres, "--pool-mode", "transaction")
        #expect(try psql(port, "-Atc", "select 1", "postgres") == "1\n")
        try postgres.stop()
        let words = ["-h", "127.0.0.1", "-p", "\(port)", "-U", "postgres", "-Atc", "select 2", "postgres"]
        let waiting = try ProgramProcess(words, program: try ProgramTool.needed("psql"))
        try process.waitFor("Cannot connect: ")
        try postgres.start()
        #expect(try waiting.waitForExit() == 0)
        #expect(waiting.output == "2\n")
        try process.waitFor("Connected again after")
        #expect(process.isRunning)
    }

    @Test("TLS to a real server and from psql, with pgbouncer's settings", .enabled(if: ProgramTool.canRun("openssl")))
    func security() throws {
        let postgres = try ProgramPostgres(speaksTLS: true)
        let directory = try ProgramDirectory()
        let authority = try #require(postgres.authority)
        for name in ["127.0.0.1", "client"] {
            let made = try ProgramProcess.run(
                "ca", "issue", name, "--tls-dir", directory.path + "/ca", directory: directory.path)
            #expect(made.status == 0, "\(made.errors)")
        }
        let certificates = """
            client_tls_key_file = \(directory.path)/127.0.0.1-key.pem
            client_tls_cert_file = \(directory.path)/127.0.0.1.pem
            client_tls_ca_file = \(directory.path)/ca/ca.pem
            """
        func start(_ settings: String) throws -> (ProgramProcess, UInt16) {
            let port = try ProgramPort.free()
            let file = try directory.place(
                "pgbouncer-\(port).ini",
                """
                [databases]
                * = host=127.0.0.1 port=\(postgres.port)
                [pgbouncer]
                auth_type = any
                pool_mode = transaction
                \(certificates)
                \(settings)
                """)
            return (try ProgramProcess.service("pgbouncer", "--config", file, port: port), port)
        }
        func ask(_ port: UInt16, _ mode: String, _ sql: String, _ database: String = "postgres", _ more: String...)
            throws
            -> String
        {
            try ProgramPostgres.client(
                "psql", port, ["-XAtc", sql, database],
                environment: ["PGSSLMODE=\(mode)", "PGSSLROOTCERT=\(directory.path)/ca/ca.pem"] + more)
        }
        let isSecret = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
        let (first, required) = try start(
            "client_tls_sslmode = require\nserver_tls_sslmode = verify-full\nserver_tls_ca_file = \(authority)")
        #expect(try ask(required, "require", isSecret) == "t\n")
        #expect(try ask(required, "verify-full", isSecret) == "t\n")
        #expect(try ask(required, "disable", isSecret).contains("FATAL:  SSL required"))
        #expect(try ask(required, "require", "show servers", "pgbouncer").contains("|TLSv1.3/TLS_"))
        #expect(try ask(required, "require", "show clients", "pgbouncer").contains("|TLSv1.3/TLS_"))
        let (second, preferred) = try start("client_tls_sslmode = prefer\nserver_tls_sslmode = disable")
        #expect(try ask(preferred, "require", isSecret) == "f\n")
        #expect(try ask(preferred, "disable", "show clients", "pgbouncer").contains("||"))
        // Nobody whom the pooler trusts vouches for the server.
        let (third, distrusting) = try start("client_tls_sslmode = disable\nserver_tls_sslmode = verify-ca")
        #expect(try ask(distrusting, "disable", isSecret).contains("cannot connect to server"))
        #expect(try ask(distrusting, "require", isSecret).contains("server does not support SSL"))
        let (fourth, strict) = try start("client_tls_sslmode = verify-full\nserver_tls_sslmode = require")
        let (key, certificate) = ("\(directory.path)/client-key.pem", "\(directory.path)/client.pem")
        chmod(key, 0o600)
        #expect(try ask(strict, "require", isSecret).contains("t\n") == false)
        let shown = try ask(strict, "require", isSecret, "postgres", "PGSSLKEY=\(key)", "PGSSLCERT=\(certificate)")
        #expect(shown == "t\n")
        for process in [first, second, third, fourth] { #expect(process.isRunning) }
    }
}

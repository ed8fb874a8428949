import TestSupport
import Testing

/// Clients that connect and then say nothing, ten thousand of them: what each costs the database, and the pooler.
extension ProgramHeavyTests {
    @Suite(.enabled(if: TestPython.canRun)) struct ProcessDatabaseIdleTests {
        /// Bytes that an idle client may take of the server: PostgreSQL has a process for each, of megabytes.
        private static let clientByteLimit = 8 << 10

        @Test("idle clients take little, and others are answered beside them", arguments: ["postgres", "pgbouncer"])
        func idle(program: String) throws {
            let directory = try ProgramDirectory()
            let database = try ProgramPort.free()
            let server = try ProgramProcess.service(
                "postgres", "--data-dir", directory.path + "/pg", "--max-connections", "11000", port: database)
            let port = program == "postgres" ? database : try ProgramPort.free()
            let pooler =
                program == "postgres"
                ? nil
                : try ProgramProcess.service(
                    "pgbouncer", "--db", "*=host=127.0.0.1 port=\(database)", "--pool-mode", "transaction",
                    "--max-clients", "11000", "--set", "log_connections=0", port: port)
            let count = ProgramSize.full(10_000, else: 1500)
            let subject = pooler ?? server
            let output = try TestPython.run(
                "port, count, process = \(port), \(count), \(subject.pid)\n" + Self.experiment)
            let words = output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            guard words.count == 2 else {
                Issue.record("\(output)")
                return
            }
            #expect(words[0] < Self.clientByteLimit, "bytes of an idle client of \(program)")
            #expect(words[1] < 500, "milliseconds of a statement beside them")
            #expect(server.isRunning && subject.isRunning)
        }

        private static let experiment = """
            import resource, socket, struct, time
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            count = min(count, limit - 100)
            def resident():
                with open(f"/proc/{process}/status") as status:
                    return int([line for line in status if line.startswith("VmRSS")][0].split()[1]) * 1024
            def start():
                client = socket.create_connection(("127.0.0.1", port))
                body = b"user\\0postgres\\0database\\0postgres\\0application_name\\0idle\\0\\0"
                client.sendall(struct.pack(">ii", len(body) + 8, 196608) + body)
                return client
            def wait(client):
                heard = b""
                while not heard.endswith(b"Z\\0\\0\\0\\5I"):
                    piece = client.recv(65536)
                    if not piece: raise SystemExit(f"closed: {heard!r}")
                    heard += piece
            def ask(client):
                client.sendall(b"Q\\0\\0\\0\\x0dselect 1\\0")
                wait(client)
            first = start()
            wait(first)
            ask(first)
            before = resident()
            clients = []
            while len(clients) < count:
                several = [start() for _ in range(min(100, count - len(clients)))]
                for client in several: wait(client)
                for client in several: ask(client)
                clients += several
            bytes_each = (resident() - before) // len(clients)
            began = time.perf_counter()
            ask(first)
            print(bytes_each, int((time.perf_counter() - began) * 1000))
            """
    }
}

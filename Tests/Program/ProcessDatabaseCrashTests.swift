import Glibc
import TestSupport
import Testing

/// `sdlab postgres` killed with -9 at random moments, again and again over one directory, while several clients commit:
/// what a client was told is there afterwards, each transaction whole or not at all.
extension ProgramHeavyTests {
    @Suite(.enabled(if: TestPython.canRun)) struct ProcessDatabaseCrashTests {
        @Test("every acknowledged commit survives kill -9, and none is there by half", .timeLimit(.minutes(10)))
        func kills() throws {
            let directory = try ProgramDirectory()
            let rounds = ProgramSize.full(100, else: 8)
            let output = try TestPython.run(
                """
                program, directory, rounds = \(ProgramPlace.program.debugDescription), \
                \(directory.path.debugDescription), \(rounds)
                \(Self.experiment)
                """)
            #expect(output.hasPrefix("survived"), "\(output)")
        }

        private static let experiment = """
            import psycopg, random, signal, socket, subprocess, threading, time
            random.seed(2026)
            def free_port():
                with socket.socket() as s:
                    s.bind(("127.0.0.1", 0))
                    return s.getsockname()[1]
            def start(port):
                server = subprocess.Popen([program, "postgres", "--data-dir", directory + "/pg", "--port", str(port)],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for _ in range(2000):
                    try:
                        return server, connect(port)
                    except psycopg.OperationalError:
                        if server.poll() is not None: raise SystemExit(f"it did not start: {server.returncode}")
                        time.sleep(0.01)
                server.kill()
                raise SystemExit("it never answered")
            def connect(port):
                return psycopg.connect(
                    host="127.0.0.1", port=port, user="postgres", dbname="postgres", sslmode="disable")
            clients = 6
            acknowledged, tried = [0] * clients, [0] * clients
            def work(port, client):
                try:
                    with connect(port) as connection:
                        while True:
                            tried[client] = acknowledged[client] + 1
                            with connection.transaction():
                                connection.execute("insert into log values (%s, %s, %s)",
                                    (client, tried[client], "x" * random.randrange(600)))
                                connection.execute("update total set n = n + 1 where client = %s", (client,))
                            acknowledged[client] = tried[client]
                except (psycopg.Error, OSError):
                    pass
            server, connection = start(port := free_port())
            with connection:
                connection.execute("create table log(client int, n int, text text, primary key (client, n))")
                connection.execute("create table total(client int primary key, n int not null)")
                for client in range(clients): connection.execute("insert into total values (%s, 0)", (client,))
            server.kill(); server.wait()
            for round in range(rounds):
                server, connection = start(port := free_port())
                threads = [threading.Thread(target=work, args=(port, client)) for client in range(clients)]
                for thread in threads: thread.start()
                time.sleep(0.05 + random.random() * 0.5)
                server.send_signal(signal.SIGKILL); server.wait()
                for thread in threads: thread.join()
                server, connection = start(port := free_port())
                for client, count, last, total in connection.execute(
                        "select t.client, count(l.n), coalesce(max(l.n), 0), t.n from total t left join log l"
                        " on l.client = t.client group by t.client, t.n order by 1").fetchall():
                    if not acknowledged[client] <= last <= tried[client]:
                        raise SystemExit(
                                f"round {round}: {last} of client {client}, acknowledged {acknowledged[client]}")
                    if count != last or total != last:
                        raise SystemExit(f"round {round}: half a transaction: {count} rows up to {last}, total {total}")
                    acknowledged[client] = last
                server.kill(); server.wait()
            if sum(acknowledged) < 2 * rounds: raise SystemExit(f"only {sum(acknowledged)} commits")
            print("survived", rounds, "kills with", sum(acknowledged), "commits")
            """
    }
}

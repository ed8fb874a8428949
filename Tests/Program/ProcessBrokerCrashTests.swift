import Glibc
import TestSupport
import Testing

/// `sdlab messageq` killed with -9 at random moments, again and again over one directory, while publishers and
/// consumers are at it.
extension ProgramHeavyTests {
    @Suite(.enabled(if: TestPython.canRun)) struct ProcessBrokerCrashTests {
        // @covers MQ-C1 MQ-M2
        @Test(
            "every confirmed message is there, in order, and what was acknowledged stays gone",
            .timeLimit(.minutes(20)))
        func kills() throws {
            let directory = try ProgramDirectory()
            let rounds = ProgramSize.full(200, else: 8)
            let output = try TestPython.run(
                """
                program, directory, rounds = \(ProgramPlace.program.debugDescription), \
                \(directory.path.debugDescription), \(rounds)
                \(Self.experiment)
                """)
            #expect(output.hasPrefix("survived"), "\(output)")
        }

        /// Publishers number their messages, a queue each. A consumer acknowledges some in order, then all that is
        /// left is looked at: it must begin behind what was acknowledged for sure, and reach what was confirmed.
        private static let experiment = """
            import pika, random, signal, socket, subprocess, threading, time
            random.seed(2026)
            def free_port():
                with socket.socket() as s:
                    s.bind(("127.0.0.1", 0))
                    return s.getsockname()[1]
            def connect(port):
                return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=0))
            def start():
                port = free_port()
                with open(directory + "/output", "w") as output:
                    server = subprocess.Popen(
                        [program, "messageq", "--data-dir", directory + "/mq", "--port", str(port)],
                        stdout=output, stderr=subprocess.STDOUT)
                for _ in range(3000):
                    try:
                        return server, connect(port), port
                    except Exception:
                        if server.poll() is not None:
                            said = open(directory + "/output").read()
                            # Somebody else has taken the port meanwhile.
                            if "in use" in said: return start()
                            raise SystemExit(f"it did not start: {server.returncode}: {said}")
                        time.sleep(0.01)
                server.kill()
                raise SystemExit("it never answered: " + open(directory + "/output").read())
            trouble = (pika.exceptions.AMQPError, OSError, AssertionError)
            clients = 3
            tried, confirmed = [0] * clients, [0] * clients
            # Acknowledgements that were sent, and those behind which an answer came.
            sent, settled = [0] * clients, [0] * clients
            wrong = []
            def publish(port, client):
                try:
                    with connect(port) as connection:
                        channel = connection.channel()
                        channel.confirm_delivery()
                        while True:
                            tried[client] = confirmed[client] + 1
                            body = b"%d " % tried[client] + b"x" * random.randrange(3000)
                            channel.basic_publish("", f"q{client}", body,
                                pika.BasicProperties(delivery_mode=2))
                            confirmed[client] = tried[client]
                except trouble:
                    pass
            def consume(port, client):
                try:
                    with connect(port) as connection:
                        channel = connection.channel()
                        while True:
                            method, _, body = channel.basic_get(f"q{client}")
                            if method is None:
                                time.sleep(0.002)
                                continue
                            number = int(body.split()[0])
                            if not method.redelivered and number <= sent[client]:
                                wrong.append(f"{number} of q{client} came again, and was not marked")
                            sent[client] = max(sent[client], number)
                            channel.basic_ack(method.delivery_tag)
                            # Its answer leaves after the sync.
                            channel.queue_declare("barrier", durable=True)
                            channel.queue_delete("barrier")
                            settled[client] = max(settled[client], number)
                except trouble:
                    pass
            server, connection, port = start()
            for client in range(clients): connection.channel().queue_declare(f"q{client}", durable=True)
            server.kill(); server.wait()
            for round in range(rounds):
                server, connection, port = start()
                threads = [threading.Thread(target=work, args=(port, client))
                    for client in range(clients) for work in (publish, consume)]
                for thread in threads: thread.start()
                time.sleep(0.05 + random.random() * 0.5)
                server.send_signal(signal.SIGKILL); server.wait()
                for thread in threads: thread.join()
                if wrong: raise SystemExit(f"round {round}: {wrong}")
                server, connection, port = start()
                channel = connection.channel()
                for client in range(clients):
                    left = []
                    while True:
                        method, _, body = channel.basic_get(f"q{client}")
                        if method is None: break
                        left.append((int(body.split()[0]), method.redelivered))
                    numbers = [number for number, _ in left]
                    if numbers != sorted(set(numbers)): raise SystemExit(f"round {round}: not in order: {numbers}")
                    first, last = (numbers[0], numbers[-1]) if numbers else (confirmed[client] + 1, confirmed[client])
                    # The last publish may have arrived without its confirm.
                    if not numbers and settled[client] < confirmed[client] and sent[client] < confirmed[client]:
                        raise SystemExit(f"round {round}: lost {settled[client] + 1} to {confirmed[client]}")
                    if numbers and last < confirmed[client] or numbers and last > tried[client]:
                        raise SystemExit(f"round {round}: {last} is the last, {confirmed[client]} were confirmed")
                    if numbers and numbers != list(range(first, last + 1)):
                        raise SystemExit(f"round {round}: a gap in {numbers}")
                    if first <= settled[client]: raise SystemExit(f"round {round}: {first} was acknowledged")
                    if first > sent[client] + 1: raise SystemExit(f"round {round}: {sent[client] + 1} is lost")
                    confirmed[client] = max(confirmed[client], last)
                connection.close()
                server.kill(); server.wait()
            print("survived", rounds, sum(confirmed), sum(settled))
            """
    }
}

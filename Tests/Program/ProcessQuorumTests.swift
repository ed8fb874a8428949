import TestSupport
import Testing

/// Brokers in a group as processes of their own, and pika, which knows nothing of it.
@Suite(.enabled(if: TestPython.canRun))
struct ProcessQuorumTests {
    @Test("pika publishes to one member while the leader is killed: what was confirmed is there, once and in order")
    func leaderIsKilled() throws {
        let directory = try ProgramDirectory()
        let result = try TestPython.run(
            """
            SDLAB, BASE = \(ProgramPlace.program.debugDescription), \(directory.path.debugDescription)
            \(Self.program)
            """)
        #expect(result == "ok\n")
    }

    /// A message at a time, so that each that is confirmed is one that came after the one before.
    private static let program = """
        import json, pika, random, socket, subprocess, time, urllib.request
        def is_free(port):
            with socket.socket() as probe:
                try: probe.bind(('127.0.0.1', port))
                except OSError: return False
                return True
        def free():
            # Below those that the system gives to whoever asks for none; members meet 20,000 above.
            while True:
                port = random.randrange(10000, 30000)
                if is_free(port) and is_free(port + 20000): return port
        ports = [free() for _ in range(3)]
        admins = [free() for _ in range(3)]
        peers = ','.join(f'127.0.0.1:{port}' for port in ports)
        logs = [f'{BASE}/{number}.log' for number in range(3)]
        def start(number):
            return subprocess.Popen(
                [SDLAB, 'messageq', '--port', str(ports[number]), '--peers', peers, '--data-dir', f'{BASE}/{number}',
                 '--management', str(admins[number])],
                stdout=open(logs[number], 'a'), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        members = [start(number) for number in range(3)]
        def leader():
            terms = {}
            for number, log in enumerate(logs):
                for line in open(log):
                    if 'Leader elected' in line: terms[int(line.split('(term ')[1].split(')')[0])] = number
            return terms[max(terms)] if terms else None
        def connect(number):
            until = time.monotonic() + 20
            while True:
                try: return pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', ports[number], heartbeat=0))
                except (pika.exceptions.AMQPError, OSError):
                    if time.monotonic() > until: raise
                    time.sleep(0.1)
        try:
            channel = connect(0).channel()
            channel.queue_declare('q', durable=True, arguments={'x-queue-type': 'quorum'})
            first = leader()
            others = [number for number in range(3) if number != first]
            publisher = connect(others[0]).channel()
            publisher.confirm_delivery()
            confirmed = []
            start_time, is_killed = time.monotonic(), False
            while time.monotonic() - start_time < 6:
                number = len(confirmed)
                publisher.basic_publish('', 'q', str(number).encode(), pika.BasicProperties(delivery_mode=2))
                confirmed.append(number)
                if not is_killed and time.monotonic() - start_time > 1.5:
                    is_killed = True
                    members[first].kill()
                    members[first].wait()
            assert leader() != first, 'nobody else leads'
            request = urllib.request.Request(f'http://127.0.0.1:{admins[others[1]]}/api/queues/%2F/q')
            request.add_header('Authorization', 'Basic Z3Vlc3Q6Z3Vlc3Q=')
            queue = json.load(urllib.request.urlopen(request))
            assert queue['type'] == 'quorum' and queue['messages'] == len(confirmed), queue
            assert queue['leader'] == f'rabbit@127.0.0.1:{ports[leader()]}', queue
            assert len(queue['members']) == 3 and len(queue['online']) == 2, queue
            # The one that was killed comes back, and has everything.
            members[first] = start(first)
            consumer = connect(first).channel()
            got = []
            for method, _, body in consumer.consume('q', inactivity_timeout=5):
                if method is None: break
                got.append(int(body))
                consumer.basic_ack(method.delivery_tag)
                if len(got) == len(confirmed): break
            assert got == confirmed, (len(got), len(confirmed), got[:5])
            print('ok')
        finally:
            for member in members: member.kill()
        """
}

import Glibc
import TestSupport
import Testing

/// `sdlab messageq` under the clients that are made for RabbitMQ, as they are.
@Suite(.enabled(if: TestPython.canRun && ProgramTool.canRun("amqp-publish", "amqp-get", "amqp-consume")))
struct ProcessMessageQueueTests {
    private struct Lab {
        let port: UInt16
        let directory: ProgramDirectory
        let broker: ProgramProcess

        init() throws {
            port = try ProgramPort.free()
            directory = try ProgramDirectory()
            broker = try ProgramProcess.service("messageq", "--data-dir", directory.path + "/mq", port: port)
        }

        func python(_ program: String) throws -> String {
            defer { withExtendedLifetime(self) {} }
            return try TestPython.run("PORT = \(port)\n" + program)
        }

        func tool(_ name: String, _ arguments: String...) throws -> String {
            let process = try ProgramProcess(
                ["--url=amqp://guest:guest@127.0.0.1:\(port)"] + arguments, program: try ProgramTool.needed(name))
            #expect(try process.waitForExit() == 0)
            #expect(process.errors == "")
            return process.output
        }
    }

    @Test("pika, blocking: confirms, errors, large messages, transactions, dead letters, direct replies")
    func pikaBlocking() throws {
        #expect(try Lab().python(Self.blockingProgram) == "ok\n")
    }

    @Test("pika, select: everything at once, in callbacks")
    func pikaSelect() throws {
        #expect(try Lab().python(Self.selectProgram) == "ok\n")
    }

    @Test("aio-pika: robust connections, headers, iterators, remote calls, transactions")
    func aioPika() throws {
        #expect(try Lab().python(Self.aioProgram) == "ok\n")
    }

    @Test("Celery and kombu: tasks, groups, retries with a countdown, remote control")
    func celery() throws {
        #expect(try Lab().python(Self.celeryProgram) == "ok\n")
    }

    @Test("amqp-tools, from Debian")
    func amqpTools() throws {
        let lab = try Lab()
        #expect(try lab.tool("amqp-declare-queue", "-q", "tools", "-d") == "tools\n")
        _ = try lab.tool("amqp-publish", "-r", "tools", "-b", "hello tools", "-p")
        _ = try lab.tool("amqp-publish", "-r", "tools", "-b", "two")
        #expect(try lab.tool("amqp-get", "-q", "tools") == "hello tools")
        #expect(try lab.tool("amqp-consume", "-q", "tools", "-c", "1", "cat") == "two")
        _ = try lab.tool("amqp-delete-queue", "-q", "tools")
    }

    @Test("a broker that is killed has what it confirmed, and not what was acknowledged")
    func killed() throws {
        let lab = try Lab()
        #expect(try lab.python(Self.beforeTheCrash) == "ok\n")
        lab.broker.send(SIGKILL)
        _ = try lab.broker.waitForExit()
        let again = try ProgramProcess.service(
            "messageq", "--data-dir", lab.directory.path + "/mq", port: lab.port)
        #expect(try lab.python(Self.afterTheCrash) == "ok\n")
        withExtendedLifetime(again) {}
    }

    private static let blockingProgram = """
        import pika, threading, time
        P = pika.ConnectionParameters('127.0.0.1', PORT)
        c = pika.BlockingConnection(P)
        ch = c.channel()
        ch.queue_declare('work', durable=True)
        ch.confirm_delivery()
        for n in range(100):
            ch.basic_publish('', 'work', b'%d' % n, pika.BasicProperties(delivery_mode=2), mandatory=True)
        try:
            ch.basic_publish('', 'nowhere', b'x', mandatory=True)
            assert False
        except pika.exceptions.UnroutableError:
            pass
        ch.basic_qos(prefetch_count=10)
        got = []
        for method, properties, body in ch.consume('work', inactivity_timeout=5):
            got.append(int(body))
            ch.basic_ack(method.delivery_tag)
            if len(got) == 100: break
        ch.cancel()
        assert got == list(range(100)), got
        # exchanges and bindings
        ch.exchange_declare('events', 'topic')
        q = ch.queue_declare('', exclusive=True).method.queue
        assert q.startswith('amq.gen-')
        ch.queue_bind(q, 'events', 'order.*.paid')
        ch.basic_publish('events', 'order.1.paid', b'yes')
        ch.basic_publish('events', 'order.1.open', b'no')
        m, p, b = ch.basic_get(q, auto_ack=True)
        assert b == b'yes' and m.message_count == 0
        assert ch.basic_get(q) == (None, None, None)
        # errors close the channel, and the connection lives
        for action, code in [
            (lambda ch: ch.queue_declare('missing', passive=True), 404),
            (lambda ch: ch.queue_declare('work', durable=False), 406),
            (lambda ch: ch.exchange_declare('amq.x', 'direct'), 403),
            (lambda ch: ch.queue_bind('work', 'nope'), 404)]:
            other = c.channel()
            try:
                action(other); assert False
            except pika.exceptions.ChannelClosedByBroker as e:
                assert e.reply_code == code, e
        # large message over many frames
        big = bytes(range(256)) * 4000
        ch.basic_publish('', 'work', big)
        m, p, b = ch.basic_get('work', auto_ack=True)
        assert b == big
        # transactions
        tx = c.channel(); tx.tx_select()
        tx.basic_publish('', 'work', b'tx'); tx.tx_rollback()
        tx.basic_publish('', 'work', b'tx2'); tx.tx_commit()
        assert tx.basic_get('work', auto_ack=True)[2] == b'tx2'
        # reject, nack, headers, dead letters
        ch.queue_declare('dead')
        ch.queue_declare('live', arguments={
            'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead', 'x-message-ttl': 60000})
        ch.basic_publish('', 'live', b'bad',
            pika.BasicProperties(headers={'a': 1, 'b': [1, 'x', None], 'c': {'d': True}}))
        m, p, b = ch.basic_get('live')
        assert p.headers == {'a': 1, 'b': [1, 'x', None], 'c': {'d': True}}
        ch.basic_nack(m.delivery_tag, requeue=False)
        time.sleep(0.1)
        m, p, b = ch.basic_get('dead', auto_ack=True)
        d = p.headers['x-death'][0]
        assert d['count'] == 1 and d['reason'] == 'rejected', d
        assert d['queue'] == 'live' and d['routing-keys'] == ['live'], d
        # rpc by direct reply-to
        srv = pika.BlockingConnection(P); sch = srv.channel(); sch.queue_declare('rpc')
        def serve(ch_, m, p, body):
            ch_.basic_publish('', p.reply_to, body.upper(), pika.BasicProperties(correlation_id=p.correlation_id))
            ch_.basic_ack(m.delivery_tag); ch_.stop_consuming()
        sch.basic_consume('rpc', serve)
        t = threading.Thread(target=sch.start_consuming); t.start()
        r = c.channel(); answer = []
        r.basic_consume('amq.rabbitmq.reply-to', lambda *a: answer.append(a[3]), auto_ack=True)
        r.basic_publish('', 'rpc', b'question',
            pika.BasicProperties(reply_to='amq.rabbitmq.reply-to', correlation_id='1'))
        while not answer: c.process_data_events(1)
        t.join(); srv.close()
        assert answer == [b'QUESTION']
        # cancel notification
        cn = c.channel(); cn.queue_declare('gone'); cancelled = []
        cn.add_on_cancel_callback(lambda f: cancelled.append(f)); cn.basic_consume('gone', lambda *a: None)
        ch.queue_delete('gone'); c.process_data_events(0.5)
        assert cancelled
        assert ch.queue_purge('work').method.message_count == 0
        ch.queue_delete('work'); c.close()
        # refused login, missing vhost
        for params, error in [
            (dict(credentials=pika.PlainCredentials('eve', 'x')), pika.exceptions.ProbableAuthenticationError),
            (dict(virtual_host='/nope'), Exception)]:
            try:
                pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', PORT, **params)); assert False
            except error as e: pass
        print('ok')
        """

    private static let selectProgram = """
        import pika
        got = []
        def opened(c): c.channel(on_open_callback=channel)
        def channel(ch):
            ch.confirm_delivery(confirmed)
            ch.queue_declare('select', callback=lambda f: declared(ch))
        acks = []
        def confirmed(frame): acks.append(frame.method.delivery_tag)
        def declared(ch):
            ch.basic_qos(prefetch_count=3, callback=lambda f: ch.basic_consume('select', message))
            for n in range(20): ch.basic_publish('', 'select', b'%d' % n)
        def message(ch, m, p, body):
            got.append(int(body)); ch.basic_ack(m.delivery_tag)
            if len(got) == 20: ch.queue_delete('select', callback=lambda f: ch.connection.close())
        c = pika.SelectConnection(pika.ConnectionParameters('127.0.0.1', PORT),
            on_open_callback=opened, on_close_callback=lambda c, e: c.ioloop.stop())
        c.ioloop.start()
        assert got == list(range(20)) and max(acks) == 20, (got, acks)
        print('ok')
        """

    private static let aioProgram = """
        import asyncio, aio_pika
        async def main():
            c = await aio_pika.connect_robust(f'amqp://guest:guest@127.0.0.1:{PORT}/')
            async with c:
                ch = await c.channel(publisher_confirms=True, on_return_raises=True)
                await ch.set_qos(5)
                ex = await ch.declare_exchange('aio', aio_pika.ExchangeType.HEADERS)
                q = await ch.declare_queue('aio-q', durable=True)
                await q.bind(ex, arguments={'x-match': 'all', 'kind': 'good'})
                for n in range(50):
                    kind = 'good' if n % 2 else 'bad'
                    message = aio_pika.Message(b'%d' % n, headers={'kind': kind}, delivery_mode=2)
                    await ex.publish(message, '', mandatory=False)
                got = []
                async with q.iterator() as it:
                    async for m in it:
                        async with m.process():
                            got.append(int(m.body))
                        if len(got) == 25: break
                assert got == list(range(1, 50, 2)), got
                # unroutable
                try:
                    await ch.default_exchange.publish(aio_pika.Message(b'x'), 'nowhere')
                    assert False
                except aio_pika.exceptions.PublishError: pass
                # rpc
                from aio_pika.patterns import RPC
                rpc = await RPC.create(ch)
                async def double(*, x): return x * 2
                await rpc.register('double', double, auto_delete=True)
                assert await rpc.proxy.double(x=21) == 42
                # transaction
                tx = await c.channel(publisher_confirms=False)
                async with tx.transaction():
                    await tx.default_exchange.publish(aio_pika.Message(b'tx'), 'aio-q')
                m = await q.get(timeout=5); await m.ack(); assert m.body == b'tx'
                await q.delete(if_unused=False, if_empty=False)
            print('ok')
        asyncio.run(main())
        """

    private static let celeryProgram = """
        import sys, threading, time
        from celery import Celery
        app = Celery('t', broker=f'amqp://guest:guest@127.0.0.1:{PORT}//', backend='rpc://')
        app.conf.update(worker_hijack_root_logger=False,
            task_default_queue='celery-test', broker_connection_retry_on_startup=True)
        tries = []
        @app.task(bind=True, max_retries=3)
        def flaky(self, x):
            tries.append(x)
            if len(tries) < 3: raise self.retry(countdown=0.1)
            return x * 2
        @app.task
        def add(a, b): return a + b
        from celery.contrib.testing.worker import start_worker
        with start_worker(app, pool='solo', perform_ping_check=False, loglevel='ERROR'):
            assert add.delay(2, 3).get(timeout=20) == 5
            from celery import group
            assert group(add.s(i, i) for i in range(10))().get(timeout=20) == [2 * i for i in range(10)]
            assert flaky.delay(21).get(timeout=20) == 42
            assert len(tries) == 3
            assert app.control.inspect(timeout=1).ping()
        print('ok')
        """

    private static let beforeTheCrash = """
        import pika
        c = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', PORT)); ch = c.channel()
        ch.queue_declare('kept', durable=True); ch.confirm_delivery()
        for n in range(200):
            ch.basic_publish('', 'kept', b'%d' % n, pika.BasicProperties(delivery_mode=2))
        for n in range(50):
            m, p, b = ch.basic_get('kept'); ch.basic_ack(m.delivery_tag)
        for n in range(10): ch.basic_get('kept')
        # Whatever is answered now comes behind the acknowledgements, and is answered when they are on the disk.
        c.channel().queue_declare('last', durable=True)
        print('ok')
        """

    private static let afterTheCrash = """
        import pika
        c = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', PORT)); ch = c.channel()
        got = []
        while True:
            m, p, b = ch.basic_get('kept', auto_ack=True)
            if m is None: break
            got.append((int(b), m.redelivered))
        assert [n for n, _ in got] == list(range(50, 200)), got
        assert [r for _, r in got] == [True] * 10 + [False] * 140, got
        print('ok')
        """
}

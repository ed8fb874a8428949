import TestSupport
import Testing

/// The shop's till as a process, and Stripe's own library.
@Suite(.enabled(if: TestPython.canRun)) struct ProcessShopTests {
    @Test("Stripe's library pays, is declined, refunds, cancels and lists, and its keys are kept")
    func stripe() throws {
        let ports = (database: try ProgramPort.free(), till: try ProgramPort.free())
        let directory = try ProgramDirectory()
        let database = try ProgramProcess([
            "postgres", "--port", "\(ports.database)", "--data-dir", directory.path + "/pg",
        ])
        try database.waitFor("Listening")
        let till = try ProgramProcess([
            "shop-payments", "--port", "\(ports.till)", "--db", "postgres://127.0.0.1:\(ports.database)/payments",
        ])
        try till.waitFor("Connected to DB")
        defer { withExtendedLifetime((database, till, directory)) {} }
        let begin = "import stripe\nPORT = \(ports.till)\n"
        #expect(try TestPython.run(begin + Self.program) == "ok\n")
    }

    @Test(
        "Debian's docker-compose accepts the shop's compose file, and all that the lab understands of one",
        .enabled(if: ProgramTool.canRun("docker-compose")))
    func compose() throws {
        let directory = try ProgramDirectory()
        let made = try ProgramProcess(["--root", directory.path, "-c", "docker-compose init"])
        #expect(try made.waitForExit() == 0)
        try ProgramFile.write(Self.wholeFile, to: directory.path + "/whole.yaml")
        let tool = try ProgramTool.needed("docker-compose")
        for name in ["compose.yaml", "whole.yaml"] {
            let theirs = try ProgramProcess(["-f", "\(directory.path)/\(name)", "config"], program: tool)
            let status = try theirs.waitForExit()
            #expect(status == 0, "\(name): \(theirs.errors)")
            #expect(theirs.output.contains("image: sdlab/"), "\(name)")
            let ours = try ProgramProcess(["--root", directory.path, "-c", "docker-compose config -f \(name)"])
            #expect(try ours.waitForExit() == 0, "\(name): \(ours.errors)")
        }
    }

    /// Every key that the lab reads.
    private static let wholeFile = """
        services:
          web:
            image: sdlab/backend
            hostname: web
            command: ["--body", "hello"]
            ports: ["8081:8081"]
            restart: on-failure:3
            deploy: {replicas: 2}
            healthcheck:
              test: ["CMD", "curl", "-f", "http://localhost:8081/health"]
              interval: 1s
              timeout: 1s
              retries: 4
              start_period: 1s
          once:
            image: sdlab/backend
            container_name: once
            environment: [LATENCY=5ms]
            ports: [8082]
            restart: unless-stopped
            depends_on:
              web: {condition: service_healthy}

        """

    @Test("a mailbox takes a letter over STARTTLS from Python's smtplib")
    func startTLS() throws {
        let ports = (mail: try ProgramPort.free(), web: try ProgramPort.free())
        let directory = try ProgramDirectory()
        let mailbox = try ProgramProcess([
            "mailbox", "--port", "\(ports.mail)", "--http-port", "\(ports.web)", "--dir", directory.path + "/mail",
        ])
        try mailbox.waitFor("Letters on")
        defer { withExtendedLifetime((mailbox, directory)) {} }
        let begin = "MAIL, WEB = \(ports.mail), \(ports.web)\n"
        #expect(try TestPython.run(begin + Self.mailProgram) == "ok\n")
    }

    private static let mailProgram = #"""
        import json, smtplib, ssl, urllib.request
        from email.message import EmailMessage
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        letter = EmailMessage()
        letter['From'], letter['To'], letter['Subject'] = 'a@example.com', 'b@example.com', 'over TLS'
        letter.set_content('hello')
        with smtplib.SMTP('127.0.0.1', MAIL, timeout=20) as post:
            post.ehlo()
            assert post.has_extn('starttls')
            post.starttls(context=context)
            post.ehlo()
            assert not post.has_extn('starttls') and post.sock.version() in ('TLSv1.2', 'TLSv1.3'), post.sock
            post.send_message(letter)
        with smtplib.SMTP('127.0.0.1', MAIL, timeout=20) as post:
            letter.replace_header('Subject', 'in clear')
            post.send_message(letter)
        answer = urllib.request.urlopen('http://127.0.0.1:%d/messages' % WEB, timeout=20)
        subjects = sorted(one['subject'] for one in json.load(answer)['messages'])
        assert subjects == ['in clear', 'over TLS'], subjects
        print('ok')
        """#

    private static let program = #"""
        stripe.api_key = 'sk_test_lab'
        stripe.api_base = 'http://127.0.0.1:%d' % PORT
        stripe.max_network_retries = 2
        p = stripe.PaymentIntent.create(amount=1998, currency='usd', payment_method='pm_card_visa', confirm=True,
            metadata={'order_id': 'o789'}, idempotency_key='o789')
        assert p.status == 'succeeded' and p.amount_received == 1998 and p.metadata['order_id'] == 'o789', p
        q = stripe.PaymentIntent.create(amount=1998, currency='usd', payment_method='pm_card_visa', confirm=True,
            metadata={'order_id': 'o789'}, idempotency_key='o789')
        assert q.id == p.id and q.latest_charge == p.latest_charge
        try:
            stripe.PaymentIntent.create(amount=5, currency='usd', payment_method='pm_card_visa', confirm=True,
                idempotency_key='o789')
            assert False
        except stripe.IdempotencyError as e: pass
        try:
            stripe.PaymentIntent.create(amount=5, currency='usd', confirm=True,
                payment_method='pm_card_chargeDeclinedInsufficientFunds')
            assert False
        except stripe.CardError as e:
            assert e.code == 'card_declined' and e.error.decline_code == 'insufficient_funds', e.error
        try:
            stripe.PaymentIntent.create(currency='usd'); assert False
        except stripe.InvalidRequestError as e: assert e.param == 'amount'
        i = stripe.PaymentIntent.create(amount=700, currency='eur', automatic_payment_methods={'enabled': True})
        assert i.status == 'requires_payment_method'
        i = stripe.PaymentIntent.confirm(i.id, payment_method='pm_card_mastercard')
        assert i.status == 'succeeded'
        r = stripe.Refund.create(payment_intent=i.id, amount=200)
        assert r.status == 'succeeded' and r.amount == 200
        r = stripe.Refund.create(payment_intent=i.id)
        assert r.amount == 500
        try: stripe.Refund.create(payment_intent=i.id); assert False
        except stripe.InvalidRequestError as e: assert e.code == 'charge_already_refunded'
        c = stripe.PaymentIntent.cancel(stripe.PaymentIntent.create(amount=1, currency='usd').id)
        assert c.status == 'canceled'
        assert len(stripe.PaymentIntent.list(limit=2).data) == 2 and stripe.PaymentIntent.list(limit=2).has_more
        assert len(stripe.Refund.list(payment_intent=i.id).data) == 2
        try: stripe.PaymentIntent.retrieve('pi_none'); assert False
        except stripe.InvalidRequestError as e: assert e.http_status == 404
        print('ok')
        """#
}

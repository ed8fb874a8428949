import KernelAMQP
import KernelJSON
import KernelService
import KernelStructures
import KernelTLS
import KernelWorld
import MessageQueueService
import ShortenerService
import TestSupport
import Testing

@Suite("Clicks by way of a broker")
struct QueueTests {
    /// A broker that speaks TLS, and a shortener that sends its clicks there.
    private final class Lab {
        let world = memoryWorld()
        private(set) var shortener: ShortenerLab!
        private var broker: MessageQueueHost!
        var trusts = true

        init(trusts: Bool = true) throws {
            self.trusts = trusts
            try startBroker()
            shortener = try ShortenerLab(world: world) { [unowned self] settings in
                settings.queue = try? place()
            }
        }

        func startBroker() throws {
            var options = ServiceOptions()
            options.makeSecurity = { try TLSServing().makeServer(for: $0, speaking: $1) }
            broker = MessageQueueHost(node: world.node("mq"), port: 5671, settings: .init(), options: options)
            try broker.start()
        }

        func place() throws -> BrokerPlace {
            var options = try TLSClientOptions.lab(world)
            if !trusts { options.authorities = [] }
            return BrokerPlace(try AMQPURL("amqps://mq"), security: try TLSClient(options))
        }

        func statistic(_ key: String) -> Int? {
            guard case .integer(let number)? = shortener.host.statistics.first(where: { $0.key == key })?.value else {
                return nil
            }
            return number
        }
    }

    // @covers URL-H3
    @Test("over TLS, each click comes into the database once, with its name")
    func secret() throws {
        let lab = try Lab()
        let code = try lab.shortener.shorten(#"{"url": "http://a/"}"#)
        let ids = try (0..<5).map { _ in try #require(try lab.shortener.ask("GET", "/\(code)").clickID) }
        lab.world.pass(.seconds(3))
        #expect(try lab.shortener.ask("GET", "/api/stats/\(code)").json["clicks"] == 5)
        #expect(lab.statistic("pages_entered") ?? 0 > 0)
        #expect(try lab.shortener.audit(ids)["in_books"] == 5)
    }

    @Test("a broker whom nobody vouches for gets nothing: clicks wait, and are counted when somebody does")
    func distrust() throws {
        let lab = try Lab(trusts: false)
        let code = try lab.shortener.shorten(#"{"url": "http://a/"}"#)
        let ids = try (0..<3).map { _ in try #require(try lab.shortener.ask("GET", "/\(code)").clickID) }
        lab.world.pass(.seconds(5))
        #expect(lab.statistic("pages_sent") == 0 && lab.statistic("clicks_waiting") == 3)
        #expect(try lab.shortener.audit(ids)["waiting"] == 3)
        lab.shortener.kill()
        lab.trusts = true
        try lab.shortener.begin()
        lab.world.pass(.seconds(5))
        #expect(try lab.shortener.ask("GET", "/api/stats/\(code)").json["clicks"] == 3)
        #expect(try lab.shortener.audit(ids)["in_books"] == 3)
    }

    @Test("clicks of two databases that come by one queue are counted each in its own, once")
    func twoDatabases() throws {
        let lab = try Lab()
        let other = try ShortenerLab(world: lab.world, name: "other") { settings in settings.queue = try? lab.place() }
        let both = [(lab.shortener!, "one", 24), (other, "two", 12)]
        for (shortener, alias, _) in both {
            _ = try shortener.shorten("{\"url\": \"http://a/\", \"alias\": \"\(alias)\"}")
        }
        // The broker gives the first page to whoever came first, and that is the other one. What is behind a page that
        // has not been entered waits for it anyway.
        for (shortener, alias, count) in both.reversed() {
            for number in 1...count {
                try shortener.ask("GET", "/\(alias)")
                if number % 4 == 0 { lab.world.pass(.milliseconds(1200)) }
            }
        }
        lab.world.pass(.seconds(10))
        for (shortener, alias, count) in both {
            #expect(try shortener.ask("GET", "/api/stats/\(alias)").json["clicks"] == .integer(count))
        }
    }

    // @covers URL-C3 URL-M3
    @Test("a broker that says nothing holds up no visitor: each waits as long as ever, and is counted in the end")
    func stalled() throws {
        let lab = try Lab()
        let code = try lab.shortener.shorten(#"{"url": "http://a/"}"#)
        let visitor = try RawClient(lab.world.node("regular"), "urls", 80)
        lab.world.pass(.milliseconds(5))
        func wait() -> LabDuration {
            let began = lab.world.now
            var ended = began
            visitor.onReceived = { ended = lab.world.now }
            visitor.write("GET /\(code) HTTP/1.1\r\nHost: s.io\r\n\r\n")
            lab.world.pass(.milliseconds(10))
            return ended - began
        }
        // The first one comes from the database.
        _ = wait()
        let usual = (0..<20).map { _ in wait() }.max() ?? .zero
        let broker = try #require(lab.world.nodes["mq"])
        broker.freeze()
        let stalled = (0..<600).map { _ in wait() }.max() ?? .zero
        #expect(usual > .zero && stalled == usual, "\(usual), and then \(stalled)")
        broker.thaw()
        lab.world.pass(.seconds(20))
        #expect(visitor.statuses.count { $0 == 301 } == 621)
        #expect(try lab.shortener.ask("GET", "/api/stats/\(code)").json["clicks"] == 621)
    }

    @Test("what the power took before the broker had it is said to be missing, once the broker's other end knows it")
    func power() throws {
        let lab = try Lab()
        let code = try lab.shortener.shorten(#"{"url": "http://a/"}"#)
        var ids = try (0..<3).map { _ in try #require(try lab.shortener.ask("GET", "/\(code)").clickID) }
        lab.world.pass(.seconds(3))
        ids += try (0..<2).map { _ in try #require(try lab.shortener.ask("GET", "/\(code)").clickID) }
        lab.world.nodes["urls"]?.end(.poweredOff)
        lab.world.pass(.milliseconds(5))
        try lab.shortener.begin()
        lab.world.pass(.seconds(3))
        let audit = try lab.shortener.audit(ids)
        lab.world.pass(.seconds(3))
        let again = try lab.shortener.audit(ids)
        #expect(audit["in_books"] == 3 && again["in_books"] == 3)
        #expect(again["missing"] == 2 && again["waiting"] == 0, "\(audit) \(again)")
        #expect(again["missing_clicks"]?[0]?["id"] == .string(ids[3]))
        #expect(again["missing_clicks"]?[0]?["within_window"] == true)
    }
}

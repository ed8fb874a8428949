import KernelHosting
import KernelService
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// A service that answers after a while.
private final class SlowService: Service, HTTPService {
    let runtime: ServiceRuntime
    private(set) var server: HTTPServer!
    private var slowness = LabDuration.seconds(2)
    private(set) var word: String
    var sick: [String] = []
    var notes: [String] = []
    private let ports: [UInt16]

    init(_ node: Node, ports: [UInt16] = [80], source: ConfigurationSource<String>, options: ServiceOptions = .init()) {
        runtime = ServiceRuntime(node: node, tag: "SLOW", options: options)
        self.ports = ports
        word = source.initial
        server = HTTPServer(node: node, service: self)
        runtime.reloading = Reloading(source) { [unowned self] word in
            if word == "impossible" { throw ReloadFailure("the word cannot be '\(word)'") }
            self.word = word
            return "Reloaded: \(word)"
        }
    }

    func prepare() throws {
        notes.append("prepare")
        for port in ports { runtime.add(server, on: port, announcement: "Listening on :\(port: port)") }
    }
    func abandonStart() { notes.append("abandon") }
    func opened() { notes.append("opened") }
    func willDrain() { notes.append("drain") }
    func stop(_ done: @escaping () -> Void) {
        notes.append("stop")
        done()
    }
    var complaints: [String] { sick }
    var statistics: [Statistic] { [.init("words", word.count, .gauge("slow_words", "Letters"))] }

    private final class Begun {
        let word: String
        init(_ word: String) { self.word = word }
    }

    func requestBegan(_ connection: HTTPServerConnection) { connection.context = Begun(word) }
    func requestEnded(_ connection: HTTPServerConnection) {
        if runtime.answer(connection) { return }
        let begun = connection.context as? Begun
        node.after(slowness) { connection.respond(status: 200, body: begun?.word ?? "") }
    }
}

@Suite("A service's life")
struct ServiceTests {
    private final class File {
        var text: String
        var isBroken = false
        init(_ text: String) { self.text = text }
        struct Unreadable: Error, CustomStringConvertible { let description = "the file is broken" }

        var source: ConfigurationSource<String> {
            .init(text, read: { [self] in if isBroken { throw Unreadable() } else { text } }) { [self] in
                Array(text.utf8)
            }
        }
    }

    private struct Fixture {
        let world = memoryWorld()
        let file = File("one")
        let service: SlowService
        let client: Node

        init(_ change: (inout ServiceOptions) -> Void = { _ in }) throws {
            var options = ServiceOptions()
            change(&options)
            service = SlowService(world.node("server"), source: file.source, options: options)
            client = world.node("client-1")
            try service.start()
        }

        func ask(_ path: String = "/", _ port: UInt16 = 80, fields: String = "") throws -> Recorder {
            let recorder = try client.dial("server", port)
            recorder.closesAtEnd = true
            world.pass(.milliseconds(1))
            recorder.stream.write("GET \(path) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
            world.pass(.milliseconds(1))
            return recorder
        }

        var log: [String] {
            (0..<world.journal.events.count).compactMap {
                if case .log(let line) = world.journal.events[$0].body { line.text } else { nil }
            }
        }
    }

    @Test("ports open together; a taken one leaves nothing open")
    func failingStart() throws {
        let world = memoryWorld()
        let node = world.node("server")
        _ = try Acceptor(node, port: 81)
        let service = SlowService(node, ports: [80, 81, 82], source: .init(fixed: "one"))
        #expect(throws: NetworkError.self) { try service.start() }
        #expect(service.notes == ["prepare", "abandon"] && node.listeners.map(\.port) == [81])
        #expect(service.runtime.phase == .starting)
    }

    @Test("stopping waits for what is under way, refuses who comes, and says so to probes")
    func drain() throws {
        let fixture = try Fixture { $0.metricsPort = 9100 }
        let idle = try fixture.client.dial("server")
        idle.closesAtEnd = true
        let busy = try fixture.ask()
        let probe = try fixture.ask("/health", 9100)
        #expect(probe.text.hasPrefix("HTTP/1.1 200") && probe.text.contains("\"pass\""))
        var isStopped = false
        fixture.service.drain { isStopped = true }
        fixture.world.pass(.seconds(1))
        #expect(!isStopped && idle.lastEvent == "ended" && fixture.service.runtime.phase == .draining)
        fixture.file.text = "two"
        #expect(throws: ReloadFailure("it is draining")) { try fixture.service.reload() }
        let late = try fixture.ask()
        #expect(late.events.contains("closed refused"))
        #expect(try fixture.ask("/health", 9100).text.contains("\"draining\""))
        fixture.world.pass(.seconds(1))
        #expect(isStopped && busy.text.hasSuffix("one") && busy.text.contains("Connection: close"))
        #expect(fixture.service.notes == ["prepare", "opened", "drain", "stop"])
        #expect(fixture.service.runtime.phase == .stopped && fixture.service.node.listeners.isEmpty)
    }

    @Test("what takes longer than the deadline is given up, once")
    func deadline() throws {
        let fixture = try Fixture { $0.drainTimeout = .seconds(1) }
        _ = try fixture.ask()
        var stops = 0
        fixture.service.drain { stops += 1 }
        fixture.world.pass(.milliseconds(999))
        #expect(stops == 0)
        fixture.world.pass(.milliseconds(1))
        #expect(stops == 1 && fixture.log.last == "[SLOW] Gave up on 1 connections")
        fixture.world.pass(.seconds(5))
        #expect(stops == 1 && fixture.service.notes.filter { $0 == "stop" }.count == 1)
    }

    @Test("a reload that fails keeps the old, and a request keeps what it began with")
    func reload() throws {
        let fixture = try Fixture()
        let first = try fixture.ask()
        fixture.file.text = "two"
        try fixture.service.reload()
        let second = try fixture.ask()
        fixture.file.text = "impossible"
        #expect(throws: ReloadFailure("the word cannot be 'impossible'")) { try fixture.service.reload() }
        fixture.file.isBroken = true
        #expect(throws: File.Unreadable.self) { try fixture.service.reload() }
        fixture.world.pass(.seconds(3))
        #expect(first.text.hasSuffix("one") && second.text.hasSuffix("two") && fixture.service.word == "two")
        #expect(
            fixture.log == [
                "[SLOW] Listening on :80", "[SLOW] Reloaded: two",
                "[SLOW] Not reloaded: the word cannot be 'impossible'", "[SLOW] Not reloaded: the file is broken",
            ])
        let page = String(decoding: fixture.service.runtime.metricsPage(.text), as: UTF8.self)
        #expect(page.contains("service_reloads_total{result=\"success\"} 1\n"))
        #expect(page.contains("service_reloads_total{result=\"failure\"} 2\n") && page.contains("slow_words 3\n"))
        fixture.service.drain {}
        #expect(throws: ReloadFailure.self) { try fixture.service.reload() }
    }

    @Test("without a file there is nothing to read again")
    func fixedConfiguration() throws {
        let service = SlowService(
            memoryWorld().node("server"), source: .init(fixed: "one", because: "it was started with --word"))
        try service.start()
        #expect(throws: ReloadFailure("it was started with --word; there is no file to read again")) {
            try service.reload()
        }
    }

    @Test("a watched file is read again once when it has changed")
    func watch() throws {
        let fixture = try Fixture { $0.watches = true }
        fixture.world.pass(.seconds(10))
        #expect(fixture.service.runtime.reloadCount == 0)
        fixture.file.text = "two"
        fixture.world.pass(.seconds(2))
        #expect(fixture.service.word == "two" && fixture.service.runtime.reloadCount == 1)
        fixture.file.text = "impossible"
        fixture.world.pass(.seconds(10))
        #expect(fixture.service.word == "two" && fixture.service.runtime.failedReloadCount == 1)
    }

    @Test("health and metrics on a port of their own, and on the service's")
    func management() throws {
        let fixture = try Fixture { $0.metricsPort = 9100 }
        fixture.service.sick = ["no \"disk\"", "no\npower"]
        for port in [80, 9100] as [UInt16] {
            let health = try fixture.ask("/health?verbose", port).text
            #expect(health.hasPrefix("HTTP/1.1 503") && health.contains("application/health+json"))
            let page = try fixture.ask("/metrics", port).text
            #expect(page.contains("text/plain; version=0.0.4") && page.contains("\nservice_up 0\n"))
            let open = try fixture.ask("/metrics", port, fields: "Accept: application/openmetrics-text\r\n").text
            #expect(open.contains("version=1.0.0") && open.hasSuffix("# EOF\n"))
        }
        #expect(try fixture.ask("/else", 9100).text.hasPrefix("HTTP/1.1 404"))
        #expect(fixture.log == ["[SLOW] Listening on :80", "[SLOW] Metrics on :9100"])
    }
}

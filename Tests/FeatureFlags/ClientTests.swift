import FeatureFlagsEngine
import FeatureFlagsService
import Glibc
import KernelJSON
import KernelStructures
import Synchronization
import TestSupport
import Testing

@Suite("The client library")
struct ClientTests {
    private let definitions = FlagDefinitions([FlagDefinition("f", isEnabled: true)])

    private func answer(_ definitions: FlagDefinitions, etag: String? = nil) -> FlagResponse {
        FlagResponse(status: 200, etag: etag, body: definitions.json.bytes())
    }

    private func client(
        _ configuration: FeatureFlagConfiguration = .init(), backup: FlagBackup? = nil
    ) -> FeatureFlagClient {
        FeatureFlagClient("key", configuration, backup: backup, clock: { epoch }, seed: 1)
    }

    // @covers FLAG-C2 FLAG-H4 FLAG-M4
    @Test("it asks, keeps what is good through everything that is not, and asks less often while nobody answers")
    func life() throws {
        let client = client(.init(baseURL: "http://flags:4242/", refreshInterval: .seconds(10)))
        #expect(!client.isEnabled("f") && client.isEnabled("f", default: true))
        var now = epoch
        let (first, _) = client.due(now: now)
        #expect(first.map(\.purpose) == [.register, .definitions])
        #expect(first.map(\.url) == ["http://flags:4242/api/client/register", "http://flags:4242/api/client/features"])
        client.answered(first[0], FlagResponse(status: 202), now: now)
        #expect(client.answered(first[1], answer(definitions, etag: "\"1\""), now: now))
        #expect(client.isEnabled("f") && client.freshAt == epoch)
        // Answers that are none.
        var pauses: [LabDuration] = []
        for response in [
            FlagResponse(status: 500), FlagResponse(status: 200, body: Array("{\"features\": [{}]}".utf8)),
            FlagResponse(status: 200), FlagResponse(status: 401), FlagResponse(status: 200, body: [0xFF]),
            FlagResponse(status: 500),
        ] {
            let next = client.due(now: now).next
            pauses.append(next - now)
            now = next
            let requests = client.due(now: now).requests.filter { $0.purpose == .definitions }
            guard let request = requests.first else { continue }
            #expect(request.fields.contains { $0.name == "If-None-Match" && $0.value == "\"1\"" })
            #expect(!client.answered(request, response, now: now) && client.isEnabled("f"))
        }
        #expect(client.freshAt == epoch && pauses.max()! > .seconds(50))
    }

    @Test("pauses differ from client to client, so that a thousand do not come together")
    func jitter() {
        let pauses = (0..<50).map { seed in
            var poller = FlagPoller(.init(refreshInterval: .seconds(10)), apiKey: "", now: epoch, seed: UInt64(seed))
            _ = poller.due(now: epoch) { FlagUsage(appName: "a") }
            return (poller.nextDeadline - epoch).milliseconds
        }
        #expect(pauses.allSatisfy { (10_000...11_000).contains($0) } && Set(pauses).count > 45)
    }

    @Test("without a server it begins with its backup, or else with what was built in")
    func bootstrap() {
        let kept = Mutex<[UInt8]?>(nil)
        let backup = FlagBackup(read: { kept.withLock { $0 } }, write: { bytes in kept.withLock { $0 = bytes } })
        let configuration = FeatureFlagConfiguration(bootstrap: definitions)
        let first = client(configuration, backup: backup)
        #expect(first.isEnabled("f"))
        let request = first.due(now: epoch).requests[1]
        first.answered(request, answer(FlagDefinitions([FlagDefinition("g", isEnabled: true)])), now: epoch)
        #expect(!first.isEnabled("f") && first.isEnabled("g"))
        let second = client(configuration, backup: backup)
        #expect(!second.isEnabled("f") && second.isEnabled("g"))
        kept.withLock { $0 = Array("broken".utf8) }
        #expect(client(configuration, backup: backup).isEnabled("f"))
    }

    @Test("a backup is a file, and a file that cannot be written stops nobody")
    func file() throws {
        let path = "/tmp/sdlab-flags-\(SeededRandom.processSeed).json"
        let client = client(backup: .file(path))
        let request = client.due(now: epoch).requests[1]
        client.answered(request, answer(definitions), now: epoch)
        #expect(self.client(backup: .file(path)).isEnabled("f"))
        _ = try? removeFile(path)
        let nowhere = self.client(backup: .file("/nowhere/at/all.json"))
        nowhere.answered(nowhere.due(now: epoch).requests[1], answer(definitions), now: epoch)
        #expect(nowhere.isEnabled("f"))
    }

    @Test("what was counted is reported once, and survives new definitions")
    func usage() throws {
        let client = client(.init(metricsInterval: .seconds(60), appName: "shop"))
        client.install(FlagDefinitions([FlagDefinition("f", isEnabled: true, variants: [.init("a", weight: 1)])]))
        for _ in 0..<3 { _ = client.isEnabled("f") }
        _ = client.variant("f", FlagContext("1"))
        client.install(definitions)
        _ = client.isEnabled("f")
        let report = try #require(client.report(now: epoch + .seconds(1)))
        let usage = try FlagUsage(try JSONValue(parsing: try #require(report.body)))
        #expect(usage.appName == "shop" && usage.flags["f"]?.yes == 5 && usage.flags["f"]?.variants == ["a": 1])
        #expect(client.report(now: epoch + .seconds(2)) == nil)
    }

    @Test("many threads ask and count while definitions change")
    func threads() async {
        let client = client()
        client.install(definitions)
        await withTaskGroup(of: Int.self) { group in
            for worker in 0..<8 {
                group.addTask { [definitions] in
                    var yes = 0
                    for round in 0..<2_000 {
                        if client.isEnabled("f", FlagContext("\(round)")) { yes += 1 }
                        if round % 500 == worker { client.install(definitions) }
                    }
                    return yes
                }
            }
            #expect(await group.reduce(0, +) == 16_000)
        }
        let body = client.report(now: epoch)?.body ?? []
        #expect((try? FlagUsage(JSONValue(parsing: body)))?.flags["f"]?.yes == 16_000)
    }

    @Test("a client on a node: changes come by the stream at once, and with the server dead the last good ones hold")
    func node() throws {
        let lab = try Lab()
        defer { withExtendedLifetime(lab) {} }
        try lab.ask("POST", "/api/flags", #"{"name": "f"}"#)
        let node = lab.world.node("app")
        let polling = NodeFlagClient(
            node, apiKey: "", .init(baseURL: "http://flags:4242", refreshInterval: .seconds(15)), backup: "/b.json")
        let following = NodeFlagClient(
            node, apiKey: "", .init(baseURL: "http://flags:4242", refreshInterval: .seconds(3_600)), follows: true)
        polling.start()
        following.start()
        lab.world.pass(.seconds(1))
        #expect(!polling.isEnabled("f", FlagContext("1")))
        var heardAt = LabTime.distantFuture
        following.onChange = { heardAt = lab.world.now }
        let before = lab.world.now
        try lab.ask("PUT", "/api/flags/f/rollout", #"{"percent": 100}"#)
        #expect(following.isEnabled("f", FlagContext("1")) && heardAt - before < .milliseconds(100))
        #expect(!polling.isEnabled("f", FlagContext("1")))
        lab.world.pass(.seconds(17))
        #expect(polling.isEnabled("f", FlagContext("1")))
        lab.host.node.end(.killed)
        lab.world.pass(.seconds(300))
        #expect(polling.isEnabled("f", FlagContext("1")) && following.isEnabled("f", FlagContext("1")))
        #expect(polling.trouble != nil)
        // Another program on the same disk begins with what the first one kept.
        let late = NodeFlagClient(node, apiKey: "", .init(baseURL: "http://flags:4242"), backup: "/b.json")
        late.start()
        #expect(late.isEnabled("f", FlagContext("1")))
        // The server comes back, and the follower finds it.
        let host = try lab.restarted()
        lab.world.pass(.seconds(120))
        try lab.ask("POST", "/api/flags/f/kill")
        #expect(!following.isEnabled("f", FlagContext("1")))
        for client in [polling, following, late] { client.stop {} }
        lab.world.pass(.seconds(1))
        withExtendedLifetime(host) {}
        lab.world.shutDown()
    }
}

private func removeFile(_ path: String) throws { _ = path.withCString { Glibc.unlink($0) } }

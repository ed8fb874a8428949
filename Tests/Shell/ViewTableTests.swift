import CommandKit
import Commands
import KernelStructures
import ShellLanguage
import ShellSession
import Testing

/// What is true of all views, whichever component they are of: a lab in which all eighteen systems run, and the table
/// of commands. A view that is added later is tried here without anybody's thinking of it.
@Suite("All views", .serialized) struct ViewTableTests {
    /// Each line starts something, or has it do something.
    private static let systems = """
        spawn 2 backend --port 8081 --name server
        loadbalancer --backends 8081,8082 --port 80 --name lb
        for i in {1..8}; do curl -s localhost/; done
        ratelimiter --rate 10 --burst 20 --port 8090 --upstream localhost:8081
        for i in {1..3}; do curl -s localhost:8090/api; done
        cache-node --port 7001 --cluster-port 17001 --name cache
        cache-cli --server localhost:7001 SET a 1
        messageq
        mq-cli publish orders one
        postgres
        urlshortener --db postgres://db:5432/postgres --port 8100
        lsm-kv --data-dir /kv --port 6379
        kv-bench --writes 200 --seed 1
        kv-cli COMPACT
        circuit-test --url http://localhost:8081 --requests 100000 &
        registry
        metrics-collector --lab
        echo '{services: {users: {url: "http://localhost:8081"}}, ' > gw.yaml
        echo 'routes: [{path: /users, service: users, auth: none}]}' >> gw.yaml
        api-gateway --config gw.yaml --port 8443
        lockserver
        lock-cli acquire payment --ttl 600s &
        sleep 2
        log-collector --storage /logs
        hash-ring-viz
        hash-ring-cli add node-A --vnodes 10
        hash-ring-cli add node-B --vnodes 10
        pool-db --port 5433 --max-connections 10 --name pg &
        pool-test --db pg:5433 --max-conns 5 --concurrent-users 8 --leaks 0 &
        toxiproxy
        inject latency 1ms lb->server-1
        feature-flags
        flags-cli create new-checkout-flow --type boolean
        lsm-kv --data-dir /kv2 --port 6380 --name near
        users-api --db postgres://db:5432/postgres --no-local --redis near:6380 --port 8501 --audit 100
        curl -s localhost:8501/users/1
        jaeger
        shop --monolith --db postgres://db:5432/shop --demo
        sleep 10
        kill -9 server-2
        sleep 20
        for i in {1..4}; do curl -s localhost/; done
        """

    private let lab: LabShell
    private var session: Session { lab.session }

    init() {
        lab = LabShell()
        for line in Self.systems.split(separator: "\n") { lab.run(String(line), limit: .seconds(600)) }
    }

    /// All views and what they can be told to do, each with lines that show it.
    private static var examples: [(line: String, description: CommandDescription)] {
        Catalog.table.commands.map(\.description).filter { $0.role == .view && $0.name != "watch" }.flatMap { view in
            let parts = view.subcommands.isEmpty ? [view] : view.subcommands
            return parts.flatMap { part in
                (part.examples + [part.name]).filter { isOne($0, of: view, part) }.map { ($0 + small(part.name), part) }
            }
        }
    }

    /// A study that takes a while is done on a small scale.
    private static func small(_ name: String) -> String { name == "cache-layer worth" ? " --requests 200" : "" }

    /// Whether a line is that one command and nothing else, not watched and not sent anywhere.
    private static func isOne(_ line: String, of view: CommandDescription, _ part: CommandDescription) -> Bool {
        guard !line.contains("|"), !line.contains(">"), line.split(separator: " ").first.map(String.init) == view.name,
            let words = try? ParsedArguments(line.split(separator: " ").dropFirst().map(String.init), for: view)
        else { return false }
        return words.description.name == part.name && !words.wantsJSON && words.glyphs == .block
    }

    /// What shows nothing in this lab: it changes something and says so by log lines, or is for a prompt.
    private static let silent: Set = [
        "breaker close", "breaker disable", "breaker force-open", "breaker metrics-only", "breaker open", "breaker set",
        "cache-layer forget", "history",
    ]

    /// All of it in one lab, since it takes a while until that stands.
    @Test func everyViewIsForProgramsForOtherFontsForNarrowTerminalsAndForWatching() {
        allEighteenSystemsRun()
        var seen: Set<String> = []
        for (line, description) in Self.examples {
            let plain = lab.run(line)
            guard plain.status == 0, !plain.output.isEmpty else { continue }
            seen.insert(description.name)
            hasJSON(line, description)
            if Sparkline.Glyphs.isDrawing(plain.output) { drawsInLetters(line, description) }
            fitsFortyColumns(line)
        }
        let all = Set(Self.examples.map(\.description.name))
        let untried = all.subtracting(seen).subtracting(Self.silent)
        #expect(untried.isEmpty, "no example of these shows anything here")
        canBeWatched()
        everySystemCanBeShown()
    }

    private func allEighteenSystemsRun() {
        let kinds = Set(session.jobs.running.flatMap(\.running).compactMap { $0.component?.kind })
        for kind in [
            "loadbalancer", "ratelimiter", "cache-node", "messageq", "urlshortener", "lsm-kv", "circuit-test",
            "registry", "metrics-collector", "api-gateway", "lockserver", "log-collector", "hash-ring", "pool-test",
            "toxiproxy", "feature-flags", "users-api", "shop",
        ] {
            #expect(kinds.contains(kind), "\(kind) does not run")
        }
    }

    private func hasJSON(_ line: String, _ description: CommandDescription) {
        guard description.flag(named: "json") != nil else {
            Issue.record("\(description.name) has no --json: \(line)")
            return
        }
        let json = lab.run(line + " --json")
        #expect(json.status == 0 && CommandTests.isJSON(json.output), "\(line) --json: \(json.errorOutput)")
    }

    private func drawsInLetters(_ line: String, _ description: CommandDescription) {
        guard description.flag(named: "glyphs") != nil else {
            Issue.record("\(description.name) draws, and has no --glyphs: \(line)")
            return
        }
        let letters = lab.output(line + " --glyphs ascii")
        #expect(!Sparkline.Glyphs.isDrawing(letters), "\(line): \(letters)")
        let braille = lab.output(line + " --glyphs braille")
        #expect(!braille.contains { "█▓▒░▁▂▃▄▅▆▇▏▌".contains($0) }, "\(line): \(braille)")
    }

    private func fitsFortyColumns(_ line: String) {
        session.renderer.columns = 40
        defer { session.renderer.columns = 80 }
        var isTable = false
        for shown in lab.run(line).output.split(separator: "\n", omittingEmptySubsequences: false) {
            isTable = Self.isTitle(shown) || isTable && !shown.isEmpty
            if isTable { #expect(displayWidth(String(shown)) <= 40, "\(line): \(shown)") }
        }
    }

    /// The first line of a table: capitals, in columns.
    private static func isTitle(_ line: Substring) -> Bool {
        line.contains("  ") && line.contains { $0.isLetter } && !line.contains { $0.isLowercase }
            && !line.hasPrefix("TOKENS") && !line.contains(":")
    }

    private func canBeWatched() {
        var tried: Set<String> = []
        for (line, _) in Self.examples {
            let name = String(line.split(separator: " ")[0])
            let once = lab.run(line)
            guard once.status == 0, !once.output.isEmpty, tried.insert(name).inserted else { continue }
            let watched = lab.run("watch 2 1s \(line)")
            #expect(watched.status == 0, "watch 2 1s \(line): \(watched.errorOutput)")
            #expect(watched.output.contains("\n\n"), "\(line)")
        }
        #expect(tried.isSuperset(of: ["nodes", "jobs", "faults", "top", "topo", "ring", "show", "timeline", "trace"]))
    }

    private func everySystemCanBeShown() {
        for process in session.jobs.running.flatMap(\.running) {
            guard let component = process.component else { continue }
            for word in [process.nodeName ?? process.name, component.kind] {
                let shown = lab.run("show \(word)")
                #expect(shown.status == 0 && !shown.output.isEmpty, "show \(word): \(shown.errorOutput)")
                #expect(CommandTests.isJSON(lab.output("show \(word) --json")), "show \(word) --json")
            }
        }
        #expect(lab.output("ring").contains("TOKENS"))
    }
}

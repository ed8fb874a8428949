import KernelConfiguration
import KernelStructures
import LoadBalancerEngine
import Testing

/// What `help loadbalancer` says of the file, the parser, and the defaults are three things that must be one.
@Suite("The reference of the load balancer's configuration")
struct ConfigurationReferenceTests {
    private func read(_ text: String) throws(ConfigurationError) -> LoadBalancerConfiguration {
        try LoadBalancerConfiguration(yaml: Array(text.utf8), file: "lb.yaml")
    }

    private var lines: [Substring] { LoadBalancerConfiguration.reference.split(separator: "\n") }

    /// With what stands behind `#:` in force, but for lines that contain one of `leaving`.
    private func complete(leaving: [String]) -> String {
        lines.filter { line in !leaving.contains { line.contains($0) } }
            .map { $0.hasPrefix("#:") ? "  " + $0.dropFirst(2) : String($0) }
            .map { line in
                // Sections begin at the margin.
                ["tls:", "outlier_ejection:", "sticky:", "retry_budget:"].contains { line.hasPrefix("  \($0)") }
                    ? String(line.dropFirst(2)) : line
            }.joined(separator: "\n")
    }

    private var plain: LoadBalancerConfiguration {
        LoadBalancerConfiguration(backends: [
            .init(name: "localhost:8081", destination: HostPort(host: "localhost", port: 8081))
        ])
    }

    @Test("what stands in it is the default")
    func defaults() throws {
        #expect(try read(LoadBalancerConfiguration.reference) == plain)
        #expect(try read("backends: [\"localhost:8081\"]") == plain)
    }

    @Test("so is what is in force only where it stands", arguments: [true, false])
    func optional(byCookie: Bool) throws {
        let left = byCookie ? ["by: source", "size: 100000", "expire: 30m"] : ["cookie: SRV"]
        var expected = plain
        expected.backends[0].maxConnections = 100
        expected.backends[0].sendProxy = .v2
        var back = LoadBalancerConfiguration.Backend.TLS()
        back.serverName = "example.org"
        back.authority = "ca.pem"
        back.certificate = "lb.pem"
        back.key = "lb-key.pem"
        expected.backends[0].tls = back
        var front = LoadBalancerConfiguration.FrontTLS()
        front.certificates = ["lb.pem"]
        front.keys = ["lb-key.pem"]
        front.clientAuthority = "clients.pem"
        front.clientCertificates = .required
        front.protocols = ["http/1.1"]
        expected.tls = front
        expected.hashBalanceFactorPercent = 125
        expected.healthCheck.kind = .http
        expected.healthCheck.fastInterval = .seconds(1)
        expected.healthCheck.downInterval = .seconds(10)
        expected.healthCheck.host = "example.org"
        expected.healthCheck.expectedBody = "OK"
        expected.outlierEjection = .init()
        expected.retryBudget = .init()
        expected.sticky = .init(byCookie ? .cookie("SRV") : .source(size: 100_000, expire: .seconds(1800)))
        #expect(try read(complete(leaving: left)) == expected)
    }

    @Test(
        "no key is left out, and none stands there that does not exist", arguments: LoadBalancerConfiguration.sections)
    func keys(section: ConfigurationSection) {
        for key in section.keys { #expect(keysOf(section.name).contains(key), "\(section.name).\(key)") }
        #expect(keysOf(section.name).count == section.keys.count, "\(section.name)")
        for key in section.aliases.values { #expect(section.keys.contains(key)) }
        for alias in section.aliases.keys {
            #expect(LoadBalancerConfiguration.aliasReference.contains("\(alias)  is  \(section.aliases[alias]!)\n"))
        }
    }

    /// The keys directly below a section's, by indentation.
    private func keysOf(_ section: String) -> [String] {
        var path: [(indent: Int, name: String)] = []
        var found: [String] = []
        for raw in lines {
            var line = raw.hasPrefix("#:") ? "  " + raw.dropFirst(2) : String(raw)
            let isSection = ["tls:", "outlier_ejection:", "sticky:", "retry_budget:"].contains {
                line.hasPrefix("  \($0)")
            }
            if isSection { line = String(line.dropFirst(2)) }
            line = line.replacing("- ", with: "  ")
            let indent = line.prefix { $0 == " " }.count
            let name = String(line.dropFirst(indent).prefix { $0 != ":" })
            while let last = path.last, last.indent >= indent { path.removeLast() }
            if (path.last?.name ?? "") == section { found.append(name) }
            path.append((indent, name))
        }
        return found
    }

    @Test("it fits a screen of 80 columns")
    func width() {
        for line in lines { #expect(line.count <= 80, "\(line)") }
    }

    /// For each key something else than the default, in YAML.
    private static let samples: [(section: String, key: String, value: String)] = [
        ("", "mode", "tcp"), ("", "algorithm", "maglev"), ("", "slow_start", "1s"), ("", "panic_threshold", "50%"),
        ("", "retries", "1"), ("", "retry_on", "[503]"), ("", "forwarded", "none"), ("", "accept_proxy", "true"),
        ("", "log", "requests"), ("", "hash", "{key: uri}"), ("", "backends", "[1]"),
        ("", "health_check", "{jitter: 1}"), ("", "outlier_ejection", "{}"), ("", "sticky", "{cookie: A}"),
        ("", "retry_budget", "{}"), ("", "queue", "{limit: 1}"), ("", "timeouts", "{idle: 1s}"),
        ("", "tls", "{}"), ("tls", "certificates", "[a.pem, b.pem]"), ("tls", "keys", "k.pem"),
        ("tls", "client_ca", "ca.pem"), ("tls", "client", "optional"), ("tls", "alpn", "[a, b]"),
        ("tls", "min_version", "1.3"), ("tls", "max_version", "1.2"),
        ("backends", "tls", "true"), ("backends", "verify", "false"), ("backends", "sni", "shop"),
        ("backends", "ca", "ca.pem"), ("backends", "cert", "lb.pem"), ("backends", "key", "k.pem"),
        ("hash", "key", "header A"), ("hash", "balance_factor", "150%"),
        ("backends", "address", "2"), ("backends", "name", "a"), ("backends", "weight", "7"),
        ("backends", "max_connections", "1"), ("backends", "backup", "true"), ("backends", "state", "maint"),
        ("backends", "send_proxy", "v1"),
        ("health_check", "type", "tcp"), ("health_check", "interval", "1s"), ("health_check", "fast_interval", "1s"),
        ("health_check", "down_interval", "1s"), ("health_check", "jitter", "5"), ("health_check", "timeout", "1s"),
        ("health_check", "path", "/h"), ("health_check", "host", "h"), ("health_check", "expect", "{status: 204}"),
        ("health_check", "unhealthy_after", "1"), ("health_check", "healthy_after", "1"),
        ("expect", "status", "200-204"), ("expect", "body", "fine"),
        ("outlier_ejection", "consecutive_5xx", "0"), ("outlier_ejection", "consecutive_gateway_errors", "3"),
        ("outlier_ejection", "base_time", "1s"), ("outlier_ejection", "max_time", "31s"),
        ("outlier_ejection", "max_percent", "50"),
        ("sticky", "cookie", "B"), ("sticky", "by", "source"), ("sticky", "size", "5"), ("sticky", "expire", "1s"),
        ("sticky", "redispatch", "false"), ("sticky", "on_drain", "stay"),
        ("retry_budget", "percent", "1"), ("retry_budget", "min_per_second", "1"),
        ("queue", "limit", "0"), ("queue", "timeout", "1s"),
        ("timeouts", "connect", "1s"), ("timeouts", "request", "1s"), ("timeouts", "response", "1s"),
        ("timeouts", "idle", "1s"), ("timeouts", "tunnel", "1s"), ("timeouts", "shutdown", "1s"),
    ]

    private func file(_ section: String, _ key: String, _ value: String) -> String {
        let backends = "backends: [\"localhost:8081\"]\n"
        switch section {
        case "" where key == "backends" || key == "servers": return "\(key): \(value)"
        case "": return backends + "\(key): \(value)"
        case "backends" where key == "address": return "backends: [{address: \(value)}]"
        case "tls" where key == "keys": return backends + "tls: {certificates: [a.pem], \(key): \(value)}"
        case "backends" where key == "key":
            return "backends: [{address: \"localhost:8081\", tls: true, cert: a.pem, \(key): \(value)}]"
        case "backends" where ["verify", "sni", "ca", "cert", "ca-file", "crt"].contains(key):
            return "backends: [{address: \"localhost:8081\", tls: true, \(key): \(value)}]"
        case "backends": return "backends: [{address: \"localhost:8081\", \(key): \(value)}]"
        case "expect": return backends + "health_check: {expect: {\(key): \(value)}}"
        case "sticky" where ["size", "expire"].contains(key):
            return backends + "sticky: {by: source, \(key): \(value)}"
        case "sticky" where ["redispatch", "on_drain"].contains(key):
            return backends + "sticky: {cookie: SRV, \(key): \(value)}"
        default: return backends + "\(section): {\(key): \(value)}"
        }
    }

    /// The section as it is without that key.
    private func base(_ section: String, _ key: String) throws -> LoadBalancerConfiguration {
        let backends = "backends: [\"localhost:8081\"]\n"
        switch (section, key) {
        case ("sticky", "size"), ("sticky", "expire"): return try read(backends + "sticky: {by: source}")
        case ("sticky", "redispatch"), ("sticky", "on_drain"): return try read(backends + "sticky: {cookie: SRV}")
        case ("tls", "keys"): return try read(backends + "tls: {certificates: [a.pem]}")
        case ("tls", _): return try read(backends + "tls: {}")
        case ("backends", "key"): return try read("backends: [{address: \"localhost:8081\", tls: true, cert: a.pem}]")
        case ("backends", "verify"), ("backends", "sni"), ("backends", "ca"), ("backends", "cert"):
            return try read("backends: [{address: \"localhost:8081\", tls: true}]")
        case ("outlier_ejection", _), ("retry_budget", _): return try read(backends + "\(section): {}")
        default: return plain
        }
    }

    @Test("each key that is documented does something, under its other names as well")
    func effects() throws {
        for section in LoadBalancerConfiguration.sections {
            for key in section.keys {
                let sample = try #require(
                    Self.samples.first { $0.section == section.name && $0.key == key }, "no sample of \(key)")
                let changed = try read(file(section.name, key, sample.value))
                #expect(try changed != base(section.name, key), "\(section.name).\(key) changes nothing")
                for (alias, _) in section.aliases.filter({ $0.value == key }) {
                    #expect(try read(file(section.name, alias, sample.value)) == changed, "\(section.name).\(alias)")
                }
            }
        }
    }

    @Test("algorithms have the names that others gave them")
    func algorithms() throws {
        let names: [(String, LoadBalancerConfiguration.Algorithm, LoadBalancerConfiguration.HashKey)] = [
            ("roundrobin", .roundRobin, .source), ("leastconn", .leastConnections, .source),
            ("source", .hash, .source), ("uri", .hash, .uri), ("hdr(X-User)", .hash, .header("X-User")),
            ("random(2)", .random, .source), ("least_conn", .leastConnections, .source), ("ip_hash", .hash, .source),
            ("LEAST_REQUEST", .random, .source), ("RING_HASH", .hash, .source), ("MAGLEV", .maglev, .source),
        ]
        for (name, algorithm, key) in names {
            let configuration = try read("backends: [1]\nbalance: \(name)")
            #expect(configuration.algorithm == algorithm && configuration.hashKey == key, "\(name)")
        }
    }

    @Test(
        "what cannot be meant is refused with its place",
        arguments: [
            (
                "backends: [1]\nbalance: uri\nhash: {key: header A}",
                "lb.yaml:3:7: the algorithm says already what it goes by; leave out key"
            ),
            ("backends: [1]\nbalance: hdr()", "lb.yaml:2:10: '' cannot be a field's name"),
            ("backends: [1]\nbalance: first", "lb.yaml:2:10: balance 'first' is unknown"),
            (
                "backends: [1]\nbalance: source\nalgorithm: maglev",
                "lb.yaml:3:1: 'algorithm' is another name for 'balance'; leave one of them out"
            ),
            ("backends: [1]\nhealth_check: {inter: x}", "lb.yaml:2:23: inter must be a duration"),
            (
                "backends: [1]\nhealth_check: {fastintr: 1s}",
                "lb.yaml:2:16: unknown key 'fastintr' in health_check; did you mean fastinter?"
            ),
            ("backends: [1]\ntimeouts: {queue: 1s}", "lb.yaml:2:19: how long a request may wait is said by queue:"),
            (
                "backends: [{address: 1, sni: a}]",
                "lb.yaml:1:30: sni is for a backend that speaks TLS; add tls: true"
            ),
            (
                "backends: [1]\ntls: {certificates: [a, b], keys: [c]}",
                "lb.yaml:2:35: 2 certificates and 1 key; one key for each"
            ),
            ("backends: [1]\ntls: {min_version: 1.3, max_version: 1.2}", "lb.yaml:2:20: min_version is later"),
            ("backends: [1]\nmode: tcp\nbalance: uri", "lb.yaml:3:10: in mode tcp nobody reads requests"),
        ])
    func complaints(text: String, expected: String) {
        do throws(ConfigurationError) {
            _ = try read(text)
            Issue.record("accepted: \(text)")
        } catch {
            #expect(error.description.hasPrefix(expected), "\(error)")
        }
    }
}

import CommandKit
import CommandServices
import KernelService
import KernelStructures
import RegistryEngine
import RegistryService
import ShellSession

extension RegistryCommands {
    /// `registry --port 8500 --dns-port 8600`, and `registry watch payment-api`
    static var registry: Command {
        let kind = ServiceKind("registry", node: "registry", port: .preset(RegistryHost.defaultPort))
        let service = Command.service(kind, registryDescription(kind)) { invocation in
            let settings = try registrySettings(invocation.arguments)
            let dnsPort =
                invocation.arguments.has("no-dns")
                ? nil : invocation.arguments.port("dns-port") ?? RegistryHost.defaultDNSPort
            let peers = try registryPeers(invocation.arguments)
            let id = invocation.arguments.integer("id")
            let directory = invocation.session.files.absolute(
                invocation.arguments.text("data-dir") ?? "./registry-data")
            return ServicePlan { node, service in
                let own = peers.firstIndex { $0.host.lowercased() == node.name.lowercased() }
                guard peers.isEmpty || id ?? own != nil else {
                    throw CommandFailure(
                        "which of the peers is this one? give it the --name of one, or its place: --id 1")
                }
                return RegistryHost(
                    node: node, settings: settings, port: service.port, dnsPort: dnsPort, peers: peers,
                    id: min(id ?? (own ?? 0) + 1, max(1, peers.count)), directory: "\(directory)/\(node.name)",
                    options: service.options)
            }
        }
        return Command(service.description) { invocation in
            let words = invocation.arguments.arguments
            guard let verb = words.first else { return try service.body(invocation) }
            guard verb == "watch" else {
                throw UsageError("registry: '\(verb)'? there is registry watch SERVICE; without it a registry is run")
            }
            guard words.count == 2 else {
                throw UsageError("registry: which service? write registry watch payment-api")
            }
            let server =
                invocation.arguments.endpoint("server") ?? HostPort(host: "localhost", port: RegistryHost.defaultPort)
            return .running(
                RegistryWatcher(
                    invocation.process, service: words[1], server: server,
                    count: invocation.arguments.integer("count"), wantsJSON: invocation.arguments.wantsJSON))
        }
    }

    private static func registryDescription(_ kind: ServiceKind) -> CommandDescription {
        CommandDescription(
            "registry", "knows which services run where, and which of them are well",
            usage: "[FLAGS] | watch SERVICE [--server HOST:PORT] [--count N] [--json]",
            flags: kind.flags(
                listens: "where it listens for HTTP",
                [
                    .init(
                        "peers", nil, .text("LIST"), "the members of its group: a:8500,b:8500,c:8500, itself among them"
                    ),
                    .init("id", nil, .integer(1...9), "its place among the peers, where its name does not say"),
                    .init("data-dir", nil, .file, "where a group's log is kept (./registry-data)"),
                    .init("dns-port", nil, .port, "where it answers DNS, UDP and TCP (8600)"),
                    .init("no-dns", nil, "answers no DNS"),
                    .init("datacenter", nil, .text("NAME"), "the datacenter it speaks for (dc1)"),
                    .init("domain", nil, .text("LIST"), "the zones of DNS (consul,local)"),
                    .init("dns-ttl", nil, .duration(allowsZero: true), "how long DNS answers may be kept (0s)"),
                    .init("only-passing", nil, "DNS leaves out instances that warn, too"),
                    .init(
                        "failures-before-critical", nil, .integer(0...1000),
                        "of checks that do not say (3; Consul's is 0, which is one)"),
                    .init("self-preservation", nil, "does not believe that many instances fail at once"),
                    .init("flap-detection", nil, "an instance that flaps is critical until it is steady"),
                    .init("server", "s", .endpoint, "watch: where the registry is (localhost:8500)"),
                    .init("count", nil, .integer(1...1_000_000), "watch: ends after so many changes"),
                    .init("json", nil, "watch: as JSON, a line each"),
                ]),
            arguments: .init([.word(["watch"]), .text], 0...2),
            examples: [
                "registry --port 8500 --dns-port 8600", "registry watch payment-api",
                "registry --name r1 --peers r1:8500,r2:8500,r3:8500",
                "curl -X PUT localhost:8500/v1/agent/service/register -d '{\"name\":\"api\"}'",
                "curl http://localhost:8500/v1/catalog/service/payment-api",
                "dig @localhost -p 8600 payment-api.service.consul SRV",
            ],
            group: .components, role: .service, tags: ["REG"],
            details: """
                It speaks Consul's HTTP API (agent, catalog, health, kv, session, txn, event,
                status), with JSON keys in any case, ?index=N&wait=60s to wait for a change,
                and ?filter='"v1" in ServiceTags'. Without an ID an instance gets the name and
                six digits. Checks: HTTP, TCP, TTL, AliasService, and Passive: true, which hears
                from balancers (PUT /v1/agent/service/report/ID?failures=1).
                DNS: [TAG.]NAME.service[.DC].consul, _NAME._tcp.service.consul,
                NODE.node.consul, and the same below .local. On its own the catalogue is in
                memory only: one that is killed begins again with nothing, and services have to
                register again. With --peers it is kept by the group, by Raft, and on disk: any
                member can be asked, and a group of three goes on without one. ?stale asks what
                this member knows.
                What is written past the agent into the rows of its own node, or taken off them,
                is as the agent knows it again within a minute or two (anti-entropy).
                """)
    }

    private static func registryPeers(_ arguments: ParsedArguments) throws(UsageError) -> [HostPort] {
        var peers: [HostPort] = []
        for word in (arguments.text("peers") ?? "").split(separator: ",") {
            guard let peer = HostPort(parsing: word), !peers.contains(peer), peers.count < 9 else {
                throw UsageError("registry: --peers: '\(word)'? write up to nine different ones: a:8500,b:8500,c:8500")
            }
            peers.append(peer)
        }
        if peers.isEmpty, arguments.has("peers") {
            throw UsageError("registry: --peers names nobody; without it this one is on its own")
        }
        if let id = arguments.integer("id"), id > peers.count {
            throw UsageError("registry: --id: there are \(peers.count) peers")
        }
        return peers
    }

    private static func registrySettings(_ arguments: ParsedArguments) throws -> RegistrySettings {
        var settings = RegistrySettings()
        if let name = arguments.text("datacenter") {
            guard !name.isEmpty, name.utf8.count <= 63,
                name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") })
            else { throw UsageError("registry: --datacenter: '\(name)' cannot be a label of DNS") }
            settings.datacenter = name
        }
        if let list = arguments.text("domain") {
            settings.domains = list.split(separator: ",").map(String.init)
            for domain in settings.domains where !RegistrySettings.isDomain(domain) {
                throw UsageError("registry: --domain: '\(domain)' is no domain such as consul")
            }
            if settings.domains.isEmpty { throw UsageError("registry: --domain: add one, such as consul") }
        }
        if let ttl = arguments.duration("dns-ttl") {
            // RFC 2181 §8: a TTL has 31 bits.
            guard ttl.seconds <= Double(Int32.max) else {
                throw UsageError("registry: --dns-ttl \(ttl): no more than \(Int32.max)s, or 68 years")
            }
            settings.ttlSeconds = UInt32(ttl.seconds)
        }
        settings.answersPassingOnly = arguments.has("only-passing")
        settings.failuresBeforeCritical =
            arguments.integer("failures-before-critical") ?? settings.failuresBeforeCritical
        settings.preservesItself = arguments.has("self-preservation")
        settings.detectsFlapping = arguments.has("flap-detection")
        return settings
    }
}

extension Session {
    /// A running registry by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func registry(named name: String?) throws -> RegistryHost {
        try running(
            RegistryHost.self, named: name, what: "registry", start: "registry", remedy: "name one of them with --node")
    }
}

import CommandKit
import CommandServices
import HashRingEngine
import HashRingService
import KernelStructures
import KernelWorld
import ShellSession

extension HashRingCommands {
    /// `hash-ring-cli add node-A --vnodes 150`
    static var hashRingCli: Command {
        let description = CommandDescription(
            "hash-ring-cli", "changes a hash ring, and asks it", operates: false, subcommands: ringSubcommands,
            group: .clients,
            details: """
                What a change does is in the log of the ring's own node; where that is not in
                sight, as a process of its own, the command prints it.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let request = try RingWords(invocation).request
            let server = arguments.endpoint("server") ?? HostPort(host: "localhost", port: HashRingHost.defaultPort)
            let process = invocation.process
            let wire = request.wire
            let isSaidByLog = request.isChange && !arguments.wantsJSON && process.seesLog(of: server)
            return .running(
                ServerQuestion(
                    process, wire.method, wire.target, at: server,
                    whenRefused: "no ring answers at \(server); start one: hash-ring-viz",
                    fields: [("Accept", arguments.wantsJSON ? "application/json" : "text/plain")],
                    body: wire.body.isEmpty ? nil : wire.body, timeout: arguments.duration("timeout") ?? .seconds(5)
                ) { response throws(CommandFailure) in
                    try ServerQuestion.text(response, isSaidByLog: isSaidByLog)
                })
        }
    }

    private typealias Flag = CommandDescription.Flag
    private static let common: [Flag] = [
        .init("server", "s", .endpoint, "where the ring is (localhost:\(HashRingHost.defaultPort))"),
        .init("timeout", nil, .duration(), "how long to wait for its answer (5s)"), CommonFlags.json,
    ]
    private static let size: [Flag] = [
        .init("vnodes", nil, .integer(RingNode.virtualNodeRange), "virtual nodes a unit of weight"),
        .init("weight", nil, .integer(RingNode.weightRange), "how much more than others it takes (1)"),
    ]
    private static let zone: [Flag] = [.init("zone", nil, .text("ZONE"), "its rack: copies go to different ones")]

    private static var ringSubcommands: [Subcommand] {
        let node = CommandDescription.Arguments([.text], 1...1)
        let keys = 0...RingRequest.keyLimit
        return [
            .init(
                "add", "puts a node on the ring", usage: "NODE [--vnodes N] [--weight N] [--zone Z]",
                flags: size + zone + common, arguments: node, examples: ["hash-ring-cli add node-A --vnodes 150"]),
            .init(
                "remove", "takes a node off it", usage: "NODE", flags: common, arguments: node,
                examples: ["hash-ring-cli remove node-A"]),
            .init(
                "reweight", "changes how much a node takes", usage: "NODE [--vnodes N] [--weight N]",
                flags: size + common, arguments: node, examples: ["hash-ring-cli reweight node-A --weight 2"]),
            .init(
                "lookup", "whose keys are", usage: "KEY… [--rf N] [--file FILE]",
                flags: [
                    .init("rf", nil, .integer(RingKeeper.replicationRange), "how many copies (the ring's)"),
                    .init("file", nil, .file, "keys from a file, one a line"),
                ] + common, arguments: .init([.text], keys), examples: ["hash-ring-cli lookup user:123"]),
            .init(
                "visualize", "draws the ring", usage: "[KEY…]", flags: common, arguments: .init([.text], keys),
                examples: ["hash-ring-cli visualize user:123"]),
            .init("stats", "its nodes and their shares", flags: common, examples: ["hash-ring-cli stats"]),
            .init(
                "preview", "what a change would move", usage: "add|remove|reweight NODE [FLAGS]",
                flags: size + zone + common,
                arguments: .init([.word(["add", "remove", "reweight"]), .text], 1...2),
                examples: ["hash-ring-cli preview remove node-A"]),
            .init(
                "moved", "what the last change moved", usage: "[--ranges N]",
                flags: [.init("ranges", nil, .integer(0...RingRequest.rangeLimit), "how many to list (10)")] + common,
                examples: ["hash-ring-cli moved --ranges 3"]),
            .init(
                "compare", "the same change under all algorithms",
                usage: "[--keys N] [--add NODE] [--remove NODE] [--hash NAME]",
                flags: [
                    .init("keys", nil, .integer(Comparison.Settings.keyRange), "with how many keys (20000)"),
                    .init("add", nil, .text("NODE"), "the node that comes"),
                    .init("remove", nil, .text("NODE"), "the node that goes (the first)"),
                    .init("hash", nil, .choice(RingHash.allCases.map(\.rawValue)), "by which hash (the ring's)"),
                ] + common, examples: ["hash-ring-cli compare --keys 100000"]),
            .init(
                "advise", "how many virtual nodes keep shares even", usage: "[--deviation PERCENT] [--nodes N]",
                flags: [
                    .init("deviation", "d", .text("PERCENT"), "how far from even shares may be (5)"),
                    .init("nodes", nil, .integer(RingAdvice.nodeRange), "how many nodes (the ring's)"),
                ] + common, examples: ["hash-ring-cli advise --deviation 2"]),
            .init(
                "hot-keys", "requests of which a few keys get most, with and without a bound on loads",
                usage: "[--keys N] [--requests N] [--skew PERCENT] [--bound PERCENT]",
                flags: [
                    .init("keys", nil, .integer(HotKeys.Settings.keyRange), "how many keys (10000)"),
                    .init("requests", nil, .integer(HotKeys.Settings.requestRange), "how many requests (100000)"),
                    .init("skew", nil, .integer(HotKeys.Settings.skewRange), "Zipf's exponent in hundredths (100)"),
                    .init("bound", nil, .integer(HotKeys.Settings.boundRange), "the most of a mean load (125)"),
                ] + common, examples: ["hash-ring-cli hot-keys --skew 120"]),
            .init("export", "all points, as JSON", flags: common, examples: ["hash-ring-cli export > ring.json"]),
        ]
    }
}

/// The words of `hash-ring-cli`, made into a request.
private struct RingWords {
    private let arguments: ParsedArguments
    private let session: Session
    private let words: ArraySlice<String>

    init(_ invocation: Invocation) throws {
        arguments = invocation.arguments
        session = invocation.session
        words = arguments.arguments[...]
    }

    private func fail(_ text: String) -> UsageError { UsageError("\(arguments.description.name): \(text)") }

    var request: RingRequest {
        get throws {
            switch arguments.verb {
            case "add": .add(node(words[0], hasZone: true))
            case "reweight": .reweight(try reweighted(words[0]))
            case "remove": .remove(words[0])
            case "lookup": .lookup(keys: try keys(), replicationFactor: arguments.integer("rf"))
            case "visualize": .drawing(keys: Array(words))
            case "preview": try preview()
            case "moved": .moved(ranges: arguments.integer("ranges") ?? RingRequest.defaultRanges)
            case "compare":
                .compare(
                    keys: arguments.integer("keys"), add: arguments.text("add"), remove: arguments.text("remove"),
                    hash: arguments.text("hash").flatMap(RingHash.init))
            case "advise":
                .advise(deviationPercent: try percent(arguments.text("deviation")), nodes: arguments.integer("nodes"))
            case "hot-keys": .hotKeys(hotKeys)
            case "export": .export
            default: .stats
            }
        }
    }

    private func percent(_ text: String?) throws -> Double {
        guard let text else { return 5 }
        let range = RingAdvice.percentRange
        guard let percent = Double(text.hasSuffix("%") ? text.dropLast() : text[...]), range.contains(percent) else {
            throw fail("--deviation: '\(text)' is not percent of a share, from 0.1 to 100")
        }
        return percent
    }

    private var hotKeys: HotKeys.Settings {
        var settings = HotKeys.Settings()
        settings.keys = arguments.integer("keys") ?? settings.keys
        settings.requests = arguments.integer("requests") ?? settings.requests
        settings.skewPercent = arguments.integer("skew") ?? settings.skewPercent
        settings.boundPercent = arguments.integer("bound") ?? settings.boundPercent
        return settings
    }

    private func node(_ name: String, hasZone: Bool) -> RingRequest.NodeWords {
        .init(
            name, virtualNodes: arguments.integer("vnodes"), weight: arguments.integer("weight"),
            zone: hasZone ? arguments.text("zone") : nil)
    }

    private func reweighted(_ name: String) throws -> RingRequest.NodeWords {
        let node = node(name, hasZone: false)
        if node.weight == nil, node.virtualNodes == nil { throw fail("to what? add --weight 2 or --vnodes 300") }
        return node
    }

    private func preview() throws -> RingRequest {
        guard let kind = RingKeeper.Change.Kind(rawValue: words[0]), words.count == 2 else {
            throw fail("of what? hash-ring-cli preview add|remove|reweight node-A")
        }
        if kind == .remove || kind == .reweight, arguments.has("zone") { throw fail("--zone is for add only") }
        if kind == .remove, arguments.has("vnodes") || arguments.has("weight") {
            throw fail("remove takes all of a node; leave out --vnodes and --weight")
        }
        return .preview(kind, kind == .reweight ? try reweighted(words[1]) : node(words[1], hasZone: kind == .add))
    }

    private func keys() throws -> [String] {
        var keys = Array(words)
        if let file = arguments.text("file") {
            let bytes: [UInt8]
            do { bytes = try session.files.read(file) } catch { throw CommandFailure("\(error)") }
            keys += bytes.split { $0 == 10 || $0 == 13 }.map { String(decoding: $0, as: UTF8.self) }
        }
        if keys.isEmpty { throw fail("which key? hash-ring-cli lookup user:123") }
        return keys
    }
}

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
            "hash-ring-cli", "changes a hash ring, and asks it", usage: "WHAT [WORD…] [FLAGS]",
            flags: [
                .init("vnodes", nil, .integer(RingNode.virtualNodeRange), "virtual nodes a unit of weight"),
                .init("weight", nil, .integer(RingNode.weightRange), "how much more than others it takes (1)"),
                .init("zone", nil, .text("ZONE"), "its rack: copies go to different ones"),
                .init("rf", nil, .integer(RingKeeper.replicationRange), "how many copies (the ring's)"),
                .init("file", nil, .file, "lookup: keys from a file, one a line"),
                .init("ranges", nil, .integer(0...RingRequest.rangeLimit), "moved: how many to list (10)"),
                .init("keys", nil, .integer(Comparison.Settings.keyRange), "compare: with how many keys (20000)"),
                .init("add", nil, .text("NODE"), "compare: the node that comes"),
                .init("remove", nil, .text("NODE"), "compare: the node that goes (the first)"),
                .init("hash", nil, .choice(RingHash.allCases.map(\.rawValue)), "compare: by which hash (the ring's)"),
                .init("server", "s", .text("HOST:PORT"), "where the ring is (localhost:\(HashRingHost.defaultPort))"),
                .init("timeout", nil, .duration(), "how long to wait for its answer (5s)"),
                CommonFlags.json,
            ],
            arguments: .init([.word(RingWords.subcommands), .text], 1...RingRequest.keyLimit),
            examples: [
                "hash-ring-cli add node-A --vnodes 150", "hash-ring-cli lookup user:123",
                "hash-ring-cli preview remove node-A", "hash-ring-cli visualize user:123",
                "hash-ring-cli compare --keys 100000", "hash-ring-cli export > ring.json",
            ],
            group: .clients,
            details: """
                add NODE [--vnodes N] [--weight N] [--zone Z]     remove NODE
                reweight NODE [--vnodes N] [--weight N]           stats
                lookup KEY… [--rf N] [--file FILE]                visualize [KEY…]
                preview add|remove|reweight NODE [as above]       what it would move
                moved [--ranges N]                                what the last change moved
                compare [--keys N] [--add NODE] [--remove NODE]   all algorithms
                export                                            all points, as JSON
                What a change does is in the log of the ring's own node; where that is not in
                sight, as a process of its own, the command prints it.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let request = try RingWords(invocation).request
            let word = arguments.text("server") ?? "localhost:\(HashRingHost.defaultPort)"
            guard let server = HostPort(parsing: word) else {
                throw UsageError("hash-ring-cli: --server: '\(word)' is neither a port nor host:port")
            }
            return .running(
                RingClient(
                    invocation.process, request, server: server, wantsJSON: arguments.wantsJSON,
                    timeout: arguments.duration("timeout") ?? .seconds(5)))
        }
    }
}

/// The words of `hash-ring-cli`, made into a request.
private struct RingWords {
    static let subcommands = [
        "add", "remove", "reweight", "lookup", "visualize", "stats", "preview", "moved", "compare", "export",
    ]
    private let arguments: ParsedArguments
    private let session: Session
    private var words: ArraySlice<String>
    let what: String

    init(_ invocation: Invocation) throws {
        arguments = invocation.arguments
        session = invocation.session
        what = arguments.arguments[0]
        words = arguments.arguments.dropFirst()
        guard Self.subcommands.contains(what) else {
            let hint = didYouMean(what, among: Self.subcommands)
            throw UsageError(
                "hash-ring-cli: '\(what)' is none of \(Self.subcommands.joined(separator: ", "))\(hint)")
        }
        try checkFlags()
    }

    private func fail(_ text: String) -> UsageError { UsageError("hash-ring-cli: \(what): \(text)") }

    /// The flags that a subcommand knows, besides those that all know.
    private var flags: [String] {
        switch what {
        case "add", "preview": ["vnodes", "weight", "zone"]
        case "reweight": ["vnodes", "weight"]
        case "lookup": ["rf", "file"]
        case "moved": ["ranges"]
        case "compare": ["keys", "add", "remove", "hash"]
        default: []
        }
    }

    private func checkFlags() throws {
        let own = ["vnodes", "weight", "zone", "rf", "file", "ranges", "keys", "add", "remove", "hash"]
        for flag in own where arguments.has(flag) && !flags.contains(flag) {
            throw fail("--\(flag) means nothing here; see help hash-ring-cli")
        }
    }

    var request: RingRequest {
        get throws {
            switch what {
            case "add": .add(try node(words))
            case "reweight": .reweight(try reweighted(words))
            case "remove": .remove(try node(words).name)
            case "lookup": .lookup(keys: try keys(), replicationFactor: arguments.integer("rf"))
            case "visualize": .drawing(keys: Array(words))
            case "preview": try preview()
            case "moved": try nothingMore(.moved(ranges: arguments.integer("ranges") ?? RingRequest.defaultRanges))
            case "compare":
                try nothingMore(
                    .compare(
                        keys: arguments.integer("keys"), add: arguments.text("add"), remove: arguments.text("remove"),
                        hash: arguments.text("hash").flatMap(RingHash.init)))
            case "export": try nothingMore(.export)
            default: try nothingMore(.stats)
            }
        }
    }

    private func nothingMore(_ request: RingRequest) throws -> RingRequest {
        if let word = words.first { throw fail("'\(word)' is one word too many") }
        return request
    }

    private func node(_ words: ArraySlice<String>) throws -> RingRequest.NodeWords {
        guard let name = words.first else { throw fail("which node? hash-ring-cli \(what) node-A") }
        if words.count > 1 { throw fail("'\(words[words.startIndex + 1])' is one word too many; one node at a time") }
        return .init(
            name, virtualNodes: arguments.integer("vnodes"), weight: arguments.integer("weight"),
            zone: arguments.text("zone"))
    }

    private func reweighted(_ words: ArraySlice<String>) throws -> RingRequest.NodeWords {
        let node = try node(words)
        if node.weight == nil, node.virtualNodes == nil { throw fail("to what? add --weight 2 or --vnodes 300") }
        return node
    }

    private func preview() throws -> RingRequest {
        guard let word = words.first, let kind = RingKeeper.Change.Kind(rawValue: word) else {
            throw fail("of what? hash-ring-cli preview add|remove|reweight node-A")
        }
        if kind == .remove || kind == .reweight, arguments.has("zone") { throw fail("--zone is for add only") }
        if kind == .remove, arguments.has("vnodes") || arguments.has("weight") {
            throw fail("remove takes all of a node; leave out --vnodes and --weight")
        }
        return .preview(kind, kind == .reweight ? try reweighted(words.dropFirst()) : try node(words.dropFirst()))
    }

    private func keys() throws -> [String] {
        var keys = Array(words)
        if let file = arguments.text("file") {
            let bytes: [UInt8]
            do { bytes = try session.files.read(file) } catch { throw CommandFailure("\(error)") }
            keys += bytes.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
        }
        if keys.isEmpty { throw fail("which key? hash-ring-cli lookup user:123") }
        return keys
    }
}

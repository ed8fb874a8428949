import CommandKit
import CommandServices
import KernelStructures
import KernelWorld
import LockEngine
import LockService
import ShellSession

extension LockCommands {
    /// `lock-cli acquire payment-processor --ttl 30s`
    static var lockCli: Command {
        let description = CommandDescription(
            "lock-cli", "takes locks, gives them back, and looks at them", operates: false,
            subcommands: lockSubcommands, group: .clients,
            details: """
                Its servers may be a real etcd's as well. One server is enough: it names the
                others.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let client = LockClient(invocation.process.node, servers: try servers(arguments))
            let words = arguments.arguments
            switch arguments.verb {
            case "acquire", "try", "elect":
                return .running(LockHolder(invocation.process, client, try wish(arguments)))
            case "release":
                return .running(LockRelease(invocation.process, client, name: words[0], token: try token(words[1])))
            case "renew":
                return .running(LockRenewal(invocation.process, client, name: words[0], token: try token(words[1])))
            case "member":
                return .running(
                    try LockMembership(invocation.process, client, words, isLearner: arguments.has("learner")))
            case "watch": return .running(LockWatch(invocation.process, client, name: words[0]))
            case "list": return .running(LockList(invocation.process, client, wantsJSON: arguments.wantsJSON))
            default: return .running(LockStatus(invocation.process, client, wantsJSON: arguments.wantsJSON))
            }
        }
    }

    private typealias Flag = CommandDescription.Flag
    static var serverFlag: CommandDescription.Flag {
        .init("server", "s", .text("LIST"), "where it is: HOST:PORT,HOST:PORT (localhost:\(LockHost.defaultPort))")
    }
    private static let ttlFlag = Flag("ttl", "t", .duration(), "the lease: how long it outlives its owner (30s)")
    private static let ownerFlag = Flag("owner", "o", .text("NAME"), "who one is (client-, and an end of the lease)")
    private static let kindFlags: [Flag] = [
        .init("shared", nil, "together with other readers"),
        .init("permits", nil, .integer(1...LockKind.permitLimit), "as one of so many: a semaphore"),
    ]

    private static var lockSubcommands: [Subcommand] {
        let one = CommandDescription.Arguments([.text], 1...1)
        let two = CommandDescription.Arguments([.text, .text], 2...2)
        let getting = [ttlFlag, ownerFlag] + kindFlags + [serverFlag]
        return [
            .init(
                "acquire", "waits for a lock, and holds it", usage: "NAME [--ttl 30s] [--wait 10s]",
                flags: [.init("wait", "w", .duration(allowsZero: true), "gives up after so long (never)")] + getting,
                arguments: one,
                examples: ["lock-cli acquire payment-processor --ttl 30s", "lock-cli acquire printers --permits 2"],
                details: """
                    It holds the lock until it is interrupted, somebody gives the token back, or the
                    lease cannot be renewed in time. Waiters are served in the order in which they came.
                    """),
            .init(
                "try", "takes a lock if it is free", usage: "NAME [--ttl 30s]", flags: getting, arguments: one,
                examples: ["lock-cli try payment-processor"]),
            .init(
                "release", "gives a lock back", usage: "NAME TOKEN", flags: [serverFlag], arguments: two,
                examples: ["lock-cli release payment-processor 47"],
                details: "The token must be the holder's: an old one releases nothing."),
            .init(
                "renew", "gives a lock's lease its full time again", usage: "NAME TOKEN", flags: [serverFlag],
                arguments: two, examples: ["lock-cli renew payment-processor 47"]),
            .init(
                "list", "who has which lock, and who waits", flags: [serverFlag, CommonFlags.json],
                examples: ["lock-cli list"]),
            .init(
                "status", "the members, and which of them leads", flags: [serverFlag, CommonFlags.json],
                examples: ["lock-cli status"]),
            .init(
                "member", "adds a member, removes one, makes a learner a voter, hands leadership over",
                usage: "add HOST:PORT [--learner] | remove ID | promote ID | lead ID",
                flags: [.init("learner", nil, "it gets the log, and has no vote yet"), serverFlag],
                arguments: .init([.word(["add", "remove", "promote", "lead"]), .text], 2...2),
                examples: ["lock-cli member add localhost:7004", "lock-cli member remove 2"],
                details: """
                    Add it first, then start it: lockserver --id ID --join --peers ALL --port 7004.
                    """),
            .init(
                "watch", "tells when a lock changes hands", usage: "NAME", flags: [serverFlag], arguments: one,
                examples: ["lock-cli watch payment-processor"]),
            .init(
                "elect", "wants to lead, and does until it goes", usage: "NAME [--owner WHO]", flags: getting,
                arguments: one, examples: ["lock-cli elect scheduler --owner worker-1"]),
        ]
    }

    static func servers(_ arguments: ParsedArguments) throws -> [HostPort] {
        guard let list = arguments.text("server") else {
            return [HostPort(host: "localhost", port: LockHost.defaultPort)]
        }
        let places = try list.split(separator: ",").map { word in
            // As etcdctl's endpoints are written, too.
            let place = word.trimmingPrefix { $0 == " " }.trimmingPrefix("http://")
            do { return try HostPort(reading: place) } catch {
                throw UsageError("\(arguments.description.name): --server: \(error)")
            }
        }
        if places.isEmpty { throw UsageError("\(arguments.description.name): --server names nobody") }
        return places
    }

    private static func token(_ word: String) throws -> Int64 {
        guard let token = Int64(word), token > 0 else {
            throw UsageError("lock-cli: '\(word)' is no fencing token; acquire says which it is")
        }
        return token
    }

    private static func wish(_ arguments: ParsedArguments) throws -> LockHolding.Wish {
        if arguments.has("shared"), arguments.has("permits") {
            throw UsageError("lock-cli: --shared or --permits, not both")
        }
        var wish = LockHolding.Wish(name: arguments.arguments[0])
        if wish.name.isEmpty { throw UsageError("lock-cli: the lock's name is empty") }
        if let ttl = arguments.duration("ttl") {
            guard ttl >= .seconds(1) else { throw UsageError("lock-cli: --ttl \(ttl): a second at least") }
            wish.ttl = ttl
        }
        wish.words.owner = arguments.text("owner")
        if arguments.has("shared") { wish.words.kind = .shared }
        if let permits = arguments.integer("permits") { wish.words.kind = .permit(of: permits) }
        switch arguments.verb {
        case "try": wish.wait = .zero
        case "acquire": wish.wait = arguments.duration("wait")
        default: break
        }
        return wish
    }
}

/// `lock-cli acquire`, `try`, `elect`: gets it and keeps it.
final class LockHolder: Program {
    private let process: Process
    private let wish: LockHolding.Wish
    private var holding: LockHolding!

    init(_ process: Process, _ client: LockClient, _ wish: LockHolding.Wish) {
        self.process = process
        self.wish = wish
        holding = LockHolding(process.node, client, wish) { [unowned self] in hear($0) }
    }

    func start() { holding.start() }

    func handle(_ signal: Signal) -> Bool {
        guard signal == .terminate || signal == .interrupt || signal == .hangUp else { return false }
        let wasHeld = holding.token != 0
        holding.release { [process] in
            if wasHeld { process.print("Lock released") }
            process.exit(wasHeld ? 0 : 130)
        }
        return true
    }

    private func hear(_ event: LockHolding.Event) {
        switch event {
        case .waiting(let holder, let left):
            process.print("Waiting for lock... (holder: \(printable(holder))\(Self.expiry(left)))")
        case .acquired(let token, let hadToWait):
            process.print("Lock acquired! Fencing token: \(token)\nResource: \(wish.name)")
            if !hadToWait {
                process.print("Expires in: \(wish.ttl)\n(Keep this terminal open to hold lock)")
            }
            process.hold()
        case .gaveUp(let holder, let left):
            let who = holder.map { "it is held by \($0)\(Self.expiry(left))" } ?? "nobody has it at present"
            process.complain("no lock: \(who)")
            process.exit(1)
        case .released: process.exit(0)
        case .lost(let reason):
            process.complain("the lock is lost: \(reason)")
            process.exit(1)
        case .failed(let reason):
            process.complain(reason)
            process.exit(1)
        }
    }

    private static func expiry(_ left: LabDuration?) -> String { left.map { ", expires in \($0)" } ?? "" }
}

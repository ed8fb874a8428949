import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWorld
import LockEngine
import ShellSession

extension LockCommands {
    /// `my-app --lock-token 48`
    static var myApp: Command {
        let description = CommandDescription(
            "my-app", "writes to a database that looks at fencing tokens, or does not", usage: "[FLAGS]",
            flags: [
                .init("lock-token", nil, .integer(1...Int.max), "writes once, with this token"),
                .init("lock", nil, .text("NAME"), "takes this lock itself, and writes as long as it has it"),
                .init("every", nil, .duration(), "between two writes (1s)"),
                .init("ttl", nil, .duration(), "of its lock's lease (10s)"),
                .init("owner", nil, .text("NAME"), "who it is"),
                .init("value", nil, .text("TEXT"), "what it writes (its name)"),
                .init("db", nil, .file, "the database (./app.db)"),
                .init("no-fencing", nil, "the database believes everybody, as most do"),
                serverFlag,
            ],
            examples: ["my-app --lock-token 48", "my-app --lock payment-processor --owner worker-1 &"],
            group: .clients,
            details: """
                With --lock it does what is wrong everywhere: it looks whether it has the lock,
                and then writes. Pause it in between (pause my-app 40s), and it writes with a
                lock that somebody else has by then. The database sees the old token and
                refuses.
                """)
        return Command(description) { invocation in .running(try LockedWriter(invocation)) }
    }
}

/// The database of `my-app`: a file with the last value and the highest token.
struct FencedFile {
    private let session: Session
    private let path: String

    init(_ session: Session, _ path: String) {
        self.session = session
        self.path = session.files.absolute(path)
    }

    /// - Throws: `CommandFailure` if the file is something else, or cannot be written.
    func write(_ value: String, token: Int64, isFencing: Bool) throws -> FencedResource.Verdict {
        var resource = try read()
        resource.isFencing = isFencing
        let verdict = resource.write(value, token: token)
        let json: JSONValue = ["token": .integer(Int(resource.lastToken)), "value": .string(resource.value)]
        try session.files.write(json.bytes() + [10], to: path)
        return verdict
    }

    private func read() throws -> FencedResource {
        guard let bytes = try? session.files.read(path) else { return FencedResource() }
        guard let json = try? JSONValue(parsing: bytes), case .integer(let token)? = json["token"] else {
            throw CommandFailure("\(path) is no database of my-app's; name another with --db")
        }
        return FencedResource(lastToken: Int64(token))
    }
}

/// `my-app` at work.
final class LockedWriter: Program {
    private let process: Process
    private let database: FencedFile
    private let isFencing: Bool
    private let value: String?
    private let every: LabDuration
    private let token: Int64?
    private var holding: LockHolding?
    private var writeCount = 0

    init(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        process = invocation.process
        database = FencedFile(invocation.session, arguments.text("db") ?? "app.db")
        isFencing = !arguments.has("no-fencing")
        value = arguments.text("value")
        every = arguments.duration("every") ?? .seconds(1)
        token = arguments.integer("lock-token").map(Int64.init)
        guard (token == nil) != (arguments.text("lock") == nil) else {
            throw UsageError("my-app: with which lock? add --lock-token 48, or --lock NAME")
        }
        guard let name = arguments.text("lock") else { return }
        var wish = LockHolding.Wish(name: name)
        wish.ttl = arguments.duration("ttl") ?? .seconds(10)
        wish.words.owner = arguments.text("owner")
        let client = LockClient(process.node, servers: try LockCommands.servers(arguments))
        holding = LockHolding(process.node, client, wish) { [unowned self] in hear($0) }
    }

    func start() {
        if let holding { return holding.start() }
        do {
            let isAccepted = try write(token ?? 0)
            process.exit(isAccepted ? 0 : 1)
        } catch {
            process.complain("\(error)")
            process.exit(1)
        }
    }

    func handle(_ signal: Signal) -> Bool {
        guard let holding, signal == .terminate || signal == .interrupt || signal == .hangUp else { return false }
        holding.release { [process] in process.exit(0) }
        return true
    }

    private func hear(_ event: LockHolding.Event) {
        switch event {
        case .waiting(let holder, _): process.print("[APP] Waiting for the lock of \(printable(holder))")
        case .acquired(let token, _):
            process.hold()
            writeAgain(token)
        case .gaveUp: break
        case .released: process.exit(0)
        case .lost(let reason):
            process.print("[APP] Lost the lock: \(reason)")
            process.exit(1)
        case .failed(let reason):
            process.complain(reason)
            process.exit(1)
        }
    }

    /// Looks whether it has the lock, and then, a little later, writes: the order that fencing is for.
    private func writeAgain(_ token: Int64) {
        guard process.isRunning, holding?.isBelievedHeld == true else { return }
        process.node.after(every) { [self] in
            do { _ = try write(token) } catch {
                process.complain("\(error)")
                process.exit(1)
            }
            writeAgain(token)
        }
    }

    /// - Returns: whether it was accepted.
    private func write(_ token: Int64) throws -> Bool {
        guard process.isRunning else { return false }
        process.print("[APP] Writing to database with fencing token \(token)")
        writeCount += 1
        let verdict = try database.write(
            value ?? "\(process.node.name) \(writeCount)", token: token, isFencing: isFencing)
        switch verdict {
        case .accepted(let token, let seen):
            say("Write accepted (token \(token) >= last seen \(seen))")
            return true
        case .refused(let token, let seen):
            say("Write rejected (token \(token) < last seen \(seen))")
            return false
        case .corrupted(let token, let seen):
            say("Write accepted, though token \(token) < last seen \(seen): data corrupted")
            return true
        }
    }

    /// In the log of databases, beside those of the lab's other ones.
    private func say(_ text: String) { process.node.log("DB", "\(text)") }
}

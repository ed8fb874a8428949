import CommandKit
import KernelStructures
import KernelWorld

/// A command that can be typed: what the lab says about it, and what it does.
public struct Command {
    public let description: CommandDescription
    /// - Throws: `UsageError` where the words make no sense together, `CommandFailure` where it could not be done.
    public let body: (Invocation) throws -> Outcome

    public init(_ description: CommandDescription, body: @escaping (Invocation) throws -> Outcome) {
        self.description = description
        self.body = body
    }
}

/// One use of a command.
public struct Invocation {
    /// As it was typed, without its directory.
    public let name: String
    public let arguments: ParsedArguments
    public let process: Process
    public var session: Session { process.session }

    public init(name: String, arguments: ParsedArguments, process: Process) {
        self.name = name
        self.arguments = arguments
        self.process = process
    }
}

/// What a command comes to.
public enum Outcome {
    case done(Int)
    /// Rendered as text, or as JSON with `--json`; status 0.
    case view(View)
    /// Goes on until the program calls `process.exit`.
    case running(any Program)

    public static var success: Outcome { .done(0) }
}

/// A command that takes lab time. Everything it does goes through its process, and ends with it.
public protocol Program: AnyObject {
    func start()
    /// A signal that can be handled arrived. Return false for the default: the end, with 128 plus its number.
    func handle(_ signal: Signal) -> Bool
}

extension Program {
    public func handle(_ signal: Signal) -> Bool { false }
}

/// A program that people look at rather than type into: in the foreground of a terminal the key `q` ends it, as it ends
/// `less` and `top`.
public protocol Watchable: Program {
    /// Whether it shows itself in its terminal now.
    var isLookedAt: Bool { get }
}

/// A program that only waits for jobs which have numbers already: `fg`. Sent to the background, it ends, and they stay
/// what they are.
public protocol JobWaiting: AnyObject {
    var awaitedJob: Job? { get }
}

/// A program that views can ask about itself: `stats`.
public protocol Component: AnyObject {
    /// What it is: `loadbalancer`.
    var kind: String { get }
    var stats: View? { get }
    /// What it looks like inside: `show`.
    var picture: View? { get }
    /// What it has a name for, for completion: those that begin as what is typed, in their order.
    ///
    /// - Parameter limit: how many at most, and how many are looked at, in its own measure.
    func names(of kind: NameKind, beginningWith prefix: String, limit: Int) -> [(name: String, summary: String)]
}

/// What components have names for.
public enum NameKind: Sendable {
    /// What a store keeps values under.
    case key
    /// Paths that requests may ask for.
    case route
}

extension Component {
    public var picture: View? { nil }
    public func names(of kind: NameKind, beginningWith prefix: String, limit: Int) -> [(name: String, summary: String)]
    {
        []
    }
}

/// A command could not be done. The message is complete but for the command's name.
public struct CommandFailure: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    public let status: Int
    public init(_ description: String, status: Int = 1) {
        self.description = description
        self.status = status
    }
}

/// What `kill` can send.
public enum Signal: String, CaseIterable, Sendable {
    case hangUp = "HUP", interrupt = "INT", kill = "KILL", terminate = "TERM", stop = "STOP", `continue` = "CONT"
    case user1 = "USR1", user2 = "USR2"
    /// The machine loses power: as KILL, without a goodbye on any connection, and what was never synced is gone.
    case power = "POWER"

    public var number: Int {
        switch self {
        case .hangUp: 1
        case .interrupt: 2
        case .kill: 9
        case .user1: 10
        case .user2: 12
        case .terminate: 15
        case .continue: 18
        case .stop: 19
        case .power: 30
        }
    }

    /// Reads `9`, `KILL`, `SIGKILL`, in either case.
    public init?(parsing text: some StringProtocol) {
        let name = text.uppercased()
        let short = name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name
        guard let found = Self.allCases.first(where: { $0.rawValue == short || String($0.number) == short }) else {
            return nil
        }
        self = found
    }
}

/// The commands by name: source of `help`, completion and did-you-mean.
public struct CommandTable {
    public let commands: [Command]
    private let byName: [String: Int]

    public init(_ commands: [Command]) {
        self.commands = commands
        var byName: [String: Int] = [:]
        for (index, command) in commands.enumerated() {
            precondition(
                byName.updateValue(index, forKey: command.description.name) == nil, "\(command.description.name) twice")
        }
        self.byName = byName
    }

    /// Finds a command by the last component of what was typed: `./backend` is `backend`.
    public subscript(word: String) -> Command? {
        let base = word.split(separator: "/").last.map(String.init) ?? word
        return byName[base].map { commands[$0] }
    }

    public var names: [String] { commands.map(\.description.name) }

    public func unknown(_ word: String) -> String {
        if word.hasPrefix("@") {
            return "'\(word)' is a directive, which stands in transcripts and not at the prompt; see help transcripts"
        }
        let base = word.split(separator: "/").last.map(String.init) ?? word
        if let ours = Self.otherShells[base] {
            return "'\(base)' is not known here" + (ours.isEmpty ? "" : ": \(ours)")
        }
        return "unknown command '\(printable(word))'\(didYouMean(base, among: names))"
    }

    /// What hands that come from another shell may type, and what it is called here.
    private static let otherShells = [
        "ps": "jobs lists what was started, nodes the nodes",
        "fmt": "fold -s -w N breaks lines at blanks",
        "tsort": "", "dos2unix": "tr -d '\\r' does that",
        "perl": "awk and sed are here", "python3": "awk and jq are here", "python": "awk and jq are here",
        "wget": "curl -O URL", "nc": "curl, redis-cli and the clients of the components", "ln": "cp copies a file",
        "chmod": "files have no modes here", "chown": "files have no owners here", "stat": "ls -l and wc -c FILE",
        "file": "xxd FILE | head", "zip": "", "gzip": "", "tar": "",
        "sudo": "leave it out",
        "hostname": "nodes lists the lab's names", "whoami": "", "id": "", "uname": "", "nohup": "end the command in &",
        "--": "-- NAME -- begins a file at the end of a transcript; elsewhere cat > NAME <<END writes one",
        "run": "source FILE runs a script here; outside it is sdlab run FILE", "hint": "in a tour, tour hint",
        "next": "in a tour, tour next; elsewhere nothing goes on by itself", "watchexec": "watch 1s COMMAND",
        "bc": "$((…)), expr and awk compute",
        "man": "help NAME shows a command's page", "less": "help has no pager: CHAPTER and NAME make it short",
        "more": "help has no pager: CHAPTER and NAME make it short",
        "systemctl": "start, kill, restart and nodes do that",
        "killall": "kill NODE, or reset for all of them", "ping": "curl asks a node, topo shows who talks to whom",
        "nano": "the lab's files are written by cat > FILE <<END, or put from the host",
        "vi": "the lab's files are written by cat > FILE <<END, or put from the host",
        "vim": "the lab's files are written by cat > FILE <<END, or put from the host",
    ]

    /// All tags of log lines.
    public var tags: [String] {
        commands.flatMap(\.description.tags).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}

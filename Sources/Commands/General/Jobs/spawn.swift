import CommandKit
import KernelStructures
import ShellLanguage
import ShellSession

extension GeneralCommands {
    /// `spawn 3 backend --port 8081`: several services at once.
    static var spawn: Command {
        let description = CommandDescription(
            "spawn", "starts services in the background; ends when they are ready",
            usage: "[COUNT] COMMAND [FLAGS]", arguments: .init([.command], 1...1000, isRaw: true),
            examples: [
                "spawn 3 backend --port 8081", "spawn 2 backend --port 9001 --name web",
                "spawn loadbalancer --config lb.yaml --port 80",
            ],
            group: .jobs,
            details: "With a COUNT, --port counts up and --name gets -1, -2 …; 1000 at most.")
        return Command(description) { invocation in
            var words = invocation.arguments.arguments
            var count: Int?
            if let number = Int(words[0]) {
                guard (1...1000).contains(number) else {
                    throw UsageError("spawn: '\(words[0])' is not a count of 1 to 1000")
                }
                count = number
                words.removeFirst()
            }
            let session = invocation.session
            guard let name = words.first, let command = session.commands[name] else {
                throw UsageError(
                    "spawn: \(words.first.map(session.commands.unknown) ?? "what? spawn 3 backend --port 8081")")
            }
            // Mistakes are found before the first of them runs.
            _ = try ParsedArguments(words.dropFirst(), for: command.description)
            guard command.description.role == .service else {
                throw UsageError("spawn: \(name) is no service; see help for the components")
            }
            let lines = try (0..<(count ?? 1)).map { index in
                try count == nil ? words : numbered(words, index, command.description.name)
            }
            return .running(Spawning(invocation.process, lines))
        }
    }

    /// The words for the `index`-th of several, from 0.
    private static func numbered(_ words: [String], _ index: Int, _ command: String) throws -> [String] {
        var result = words
        var isNamed = false
        for position in result.indices.dropFirst() {
            let previous = result[position - 1]
            if previous == "--port" || previous == "-p", let port = Int(result[position]) {
                guard port + index <= 65_535 else { throw UsageError("spawn: the ports would go beyond 65535") }
                result[position] = String(port + index)
            } else if previous == "--name" || previous == "-n" {
                result[position] += "-\(index + 1)"
                isNamed = true
            }
        }
        return isNamed ? result : result + ["--name", "\(command)-\(index + 1)"]
    }

    private final class Spawning: Program {
        private let process: Process
        private let lines: [[String]]
        private var pending: Int
        private var failed = false

        init(_ process: Process, _ lines: [[String]]) {
            self.process = process
            self.lines = lines
            pending = lines.count
        }

        func start() {
            for words in lines {
                guard let job = process.session.startService(words, for: process.submission) else {
                    return process.exit(1)
                }
                job.whenReadyOrFinished { [self] status in
                    if status != nil { failed = true }
                    pending -= 1
                    if pending == 0 { process.exit(failed ? 1 : 0) }
                }
            }
        }
    }

    /// Starts a dead node's command again, under its old name and address.
    static var restart: Command {
        let description = CommandDescription(
            "restart", "starts a node that has ended again, at its old address", usage: "NODE…",
            arguments: .init([.node], 1...100), examples: ["restart Server-B"], group: .jobs)
        return Command(description) { invocation in
            let session = invocation.session
            let lines = try invocation.arguments.arguments.map { name -> [String] in
                guard let node = session.node(meantBy: name) else {
                    let names = session.world.nodes.allServices.map(\.name)
                    throw CommandFailure("no node '\(name)'\(didYouMean(name, among: names))")
                }
                if node.isAlive {
                    throw CommandFailure("\(node.name) is \(node.state.rawValue); stop it first: kill \(node.name)")
                }
                guard let words = session.commandLine(ofNode: node.name) else {
                    throw CommandFailure("nobody remembers how \(node.name) was started")
                }
                return words
            }
            return .running(Spawning(invocation.process, lines))
        }
    }
}

import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    /// `watch 1s pool`
    static var watch: Command {
        let description = CommandDescription(
            "watch", "shows a view again and again", usage: "[[COUNT] TIME] VIEW [WORDS]",
            arguments: .init([.duration, .command], 1...1000, isRaw: true),
            examples: ["watch 1s pool", "watch top", "watch 10 500ms stats lb", "watch 5 pool --glyphs ascii"],
            group: .views,
            details: """
                TIME is a second unless it is said. On a terminal the view is repainted in its
                place, unless something else was shown meanwhile, until q, Ctrl-C or a COUNT;
                in the background it is not; elsewhere one follows the other.
                Under virtual time it is the lab's clock that counts: each view shows the lab
                TIME later.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments[...]
            var count: Int?
            if let number = Int(words.first!), words.count > 2, LabDuration(parsing: words.dropFirst().first!) != nil {
                guard number > 0 else { throw UsageError("watch: '\(number)' is not a count of 1 or more") }
                count = number
                words.removeFirst()
            }
            let session = invocation.session
            let interval = try takeInterval(&words, session.commands)
            guard let command = session.commands[words.first!] else {
                throw UsageError("watch: \(session.commands.unknown(words.first!))")
            }
            // Of other commands nobody knows what doing them again and again would do.
            guard command.description.role == .view, command.description.name != "watch" else {
                let views = session.commands.commands.map(\.description).filter { $0.role == .view }.map(\.name)
                throw UsageError(
                    "watch: \(words.first!) is no view; \(views.filter { $0 != "watch" }.joined(separator: ", "))")
            }
            let arguments = try ParsedArguments(words.dropFirst(), for: command.description)
            if arguments.wantsHelp { throw UsageError("watch: help \(command.description.name) shows its page") }
            let process = invocation.process
            if count == nil, session.repaints, process.writesToTerminal, process.isInForeground {
                session.notice("every \(interval), until q or Ctrl-C")
            }
            return .running(Watching(process, command, arguments, interval, count: count))
        }
    }

    /// The time before the view, which may be left out.
    private static func takeInterval(
        _ words: inout ArraySlice<String>, _ commands: CommandTable
    ) throws(UsageError) -> LabDuration {
        let word = words.first!
        guard let interval = LabDuration(parsing: word, bareUnit: .seconds(1)) else {
            if commands[word] != nil { return .seconds(1) }
            throw UsageError(
                "watch: '\(word)' is neither a time such as 1s or 500ms nor a view; watch 1s top"
            )
        }
        guard interval > .zero else { throw UsageError("watch: '\(word)' is too short: it must be longer than 0s") }
        words.removeFirst()
        guard !words.isEmpty else { throw UsageError("watch: what is to be watched? watch \(word) top") }
        return interval
    }

    private final class Watching: Watchable {
        private let process: Process
        private let command: Command
        private let arguments: ParsedArguments
        private let interval: LabDuration
        private var remaining: Int?
        private let painter: Painter

        init(
            _ process: Process, _ command: Command, _ arguments: ParsedArguments, _ interval: LabDuration, count: Int?
        ) {
            self.process = process
            self.command = command
            self.arguments = arguments
            self.interval = interval
            remaining = count
            painter = Painter(process)
        }

        var isLookedAt: Bool { painter.repaints }

        func start() {
            do {
                let invocation = Invocation(name: command.description.name, arguments: arguments, process: process)
                guard case .view(let view) = try command.body(invocation) else { return process.exit(0) }
                painter.paint(
                    process.text(of: view, for: arguments), apart: !arguments.wantsJSON)
            } catch {
                process.complain("\(command.description.name): \(error)")
                return process.exit((error as? CommandFailure)?.status ?? 1)
            }
            if let remaining { self.remaining = remaining - 1 }
            if remaining == 0 { return process.exit(0) }
            process.node.after(interval) { [weak self] in self?.start() }
        }
    }
}

/// Puts each text in the place of the one before.
private final class Painter {
    private let process: Process
    /// Lines of the last text, and what the session had shown by then.
    private var last: (lines: Int, shown: Int)?

    init(_ process: Process) { self.process = process }

    /// In a pipe or a file nothing can be taken back; in the background it would be somebody else's lines.
    var repaints: Bool { process.session.repaints && process.writesToTerminal && process.isInForeground }

    /// - Parameter apart: whether an empty line is to stand between two texts that follow each other.
    func paint(_ text: String, apart: Bool) {
        let session = process.session
        // What was sent to the background would write between the lines that somebody types.
        if session.repaints, process.writesToTerminal, !process.isInForeground { return }
        let prefix =
            if let last, repaints, last.shown == session.shownCount {
                "\u{1B}[\(last.lines)A\u{1B}[0J"
            } else {
                last != nil && apart ? "\n" : ""
            }
        process.output.write(prefix + text)
        last = (rows(of: text, session.renderer.columns), session.shownCount)
    }

    /// A line wider than the terminal takes several rows.
    private func rows(of text: String, _ columns: Int) -> Int {
        text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            .reduce(0) { $0 + max(1, (displayWidth(String($1)) + columns - 1) / max(1, columns)) }
    }
}

import CommandKit
import Commands
import GeneralCommands
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage
import ShellSession

/// The command line of sdlab: decides what is wanted and has it done.
struct Launcher {
    let words: [String]
    private let output = HostOutput()

    static let version = "0.1.0"

    init(words: [String]) { self.words = words }

    /// Does it and returns the exit status.
    func run() -> Int {
        HostLimits.raiseDescriptors()
        do {
            let status = try dispatch()
            // What was to be seen was not: no success, whatever the commands say.
            guard let failure = output.failure else { return status }
            return complain("standard output: \(failure)", status: max(status, 1))
        } catch let error as UsageError {
            return complain(error.text, status: 2)
        } catch {
            return complain("\(error)", status: 1)
        }
    }

    private func complain(_ text: String, status: Int) -> Int {
        // What a description says about its own words begins with its name already.
        let sentence = printable(text.hasPrefix("sdlab: ") ? text : "sdlab: \(text)", keeping: "\n\t")
        output.write(sentence + "\n", isError: true)
        return status
    }

    private func dispatch() throws -> Int {
        let (leading, verb, rest) = split()
        switch verb {
        case nil: return try shell(ParsedArguments(leading, for: Invocations.shell))
        case "run"? where asksForHelp(RunCommand.split(rest).own): return showPage(Invocations.run)
        case "test"? where asksForHelp(rest): return showPage(Invocations.test)
        case "run"?:
            let (own, forScripts) = RunCommand.split(rest)
            let arguments = try ParsedArguments(leading + own, for: Invocations.run)
            return try RunCommand(arguments, output, words: forScripts).run()
        case "test"?: return try TestCommand(ParsedArguments(leading + rest, for: Invocations.test), output).run()
        case "help"?:
            let line = (["help"] + rest).map(ShellQuoting.singleQuoted).joined(separator: " ")
            return try ScriptRun(LabOptions(), StyleChoice(nil).usesColor, output).run(line, name: nil)
        case let tool?:
            guard Catalog.table[tool] != nil else {
                // A script by itself, as the first line of an executable one has it: `#!/usr/bin/env sdlab`.
                if HostFile.exists(tool), !HostFile.isDirectory(tool) {
                    let arguments = try ParsedArguments(leading, for: Invocations.shell)
                    return try RunCommand(arguments, output, words: rest).run(file: tool)
                }
                let names = ["run", "test", "help"] + Catalog.table.names
                throw UsageError(
                    "'\(tool)' is none of run, test, help and no tool\(didYouMean(tool, among: names)); see sdlab --help"
                )
            }
            _ = try ParsedArguments(leading, for: Invocations.shell)
            // Experiments with programs of the machine: in namespaces that this process makes for itself.
            if tool == "chaos-runner", rest.contains("--host"), !HostNamespaces.isInside {
                throw CommandFailure("\(tool): no namespaces can be had here: \(HostNamespaces.enter())")
            }
            let lab = try ProcessLab(
                bind: try bindAddress(rest), sharesPorts: rest.contains("--reuse-port"),
                directory: HostLimits.currentDirectory)
            return lab.run([tool] + rest)
        }
    }

    private func asksForHelp(_ words: [String]) -> Bool { words.contains("--help") || words.contains("-h") }

    private func showPage(_ description: CommandDescription) -> Int {
        let renderer = ViewRenderer(columns: HostLimits.terminalColumns ?? 80)
        output.write(renderer.plain(GeneralCommands.page(description)))
        return 0
    }

    /// The flags before the verb, the verb, and what follows it.
    private func split() -> (leading: [String], verb: String?, rest: [String]) {
        var leading: [String] = []
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word != "-" else { return (leading, word, Array(rest)) }
            leading.append(word)
            let takesValue =
                word.hasPrefix("--")
                ? Invocations.shell.flag(named: String(word.dropFirst(2))).map { $0.value != .none } ?? false
                : word.dropFirst().last == "c"
            if takesValue, let value = rest.popFirst() { leading.append(value) }
        }
        return (leading, nil, [])
    }

    private func bindAddress(_ words: [String]) throws(UsageError) -> IPAddress {
        guard let index = words.firstIndex(where: { $0 == "--bind" || $0.hasPrefix("--bind=") }) else {
            return .loopback
        }
        let text = words[index] == "--bind" ? words.dropFirst(index + 1).first ?? "" : String(words[index].dropFirst(7))
        do throws(HostPort.Malformed) {
            let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
            let isIPv6 = isBracketed || text.contains(":")
            let address =
                isIPv6
                ? try HostPort.address(inBrackets: isBracketed ? String(text.dropFirst().dropLast()) : text) : text
            if let address = IPAddress(parsing: address) { return address }
        } catch {
            throw UsageError("--bind: \(error)")
        }
        throw UsageError("--bind: '\(text)' is not an address such as 127.0.0.1, 0.0.0.0, ::1 or ::")
    }

    private func shell(_ arguments: ParsedArguments) throws -> Int {
        if arguments.has("help") { return showPage(Invocations.shell) }
        if arguments.has("version") {
            output.write("sdlab \(Self.version)\n")
            return 0
        }
        let style = StyleChoice(arguments.text("color"))
        if let line = arguments.text("command") {
            return try script(arguments, style).run(line, name: "-c")
        }
        guard HostLimits.isStandardInputTerminal, HostLimits.isStandardOutputTerminal else {
            let text = try RunCommand.text(of: "-")
            return try RunCommand(arguments, output).run(text, name: "standard input")
        }
        return try PromptRun(arguments, style, output).run()
    }

    private func script(_ arguments: ParsedArguments, _ style: StyleChoice) throws -> ScriptRun {
        var run = ScriptRun(try LabOptions(arguments), style.usesColor, output)
        run.keepsGoing = arguments.has("keep-going")
        // Who types a line means it.
        run.allowsHost = true
        return run
    }
}

/// Whether to use colours.
struct StyleChoice {
    let usesColor: Bool

    init(_ choice: String?) {
        switch choice {
        case "always": usesColor = true
        case "never": usesColor = false
        default:
            let forbids = HostLimits.environment("NO_COLOR").map { !$0.isEmpty } ?? false
            usesColor = !forbids && HostLimits.isStandardOutputTerminal && HostLimits.environment("TERM") != "dumb"
        }
    }
}

extension LabOptions {
    /// From the flags that every way of running shares.
    init(_ arguments: ParsedArguments) throws(UsageError) {
        self.init()
        if let net = arguments.text("net") { self.net = Net(rawValue: net)! }
        if let seed = arguments.integer("seed") { self.seed = UInt64(seed) }
        if arguments.description.flag(named: "root") != nil { root = arguments.text("root") }
        if let word = arguments.text("clock") {
            guard let speed = ClockSpeed(parsing: word) else {
                throw UsageError("--clock: '\(word)' is not a speed; virtual, real, or x60 for sixty times as fast")
            }
            self.speed = speed
        }
        if arguments.description.flag(named: "epoch") != nil, let word = arguments.text("epoch") {
            guard let time = word == "now" ? Self.hostTime : LabTime(parsing: word) else {
                throw UsageError("--epoch: '\(word)' is neither now nor a time such as 2023-12-20T15:00:00Z")
            }
            epoch = time
        }
        try checkSpeed()
    }

    /// - Throws: where the clock is to run faster than the lab's connections can.
    func checkSpeed() throws(UsageError) {
        guard net == .loopback, speed != speed.limitedBySockets else { return }
        throw UsageError(
            "--clock: real sockets cannot follow \(speed); \(ClockSpeed.socketLimit) at most, or --net memory")
    }
}

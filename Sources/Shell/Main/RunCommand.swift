import CommandKit
import Commands
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
import ShellSession
import ShellTranscripts

/// `sdlab run FILE…`: executes and prints, like the recording of a terminal.
struct RunCommand {
    private let arguments: ParsedArguments
    private let output: HostOutput
    /// What a script finds in `$1`, `$2` and so on.
    private let words: [String]

    init(_ arguments: ParsedArguments, _ output: HostOutput, words: [String] = []) {
        self.arguments = arguments
        self.output = output
        self.words = words
    }

    /// Separates what is meant for the scripts, behind a `--` that follows a file, from the rest.
    static func split(_ words: [String]) -> (own: [String], forScripts: [String]) {
        guard let index = words.firstIndex(of: "--"),
            words[..<index].contains(where: { !$0.hasPrefix("-") || $0 == "-" })
        else {
            return (words, [])
        }
        return (Array(words[..<index]), Array(words[(index + 1)...]))
    }

    private var allowsHost: Bool { arguments.has("allow-host") }

    /// Runs the files one after the other; the status is that of the first that failed.
    func run() throws -> Int {
        var first = 0
        for file in arguments.arguments {
            let status = try run(file: file)
            if first == 0 { first = status }
        }
        return first
    }

    /// Runs one file; `-` is standard input.
    func run(file: String) throws -> Int {
        try run(Self.text(of: file), name: file, scriptName: file == "-" ? nil : file)
    }

    /// Runs one text: a transcript if any line begins with `$ `, otherwise a script of commands.
    ///
    /// - Parameter scriptName: what `$0` is; nil if it has no file.
    func run(_ text: String, name: String, scriptName: String? = nil) throws -> Int {
        let style = StyleChoice(arguments.text("color"))
        if Transcript.isTranscript(text) {
            guard words.isEmpty else { throw UsageError("\(name) is a transcript: only scripts take words such as $1") }
            return try play(text, name, style)
        }
        var run = ScriptRun(try LabOptions(arguments), style.usesColor, output)
        if let scriptName { run.scriptName = scriptName }
        run.words = words
        run.keepsGoing = arguments.has("keep-going")
        run.allowsHost = allowsHost
        return try run.run(text, name: name)
    }

    private func play(_ text: String, _ name: String, _ style: StyleChoice) throws -> Int {
        let transcript: Transcript
        do {
            transcript = try TranscriptParser.parse(text, name: name, tags: Catalog.table.tags) {
                try Self.text(of: $0)
            }
        } catch {
            output.write("sdlab: \(error)\n", isError: true)
            return 2
        }
        let wanted = arguments.description.flag(named: "case") == nil ? nil : arguments.text("case")
        let cases = transcript.cases.filter { wanted == nil || $0.name == wanted }
        if cases.isEmpty { throw UsageError("\(name): no case '\(wanted ?? "")'") }
        var status = 0
        var skipCount = 0
        for (index, one) in cases.enumerated() {
            if cases.count > 1 { output.write("\(index == 0 ? "" : "\n")## \(one.name)\n\n") }
            switch try play(one, style) {
            case 0: break
            case Self.skipped: skipCount += 1
            default: status = 1
            }
        }
        return status == 0 && skipCount == cases.count ? Self.skipped : status
    }

    private static let skipped = 80

    /// Each case has a lab of its own, as under `test`, and what passes there passes here; but it may use the host, if
    /// it is allowed to.
    private func play(_ transcriptCase: TranscriptCase, _ style: StyleChoice) throws -> Int {
        var options = try LabOptions(arguments)
        options.watchesHost = true
        options.keepsSamples = true
        options.adopt(transcriptCase.settings, unlessIn: arguments)
        if let reason = TestRun.reasonToSkip(transcriptCase, net: options.net, speed: options.speed) {
            output.write("sdlab: \(transcriptCase.name) is skipped: \(reason)\n", isError: true)
            return Self.skipped
        }
        let lab = try Lab(options)
        for file in transcriptCase.files { try lab.session.files.place(Array(file.text.utf8), at: file.path) }
        let session = lab.session
        session.hasNoKeyboard = false
        session.renderer.usesColor = style.usesColor
        if allowsHost, let poller = lab.poller { HostBridge(poller).connect(session) }
        let playback = Playback(EventText(usesColor: style.usesColor), output)
        session.observer = playback.show
        let pace: Pace = options.speed == .virtual ? .stepping : .clock
        return playback.run(transcriptCase, in: session, pace: pace) { output.hasNoReader }
            ? 0 : session.exitStatus ?? 1
    }

    static func text(of file: String) throws(UsageError) -> String {
        do { return try ScriptText.read(file) } catch { throw UsageError("\(error)") }
    }
}

extension LabOptions {
    /// What a case says about itself counts where the command line says nothing.
    mutating func adopt(_ settings: CaseSettings, unlessIn arguments: ParsedArguments) {
        if arguments.text("net") == nil, let net = settings.net { self.net = net }
        if arguments.text("clock") == nil { speed = settings.speed }
        if arguments.text("seed") == nil { seed = settings.seed }
        if arguments.text("epoch") == nil { epoch = settings.epoch }
    }
}

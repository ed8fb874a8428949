import CommandKit
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
import ShellPrompt
import ShellSession
import ShellTranscripts

/// `sdlab` on a terminal: the prompt, around a lab on real sockets that follows the host's clock.
struct PromptRun {
    private let arguments: ParsedArguments
    private let style: StyleChoice
    private let output: HostOutput

    init(_ arguments: ParsedArguments, _ style: StyleChoice, _ output: HostOutput) {
        self.arguments = arguments
        self.style = style
        self.output = output
    }

    func run() throws -> Int {
        let lab = try labOptions()
        let prompt = try makePrompt(lab)
        var recorder: Recorder?
        prompt.onSession = { recorder = Recorder($0, options: lab) }
        prompt.onSessionEnd = { [unowned prompt] in
            if let report = recorder?.finish() { prompt.show(report + "\n") }
        }
        prompt.runTranscript = { [unowned prompt] in play($0, at: prompt) }
        return withExtendedLifetime(recorder) { prompt.run() }
    }

    /// A pasted transcript: its commands run in the live lab, its printed lines are waits, and time steps from one
    /// event to the next, so that nobody sits through it.
    private func play(_ text: String, at prompt: Prompt) {
        let session = prompt.session
        let transcript: Transcript
        do {
            transcript = try TranscriptParser.parse(
                text, name: "pasted", tags: session.commands.tags, isPasted: true,
                loader: TranscriptParser.refuseIncludes)
        } catch {
            return prompt.complain("\(error)")
        }
        let speed = session.world.chosenSpeed
        session.world.setSpeed(.virtual)
        for one in transcript.cases {
            let runner = CaseRunner(one, session: session, mode: .play, pace: .stepping)
            runner.onLine = { [unowned prompt] in prompt.show($0 + "\n") }
            runner.onFailure = { [unowned prompt] failure in
                let expected = failure.expected.map { ": expected '\($0)'" } ?? ""
                prompt.complain("line \(failure.place.line): \(failure.message)\(expected)")
            }
            runner.isInterrupted = { session.isInterrupted }
            _ = runner.run()
        }
        // A pasted `clock` command has the last word.
        if session.world.chosenSpeed == .virtual { session.world.setSpeed(speed) }
    }

    private func makePrompt(_ lab: LabOptions) throws -> Prompt {
        let options = promptOptions(lab)
        do {
            return try Prompt(options, poller: try Poller()) { try Lab(lab, poller: $0) }
        } catch let error as NetworkError where lab.net == .loopback {
            throw UsageError(
                "no lab on loopback sockets: \(error); sdlab --net memory needs none, but nothing outside reaches it")
        }
    }

    private func labOptions() throws -> LabOptions {
        var options = try LabOptions(arguments)
        if arguments.text("net") == nil { options.net = .loopback }
        if arguments.text("clock") == nil { options.speed = .real }
        options.exposesLocalhost = true
        options.watchesHost = true
        options.keepsSamples = true
        options.authorityDirectory = LabOptions.homeAuthorityDirectory
        return options
    }

    private func promptOptions(_ lab: LabOptions) -> Prompt.Options {
        var options = Prompt.Options()
        let home = HostLimits.environment("HOME")
        let terminal = HostLimits.environment("TERM") ?? ""
        options.canEdit = terminal != "dumb" && !terminal.isEmpty
        options.usesColor = style.usesColor
        options.historyFile = HostLimits.environment("SDLAB_HISTORY") ?? home.map { $0 + "/.sdlab_history" }
        if options.historyFile?.isEmpty == true { options.historyFile = nil }
        options.startupFile = arguments.has("no-rc") ? nil : home.map { $0 + "/.sdlabrc" }
        options.greeting = [
            "sdlab \(Launcher.version), a system design lab. help lists its commands; Tab completes.",
            "Ctrl-C interrupts; exit or Ctrl-D leaves"
                + (lab.root.map { ", and the lab's files stay in \($0)." } ?? " and ends the lab."),
        ]
        return options
    }
}

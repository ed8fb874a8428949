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
        let next = NextLab(lab)
        let poller = try Poller()
        let prompt = try makePrompt(next, poller)
        let tours = PromptTours(prompt, lab: lab, usesColor: style.usesColor, progressFile: Self.tourFile)
        next.tours = tours
        let travel = PromptTravel(prompt, poller: poller, repaints: prompt.repaints, output)
        travel.isElsewhere = { [unowned tours] in tours.isUnderWay }
        next.travel = travel
        prompt.onLine = { [unowned tours] in tours.takes($0) }
        prompt.beforePrompt = { [unowned tours, unowned travel] in
            tours.beforePrompt()
            travel.beforePrompt()
        }
        var recorder: Recorder?
        prompt.onSession = { [unowned tours, unowned travel] in
            $0.tourGuide = tours
            $0.traveller = travel
            $0.inputs.isKept = true
            recorder = Recorder($0, options: next.options)
        }
        prompt.onSessionEnd = { [unowned prompt] in
            if let report = recorder?.finish() { prompt.show(report + "\n") }
        }
        prompt.runTranscript = { [unowned prompt] in play($0, at: prompt) }
        return withExtendedLifetime((recorder, tours, travel)) { prompt.run() }
    }

    /// How the next lab is made: a tour's, or the user's own.
    private final class NextLab {
        private let own: LabOptions
        weak var tours: PromptTours?
        weak var travel: PromptTravel?
        init(_ own: LabOptions) { self.own = own }
        var options: LabOptions { tours?.lab ?? own }
    }

    private static var tourFile: String? { HostLimits.environment("HOME").map { $0 + "/.sdlab_tours" } }

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
        if speed != .virtual {
            session.notice("the clock steps from event to event while what was pasted runs, then it is \(speed) again")
        }
        session.world.setSpeed(.virtual)
        var differences: [CaseFailure] = []
        for one in transcript.cases {
            let runner = CaseRunner(one, session: session, mode: .play, pace: .stepping)
            runner.onLine = { [unowned prompt] in prompt.show($0 + "\n") }
            runner.onFailure = { differences.append($0) }
            runner.isInterrupted = { session.isInterrupted }
            _ = runner.run()
        }
        show(differences, of: text, at: prompt)
        // A pasted `clock` command has the last word.
        if session.world.chosenSpeed == .virtual { session.world.setSpeed(speed) }
    }

    /// What came out differently from what was pasted, once, at its end: new times, ports and identifiers are no
    /// difference.
    private func show(_ failures: [CaseFailure], of text: String, at prompt: Prompt) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let rows = failures.compactMap { failure -> [View.Cell]? in
            let index = failure.place.line - 1
            let documented = failure.expected ?? (lines.indices.contains(index) ? String(lines[index]) : "")
            let seen = failure.seen ?? failure.nearest
            if let seen, failure.expected != nil, DocumentedLine.isAlike(documented, seen) { return nil }
            return [.integer(failure.place.line), .text(documented), .text(seen ?? failure.message)]
        }
        guard !rows.isEmpty else { return }
        let limit = 40
        let table = View.Table(
            [
                .init("LINE", key: "line", right: true), .init("DOCUMENTED", key: "documented", flexible: true),
                .init("HERE", key: "here", flexible: true),
            ], rows: Array(rows.prefix(limit)), whenEmpty: "")
        prompt.show("\nWhat differs from what was pasted:\n" + prompt.session.renderer.plain(View(.table(table))))
        if rows.count > limit { prompt.show("and \(rows.count - limit) more\n") }
    }

    private func makePrompt(_ next: NextLab, _ poller: Poller) throws -> Prompt {
        let lab = next.options
        let options = promptOptions(lab)
        do {
            return try Prompt(options, poller: poller) { poller in
                next.travel?.forgetAll()
                return try Lab(next.options, poller: poller)
            }
        } catch let error as NetworkError where lab.net == .loopback {
            throw UsageError(
                "no lab on loopback sockets: \(error); sdlab --net memory needs none, but nothing outside reaches it")
        }
    }

    private func labOptions() throws -> LabOptions {
        var options = try LabOptions(arguments)
        if arguments.text("net") == nil { options.net = .loopback }
        if arguments.text("clock") == nil { options.speed = .real }
        try options.checkSpeed()
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
        options.canEdit =
            terminal != "dumb" && !terminal.isEmpty && HostLimits.terminalCells <= HostLimits.editableCells
        options.usesColor = style.usesColor
        options.historyFile = HostLimits.environment("SDLAB_HISTORY") ?? home.map { $0 + "/.sdlab_history" }
        if options.historyFile?.isEmpty == true { options.historyFile = nil }
        options.startupFile = arguments.has("no-rc") ? nil : home.map { $0 + "/.sdlabrc" }
        options.greeting = [
            "sdlab \(Launcher.version), a system design lab. New here? Type tour, or help.",
            "Tab completes, Ctrl-C interrupts; exit or Ctrl-D leaves"
                + (lab.root.map { ", and the lab's files stay in \($0)." } ?? " and ends the lab."),
        ]
        return options
    }
}

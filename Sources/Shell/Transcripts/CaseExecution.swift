import KernelStructures
import KernelWorld
import ShellLab
import ShellSession

/// What the command line says about how cases are run; it overrides what their files say.
public struct TestOptions: Sendable {
    public var net: LabOptions.Net?
    public var speed: ClockSpeed?
    public var seed: UInt64?
    /// Seeds to run each case with, counting up from its own.
    public var seedCount = 1
    /// Only the case of this name.
    public var caseName: String?
    public var keepsJournal = false
    /// See `CaseRunner.looksAhead`.
    var looksAhead = false

    public init() {}
}

/// What became of one case with one seed.
public struct CaseResult: Sendable {
    public enum Outcome: Sendable {
        case passed
        case failed(CaseFailure)
        case skipped(String)
    }

    public let file: String
    public let name: String
    public let seed: UInt64
    public let net: LabOptions.Net
    public let covers: [String]
    public let outcome: Outcome
    /// Lab time that the case took.
    public let elapsed: LabDuration
    /// Everything that happened, one event a line, if that was asked for.
    public let journal: String
}

/// Runs one case in a world of its own.
package enum CaseExecution {
    package static func run(
        _ transcriptCase: TranscriptCase, file: String, seed: UInt64, options: TestOptions
    ) -> CaseResult {
        let settings = transcriptCase.settings
        var lab = LabOptions()
        lab.net = options.net ?? settings.net ?? .memory
        lab.speed = options.speed ?? settings.speed
        lab.epoch = settings.epoch
        lab.seed = seed
        // As under `run` and at the prompt: what passes there passes here.
        lab.keepsSamples = true
        func result(_ outcome: CaseResult.Outcome, _ elapsed: LabDuration = .zero, _ journal: String = "") -> CaseResult
        {
            CaseResult(
                file: file, name: transcriptCase.name, seed: seed, net: lab.net, covers: settings.covers,
                outcome: outcome,
                elapsed: elapsed, journal: journal)
        }
        if let reason = CaseConditions.reasonToSkip(settings, net: lab.net, speed: lab.speed) {
            return result(.skipped(reason))
        }
        let made: Lab
        do {
            made = try Lab(lab)
            for file in transcriptCase.files { try made.session.files.place(Array(file.text.utf8), at: file.path) }
        } catch {
            return result(.failed(CaseFailure(transcriptCase.place, "the lab could not be set up: \(error)")))
        }
        // A script has nobody who types, as under `run`.
        made.session.hasNoKeyboard = settings.stopsAtFailure
        let runner = CaseRunner(
            transcriptCase, session: made.session, mode: .check, pace: lab.speed == .virtual ? .stepping : .clock)
        runner.looksAhead = options.looksAhead
        let failure = runner.run()
        let journal = options.keepsJournal ? made.world.journal.text : ""
        return result(failure.map { .failed($0) } ?? .passed, made.world.elapsed, journal)
    }

    /// The first case of a transcript that fails, each with one seed, and why.
    ///
    /// - Parameter isLeftOut: asked for each case's name.
    static func firstFailure(
        in transcript: Transcript, options: TestOptions, except isLeftOut: (String) -> Bool = { _ in false }
    ) -> (name: String, failure: CaseFailure)? {
        for one in transcript.cases where options.caseName == nil || one.name == options.caseName {
            if isLeftOut(one.name) { continue }
            let result = run(one, file: transcript.name, seed: options.seed ?? one.settings.seed, options: options)
            if let failure = result.failure { return (one.name, failure) }
        }
        return nil
    }
}

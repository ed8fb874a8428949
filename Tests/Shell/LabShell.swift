import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage
import ShellSession

/// A lab with nobody at it: scripts go in, and what they wrote comes out.
///
/// Memory transport, virtual clock, no host, no keyboard: nothing depends on the machine that runs the tests.
final class LabShell {
    let lab: Lab
    var session: Session { lab.session }
    var world: World { lab.world }
    private var heard = Outcome()
    private(set) var jobEvents: [String] = []

    /// What a script came to.
    struct Outcome {
        var bytes: [UInt8] = []
        var errorBytes: [UInt8] = []
        /// Both, in the order in which they came.
        var mixed: [UInt8] = []
        /// Log lines as `[TAG] message`.
        var logs: [String] = []
        var notices: [String] = []
        /// nil if the script did not come to its end.
        var status: Int?
        var failure: WaitFailure?

        var output: String { String(decoding: bytes, as: UTF8.self) }
        var errorOutput: String { String(decoding: errorBytes, as: UTF8.self) }
        var lines: [String] { output.split(separator: "\n").map(String.init) }
    }

    init(seed: UInt64 = 1) {
        var options = LabOptions()
        options.seed = seed
        // A lab in memory asks nothing of the host, so nothing can be refused.
        lab = try! Lab(options)
        lab.session.hasNoKeyboard = true
        lab.session.observer = { [unowned self] event in hear(event) }
    }

    private func hear(_ event: SessionEvent) {
        switch event {
        case .output(_, let isError, let bytes):
            if isError { heard.errorBytes += bytes } else { heard.bytes += bytes }
            heard.mixed += bytes
        case .log(let line, _, _): heard.logs.append(line.text)
        case .notice(let text): heard.notices.append(text)
        case .jobStarted(let job): jobEvents.append("+%\(job.number)")
        case .jobEnded(let job): jobEvents.append("-%\(job.number)=\(job.status ?? -1)")
        case .submitted, .typed, .interrupted, .progress: break
        }
    }

    /// What was heard since the last time somebody asked.
    func takeHeard() -> Outcome {
        defer { heard = Outcome() }
        return heard
    }

    /// Runs a script in the current terminal to its end.
    ///
    /// - Parameter limit: lab time after which to give up.
    @discardableResult
    func run(_ text: String, stopsAtFailure: Bool = false, limit: LabDuration = .seconds(36_000)) -> Outcome {
        let script: Script
        do {
            script = try Parser.parse(text)
        } catch {
            heard.errorBytes += Array("\(error)\n".utf8)
            heard.status = 2
            return takeHeard()
        }
        let submission = session.submit(
            script, on: session.currentTerminal, text: text, stopsAtFailure: stopsAtFailure)
        let failure = session.wait(.stepping, limit: limit) { !submission.isRunning || session.exitStatus != nil }
        if failure == nil { session.settle() }
        var outcome = takeHeard()
        outcome.status = session.exitStatus ?? submission.status
        outcome.failure = failure
        return outcome
    }

    /// Submits a line in a terminal and lets everything happen that can at this moment.
    @discardableResult
    func type(_ text: String, on number: Int? = nil) throws -> Submission {
        let terminal = number.map { session.terminal($0) } ?? session.currentTerminal!
        let submission = session.submit(try Parser.parse(text), on: terminal, text: text)
        session.settle()
        return submission
    }

    /// Standard output of a script.
    func output(_ text: String) -> String { run(text).output }

    func place(_ text: String, at path: String) { try! session.files.place(Array(text.utf8), at: path) }

    var journalText: String { world.journal.events.map { "\($0)\n" }.joined() }
}

extension RingQueue {
    func map<R>(_ transform: (Element) -> R) -> [R] { (0..<count).map { transform(self[$0]) } }
}

/// Standard output of a script in a lab of its own.
func output(_ text: String) -> String { LabShell().run(text).output }

/// A small generator for tests that throw random input at things; equal seeds give equal runs.
struct Dice {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func roll(_ bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state >> 33) % bound
    }
    mutating func pick<C: RandomAccessCollection>(_ items: C) -> C.Element {
        items[items.index(items.startIndex, offsetBy: roll(items.count))]
    }
}

import KernelLoopback
import KernelStructures
import ShellLab
import ShellSession
import ShellTranscripts

/// Shows a case as it goes, like the recording of a terminal: what is typed, what comes, and the comments between.
final class Playback {
    private let text: EventText
    private let output: HostOutput
    /// Whether nothing but empty lines has been shown so far.
    private var isAtStart = true
    private var pendingBlanks = 0
    private var endsMidLine = false

    init(_ text: EventText, _ output: HostOutput) {
        self.text = text
        self.output = output
    }

    /// An observer for the session.
    func show(_ event: SessionEvent) {
        guard let (bytes, isError) = text.render(event), let last = bytes.last else { return }
        flushBlanks()
        output.write(bytes, isError: isError)
        endsMidLine = last != UInt8(ascii: "\n")
    }

    private func show(_ line: String) {
        if line.allSatisfy(\.isWhitespace) {
            pendingBlanks += isAtStart ? 0 : 1
            return
        }
        flushBlanks()
        output.write((endsMidLine ? "\n" : "") + line + "\n")
        endsMidLine = false
    }

    private func flushBlanks() {
        output.write(String(repeating: "\n", count: pendingBlanks))
        pendingBlanks = 0
        isAtStart = false
    }

    /// Plays a case; what does not come is noted on standard error.
    ///
    /// - Returns: whether everything came.
    func run(
        _ transcriptCase: TranscriptCase, in session: Session, pace: Pace, isInterrupted: @escaping () -> Bool
    ) -> Bool {
        let runner = CaseRunner(transcriptCase, session: session, mode: .play, pace: pace)
        // What fails under `test` fails here.
        runner.checksSurplus = true
        runner.onLine = { [unowned self] in show($0) }
        runner.onFailure = { [unowned self] failure in
            flushBlanks()
            let expected = failure.expected.map { ": expected '\($0)'" } ?? ""
            output.write(text.faint("sdlab: \(failure.place): \(failure.message)\(expected)") + "\n", isError: true)
        }
        runner.isInterrupted = isInterrupted
        return runner.run() == nil && (session.exitStatus ?? 0) == 0
    }
}

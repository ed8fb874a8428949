import CommandKit
import ShellSession

/// Plays one question of a tour in a session: sets up what it is about, asks, waits for the learner, and goes on.
///
/// It is `CaseRunner` in two pieces. Between them the learner types, and the runner goes on hearing what happens, so
/// that nothing that comes meanwhile is missed later.
public final class TourPlayer {
    private let question: TourQuestion
    private let runner: CaseRunner
    private let session: Session
    private let show: (String) -> Void
    private let usesColor: Bool
    /// Lines of a comment that is not complete yet: it is wrapped anew for the terminal.
    private var comment: [String] = []
    private var isAtStart = true
    private var blankIsDue = false
    /// It is the learner's turn.
    public private(set) var isWaiting = false
    /// Something of what was to come did not.
    public private(set) var hasFailed = false

    /// - Parameter show: gets whole lines, each with its newline.
    public init(
        _ transcriptCase: TranscriptCase, session: Session, usesColor: Bool, show: @escaping (String) -> Void
    ) {
        question = TourQuestion(transcriptCase)
        self.session = session
        self.usesColor = usesColor
        self.show = show
        runner = CaseRunner(transcriptCase, session: session, mode: .play, pace: .stepping)
        runner.isInterrupted = { session.isInterrupted }
        runner.onLine = { [unowned self] in hear($0) }
        runner.onFailure = { [unowned self] _ in hasFailed = true }
    }

    /// Plays up to the learner's turn.
    public func begin() {
        runner.attach()
        runner.act(0..<question.turn)
        runner.freeTerminal()
        flush()
        isWaiting = question.command != nil && !session.isInterrupted
        if !isWaiting { end() }
    }

    /// Whether what was typed is what is waited for.
    public func isTurn(_ typed: String) -> Bool {
        let values = runner.captures
        return isWaiting
            && (question.isCommand(typed, values: values)
                || question.isSame(typed, values: values, in: session.commands, nodeName: nodeName))
    }

    private func nodeName(_ word: String) -> String {
        session.node(meantBy: word)?.name ?? (try? session.job(word))?.nodeName ?? word
    }

    /// Whether somebody seems to have meant what is waited for, and typed something else.
    public func isNearMiss(_ typed: String) -> Bool { isWaiting && !isTurn(typed) && question.isNear(typed) }

    /// What is waited for, with the values of its variables; nil if nothing is.
    public var hint: String? { isWaiting ? question.hint(values: runner.captures) : nil }

    /// Runs the learner's command, and all that follows.
    ///
    /// - Parameter wasTyped: the command stands on the screen already.
    public func goOn(wasTyped: Bool) {
        guard isWaiting else { return }
        isWaiting = false
        skipsCommandLine = wasTyped
        isAtStart = true
        runner.act(question.turn..<question.transcriptCase.items.count)
        end()
    }

    private var skipsCommandLine = false

    private func end() {
        if runner.end() != nil { hasFailed = true }
        flush()
        runner.detach()
    }

    // MARK: What is shown

    private func hear(_ line: String) {
        if line.hasPrefix("# ") {
            if line.hasPrefix("# Terminal ") { return }
            comment.append(String(line.dropFirst(2)))
            return
        }
        flush()
        if line.isEmpty {
            blankIsDue = !isAtStart
            return
        }
        if line.hasPrefix("$ "), skipsCommandLine {
            skipsCommandLine = false
            return
        }
        put(line.hasPrefix("$ ") ? styled("$ ", "1;36") + line.dropFirst(2) : line)
    }

    /// Shows a comment, wrapped for the terminal, with what its first word says about it made plain.
    private func flush() {
        guard !comment.isEmpty else { return }
        let text = TourQuestion.told(comment.joined(separator: " "), runner.captures)
        comment = []
        let lines = wrapped(text, columns: max(20, min(session.renderer.columns, 100) - 1))
        for mark in [TourQuestion.question, TourQuestion.yourTurn, TourQuestion.answer] where lines.hasPrefix(mark) {
            return put(styled(mark, "1;33") + lines.dropFirst(mark.count))
        }
        put(lines)
    }

    private func put(_ text: String) {
        show((blankIsDue ? "\n" : "") + text + "\n")
        blankIsDue = false
        isAtStart = false
    }

    private func styled(_ text: String, _ code: String) -> String {
        usesColor ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

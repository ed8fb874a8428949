import CommandKit
import KernelStructures
import ShellSession

/// What stands before the line being typed: `sdlab[15:00:15 +00:15 2j]> `, with the calendar's time and the lab's, as
/// the journal has them.
///
/// Colours stand between bytes of value 1, which is how libedit is told that they take no column. It loses what
/// stands at the very end and where two colours meet, so each colour is one sequence and the text ends in a blank.
package struct PromptText: Equatable {
    package let text: String
    package let width: Int

    static let continuation = PromptText(plain: "> ")

    private init(plain: String) {
        text = plain
        width = displayWidth(plain)
    }

    /// - Parameters:
    ///   - time: what the lab's calendar says.
    ///   - elapsed: lab time since the lab began.
    ///   - jobCount: jobs that run; none are not mentioned.
    ///   - terminal: mentioned unless it is the first.
    package init(time: LabTime, elapsed: LabDuration, jobCount: Int, terminal: Int, usesColor: Bool) {
        var parts = [time.timeOfDay, elapsedClock(elapsed)]
        if terminal != 1 { parts.insert(String(terminal), at: 0) }
        if jobCount > 0 { parts.append("\(jobCount)j") }
        let state = "[" + parts.joined(separator: " ") + "]> "
        text = usesColor ? "\u{1}\u{1B}[1;36m\u{1}sdlab\u{1}\u{1B}[0m\u{1}\(state)" : "sdlab\(state)"
        width = displayWidth("sdlab" + state)
    }

    init(_ session: Session, usesColor: Bool) {
        self.init(
            time: session.world.now, elapsed: session.world.elapsed, jobCount: session.jobs.running.count,
            terminal: session.currentTerminal.number,
            usesColor: usesColor)
    }
}

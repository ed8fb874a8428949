import CommandKit
import CommandServices
import KernelStructures
import KernelWorld
import ShellSession

extension GeneralCommands {
    static var clock: Command {
        let description = CommandDescription(
            "clock", "shows the lab's clock, or sets how fast it runs", usage: "[virtual|real|xN] [--json]",
            flags: [CommonFlags.json], arguments: .init([.word(["virtual", "real", "x10", "x60"])], 0...1),
            examples: ["clock", "clock x60", "clock virtual", "clock real"], group: .faults,
            details: """
                virtual stands still and moves by advance, or from timer to timer while
                something waits. On real sockets x1000 is the most: what comes from outside
                takes its own time, and would be late.
                """)
        return Command(description) { invocation in
            let world = invocation.session.world
            if let word = invocation.arguments.arguments.first {
                guard let speed = ClockSpeed(parsing: word) else {
                    throw UsageError("clock: '\(word)' is not a speed; virtual, real, or x60 for sixty times as fast")
                }
                guard world.eventSource != nil || speed == .virtual else {
                    throw CommandFailure("this lab has virtual time only: there is no host clock to follow")
                }
                let possible = world.network.transport is MemoryTransport ? speed : speed.limitedBySockets
                if possible != speed {
                    invocation.session.notice(
                        "real sockets cannot follow \(speed): the clock runs at \(possible), and slower while the "
                            + "machine is behind (sdlab --net memory has no limit)")
                }
                world.setSpeed(possible)
                return .success
            }
            return .view(
                View(
                    .record([
                        .init("time", key: "time", .text(world.now.description)),
                        .init(
                            "elapsed", key: "elapsed_ms",
                            View.Cell("\(world.elapsed)", json: .milliseconds(world.elapsed))),
                        .init("speed", key: "speed", .text(world.speed.description)),
                        .init("timers", key: "timers", .integer(world.timerCount)),
                        .init("seed", key: "seed", .integer(Int(bitPattern: UInt(world.seed)))),
                    ])))
        }
    }

    static var advance: Command {
        let description = CommandDescription(
            "advance", "moves the lab's clock forward, timer by timer", usage: "TIME",
            arguments: .init([.duration], 1...1), examples: ["advance 30s", "advance 5m"], group: .faults)
        return Command(description) { invocation in
            let duration = try timeToPass(invocation)
            let session = invocation.session
            let progress = AdvanceProgress(session, duration)
            defer { session.showProgress(nil) }
            switch session.advance(
                by: duration, isInterrupted: { session.isInterrupted }, onStep: { progress.note($0) })
            {
            case nil: return .success
            case .interrupted:
                throw CommandFailure("stopped after \(progress.passed.rounded) of \(duration)", status: 130)
            default:
                throw CommandFailure("stopped after \(session.world.elapsed): work goes on for ever at this moment")
            }
        }
    }

    static var sleep: Command {
        let description = CommandDescription(
            "sleep", "waits for some lab time", usage: "TIME", arguments: .init([.duration], 1...1),
            examples: ["sleep 5", "sleep 200ms"], group: .faults)
        return Command(description) { invocation in
            return .running(Sleeping(invocation.process, try timeToPass(invocation)))
        }
    }

    /// The longest time that may pass at once.
    private static let longestTime = LabDuration.seconds(366 * 86_400)
    /// Nobody moves the clock beyond it. What happens then still sets its timers, for which there must be a time.
    private static let calendarEnd = LabTime.distantFuture - longestTime

    /// The first argument as a time that may pass.
    private static func timeToPass(_ invocation: Invocation) throws(UsageError) -> LabDuration {
        let word = invocation.arguments.arguments[0]
        guard let duration = LabDuration(parsing: word, bareUnit: .seconds(1)), duration <= longestTime
        else {
            throw UsageError("\(invocation.name): '\(word)' is not a time such as 5s, 200ms or 5m, at most a year")
        }
        guard invocation.session.world.now + duration <= calendarEnd else {
            throw UsageError("\(invocation.name): '\(word)' goes beyond \(calendarEnd), where the lab's calendar ends")
        }
        return duration
    }

    private final class Sleeping: Program {
        private let process: Process
        private let duration: LabDuration
        init(_ process: Process, _ duration: LabDuration) {
            self.process = process
            self.duration = duration
        }
        func start() { process.node.after(duration) { [process] in process.exit(0) } }
    }
}

/// Says how far an `advance` is, once it takes long enough for somebody to wonder.
private final class AdvanceProgress {
    private let session: Session
    private let whole: LabDuration
    private let start: Int64
    private var shownAt: Int64
    private(set) var passed = LabDuration.zero

    private static let firstNanoseconds: Int64 = 300_000_000
    private static let intervalNanoseconds: Int64 = 100_000_000

    init(_ session: Session, _ whole: LabDuration) {
        self.session = session
        self.whole = whole
        start = session.world.eventSource?.hostNanoseconds ?? 0
        shownAt = start
    }

    func note(_ passed: LabDuration) {
        self.passed = passed
        guard session.repaints, let now = session.world.eventSource?.hostNanoseconds,
            now - start > Self.firstNanoseconds, now - shownAt > Self.intervalNanoseconds
        else { return }
        shownAt = now
        let percent = Int(Double(passed.nanoseconds) / Double(max(1, whole.nanoseconds)) * 100)
        session.showProgress("advance: \(passed.rounded) of \(whole), \(percent) %; Ctrl-C stops")
    }
}

extension ClockSpeed {
    /// Reads `virtual`, `real`, `x60`, `60x`.
    public init?(parsing word: String) {
        switch word.lowercased() {
        case "virtual", "v", "0": self = .virtual
        case "real", "r", "1": self = .real
        case let text:
            let digits = text.hasPrefix("x") ? text.dropFirst() : text.hasSuffix("x") ? text.dropLast() : ""
            guard let factor = Double(digits), factor > 0, factor <= 1_000_000 else { return nil }
            self.init(factor)
        }
    }
}

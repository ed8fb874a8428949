import KernelJSON
import KernelStructures

/// What an experiment does to the lab's own nodes: a provider beside `http` and `process`.
///
/// A fault is in the words of `inject`, without its place; the target is a node's name or a pattern for several.
public enum LabAction: Equatable, Sendable {
    /// Puts a fault into force at the targets, at most for so long.
    case inject(words: [String], target: String, lasts: LabDuration?, radius: BlastRadius)
    /// Takes back what this experiment injected: one kind of fault, or all; at one target, or everywhere.
    case restore(kind: String?, target: String?)
    /// `KILL`, `STOP`, `POWER` … to all targets. After that time what was stopped goes on, and what has ended is
    /// started again.
    case signal(String, target: String, lasts: LabDuration?, radius: BlastRadius)
    case restart(target: String)
    /// Sets the calendars of the targets wrong; negative is behind.
    case skew(LabDuration, target: String)

    /// What is being done, for the log: `2000ms latency to payment-service`.
    public var summary: String {
        switch self {
        case .inject(let words, let target, _, let radius):
            let what =
                words.count == 2 && words[0] == "latency"
                ? "\(words[1]) latency to \(target)" : "\(words.joined(separator: " ")) on \(target)"
            return what + radius.note
        case .restore(let kind, let target):
            return "\(kind ?? "all faults")" + (target.map { " on \($0)" } ?? "")
        case .signal(let name, let target, _, let radius): return "SIG\(name) to \(target)\(radius.note)"
        case .restart(let target): return "restart of \(target)"
        case .skew(let time, let target):
            return "clock of \(target) \(time < .zero ? .zero - time : time) \(time < .zero ? "behind" : "ahead")"
        }
    }

    /// How long it lasts by itself; nil: until it is taken back.
    public var duration: LabDuration? {
        switch self {
        case .inject(_, _, let lasts, _), .signal(_, _, let lasts, _): lasts
        case .restore, .restart, .skew: nil
        }
    }

    /// Whether it makes things worse, and not better.
    public var isFault: Bool {
        switch self {
        case .inject, .skew: true
        case .signal(let name, _, _, _): name != "CONT"
        case .restore, .restart: false
        }
    }

    // MARK: As a document

    public var document: JSONValue {
        var members: [(key: String, value: JSONValue)] = [("type", "lab")]
        switch self {
        case .inject(let words, let target, let lasts, let radius):
            members += [("inject", .string(words.joined(separator: " "))), ("target", .string(target))]
            if let lasts { members.append(("for", .string("\(lasts)"))) }
            members += radius.members
        case .restore(let kind, let target):
            members.append(("restore", .string(kind ?? "all")))
            if let target { members.append(("target", .string(target))) }
        case .signal(let name, let target, let lasts, let radius):
            members += [("signal", .string(name)), ("target", .string(target))]
            if let lasts { members.append(("for", .string("\(lasts)"))) }
            members += radius.members
        case .restart(let target): members.append(("restart", .string(target)))
        case .skew(let time, let target):
            let text = time < .zero ? "-\(.zero - time)" : "\(time)"
            members += [("skew", .string(text)), ("target", .string(target))]
        }
        return .object(members)
    }

    private static let keys = [
        "type", "inject", "restore", "signal", "restart", "skew", "target", "for", "percent", "cohort", "budget",
    ]

    /// - Throws: `ExperimentError` that names the member.
    public init(_ cursor: JSONCursor) throws(ExperimentError) {
        self = try reading { () throws(JSONTypeError) -> LabAction in
            try cursor.expectNoMembers(besides: Self.keys)
            let radius = try BlastRadius(cursor)
            if let inject = cursor["inject"].ifPresent {
                let words = try inject.string().split(separator: " ").map(String.init)
                if words.isEmpty { throw inject.error("no fault is named; latency 200ms for instance") }
                return .inject(
                    words: words, target: try cursor["target"].string(), lasts: try cursor["for"].lasting(),
                    radius: radius)
            }
            if let restore = cursor["restore"].ifPresent {
                let kind = try restore.string()
                return .restore(kind: kind == "all" ? nil : kind, target: try cursor["target"].ifPresent?.string())
            }
            if let signal = cursor["signal"].ifPresent {
                return .signal(
                    try signal.string().uppercased(), target: try cursor["target"].string(),
                    lasts: try cursor["for"].lasting(), radius: radius)
            }
            if let restart = cursor["restart"].ifPresent { return .restart(target: try restart.string()) }
            if let skew = cursor["skew"].ifPresent {
                let text = try skew.string()
                let isBack = text.hasPrefix("-")
                guard let time = LabDuration(parsing: isBack ? text.dropFirst() : text[...]) else {
                    throw skew.error("'\(text)' is not a time such as 1h or -90s")
                }
                return .skew(isBack ? .zero - time : time, target: try cursor["target"].string())
            }
            throw cursor.error("does nothing; give it inject, restore, signal, restart or skew")
        }
    }
}

extension JSONCursor {
    /// `60s`, or a number of seconds as the Toolkit has them. Longer than zero.
    func lasting() throws(JSONTypeError) -> LabDuration? {
        guard let present = ifPresent else { return nil }
        guard let time = try present.time(), time > .zero else { throw error("is not longer than zero") }
        return time
    }

    /// The same, which may be zero.
    func time() throws(JSONTypeError) -> LabDuration? {
        guard let present = ifPresent else { return nil }
        if case .string(let text)? = present.value {
            guard let time = LabDuration(parsing: text, bareUnit: .seconds(1)) else {
                throw error("'\(text)' is not a time such as 60s")
            }
            return time
        }
        let seconds = try present.number()
        guard seconds >= 0, seconds <= 366 * 86_400 else { throw error("is not a time of 0 seconds to a year") }
        return .seconds(seconds)
    }
}

/// Carries out what reads JSON, and says its errors as those of an experiment.
func reading<T>(_ body: () throws(JSONTypeError) -> T) throws(ExperimentError) -> T {
    do throws(JSONTypeError) { return try body() } catch { throw ExperimentError(error.path, error.problem) }
}

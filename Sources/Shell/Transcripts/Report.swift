import CommandKit
import KernelJSON
import KernelStructures
import ShellLab

/// The results of a test run for people and for programs.
public struct Report {
    let results: [CaseResult]
    private let isVerbose: Bool
    /// What precedes the arguments in a command that reproduces a failure.
    private let program: String

    public init(_ results: [CaseResult], isVerbose: Bool, program: String = "sdlab") {
        self.results = results
        self.isVerbose = isVerbose
        self.program = program
    }

    public var failedCount: Int { results.filter { $0.failure != nil }.count }
    public var passedCount: Int { results.filter { if case .passed = $0.outcome { true } else { false } }.count }
    public var skippedCount: Int { results.count - failedCount - passedCount }

    /// 0 all passed, 1 a failure, 80 everything was skipped.
    public var status: Int { failedCount > 0 ? 1 : passedCount == 0 && skippedCount > 0 ? 80 : 0 }

    // MARK: Plain

    public var plain: String {
        var text = ""
        for result in results {
            switch result.outcome {
            case .passed: if isVerbose { text += "ok    \(title(result)) (\(result.elapsed) of lab time)\n" }
            case .skipped(let reason): if isVerbose { text += "skip  \(title(result)): \(reason)\n" }
            case .failed(let failure): text += "FAIL  \(title(result))\n" + Self.details(failure) + reproduce(result)
            }
        }
        return text + summary
    }

    func title(_ result: CaseResult) -> String {
        let base = TranscriptParser.baseName(result.file)
        let name = result.name == base ? result.file : "\(result.file) · \(result.name)"
        return "\(name) [\(result.net.rawValue), seed \(result.seed)]"
    }

    /// The difference, indented, as it is also shown by `run`.
    static func details(_ failure: CaseFailure) -> String {
        var lines = ["\(failure.place): \(failure.message)"]
        if let expected = failure.expected { lines.append("  expected  \(expected)") }
        if let seen = failure.seen { lines.append("  seen      \(seen)") }
        if let hint = failure.hint { lines.append("  hint      \(hint)") }
        if let nearest = failure.nearest { lines.append("  nearest   \(nearest)") }
        if let printed = failure.printed { lines.append("  printed   \(printed)") }
        if !failure.elapsed.isEmpty { lines.append("  at        \(failure.elapsed) of lab time") }
        if !failure.timers.isEmpty { lines.append("  timers    \(failure.timers.joined(separator: ", "))") }
        return lines.map { "      \($0)\n" }.joined()
    }

    func reproduce(_ result: CaseResult) -> String {
        let isOnly = result.name == TranscriptParser.baseName(result.file)
        let one = isOnly ? "" : " --case \(Self.quoted(result.name))"
        let isPlain = result.file.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "/._-+".contains($0)) }
        let file = isPlain ? result.file : Self.quoted(result.file)
        return "        again     \(program) test --net \(result.net.rawValue) --seed \(result.seed)\(one) \(file)\n"
    }

    /// One word for a shell.
    private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }

    private var summary: String {
        var parts = ["\(counted(passedCount, "case")) passed"]
        if failedCount > 0 { parts.append("\(failedCount) failed") }
        if skippedCount > 0 { parts.append("\(skippedCount) skipped") }
        return parts.joined(separator: ", ") + "\n"
    }

    // MARK: JSON

    public var json: String {
        JSONValue.object([
            ("passed", .integer(passedCount)), ("failed", .integer(failedCount)), ("skipped", .integer(skippedCount)),
            ("cases", .array(results.map(object))),
        ]).text + "\n"
    }

    private func object(_ result: CaseResult) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("file", .string(result.file)), ("case", .string(result.name)), ("seed", .string(String(result.seed))),
            ("net", .string(result.net.rawValue)), ("covers", .array(result.covers.map { .string($0) })),
            ("lab_time_ms", .milliseconds(result.elapsed)),
        ]
        switch result.outcome {
        case .passed: members.append(("status", "passed"))
        case .skipped(let reason): members += [("status", "skipped"), ("reason", .string(reason))]
        case .failed(let failure):
            members += [
                ("status", "failed"), ("line", .integer(failure.place.line)), ("message", .string(failure.message)),
                ("expected", failure.expected.map { .string($0) } ?? .null),
                ("seen", failure.seen.map { .string($0) } ?? .null),
                ("nearest", failure.nearest.map { .string($0) } ?? .null),
                ("hint", failure.hint.map { .string($0) } ?? .null),
                ("printed", failure.printed.map { .string($0) } ?? .null),
            ]
        }
        return .object(members)
    }
}

extension CaseResult {
    public var failure: CaseFailure? { if case .failed(let failure) = outcome { failure } else { nil } }
}

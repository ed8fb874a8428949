import CommandKit
import KernelJSON
import KernelStructures

// Reports for programs that collect the results of many kinds of tests.

extension Report {
    /// What `--format` may be.
    public enum Format: String, CaseIterable, Sendable { case plain, json, tap, junit }

    public func text(as format: Format) -> String {
        switch format {
        case .plain: plain
        case .json: json
        case .tap: tap
        case .junit: junit
        }
    }

    // MARK: TAP

    /// The Test Anything Protocol, version 14: a line a case, and below a failed one what is known of it, in YAML.
    public var tap: String {
        var lines = ["TAP version 14", "1..\(results.count)"]
        for (index, result) in results.enumerated() {
            let title = "\(index + 1) - \(Self.tapText(self.title(result)))"
            switch result.outcome {
            case .passed: lines.append("ok \(title)")
            case .skipped(let reason): lines.append("ok \(title) # SKIP \(Self.tapText(reason))")
            case .failed(let failure):
                lines.append("not ok \(title)")
                lines.append("  ---")
                lines += Self.members(of: failure).map { "  \($0): \(JSONValue.string($1).text)" }
                lines.append("  ...")
            }
        }
        return lines.map { $0 + "\n" }.joined()
    }

    /// A `#` begins a directive there, and a backslash takes its meaning away.
    private static func tapText(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("#", with: "\\#").replacing("\n", with: " ")
    }

    private static func members(of failure: CaseFailure) -> [(name: String, text: String)] {
        [
            ("message", failure.message), ("at", "\(failure.place)"), ("expected", failure.expected),
            ("seen", failure.seen), ("nearest", failure.nearest),
            ("printed", failure.printed),
            ("lab_time", failure.elapsed.isEmpty ? nil : failure.elapsed),
        ].compactMap { name, text in text.map { (name, $0) } }
    }

    // MARK: JUnit

    /// JUnit's XML, as build servers read it: a suite a file, a case a case. Times are lab time, in seconds.
    public var junit: String {
        var lines = [#"<?xml version="1.0" encoding="UTF-8"?>"#]
        lines.append("<testsuites\(counts(of: results))>")
        for file in results.map(\.file).uniqued {
            let cases = results.filter { $0.file == file }
            lines.append("  <testsuite name=\(Self.xml(file))\(counts(of: cases))>")
            lines += cases.flatMap(junit)
            lines.append("  </testsuite>")
        }
        lines.append("</testsuites>")
        return lines.map { $0 + "\n" }.joined()
    }

    private func counts(of results: [CaseResult]) -> String {
        let failed = results.count { $0.failure != nil }
        let skipped = results.count { if case .skipped = $0.outcome { true } else { false } }
        return #" tests="\#(results.count)" failures="\#(failed)" errors="0" skipped="\#(skipped)""#
    }

    private func junit(_ result: CaseResult) -> [String] {
        let name = "\(result.name) [\(result.net.rawValue), seed \(result.seed)]"
        let head =
            "    <testcase classname=\(Self.xml(result.file)) name=\(Self.xml(name)) "
            + "time=\"\(fixedDecimal(result.elapsed.seconds, places: 3))\""
        switch result.outcome {
        case .passed: return [head + "/>"]
        case .skipped(let reason):
            return [head + ">", "      <skipped message=\(Self.xml(reason))/>", "    </testcase>"]
        case .failed(let failure):
            let details = Self.details(failure) + reproduce(result)
            return [
                head + ">", "      <failure message=\(Self.xml(failure.message))>\(Self.escaped(details))</failure>",
                "    </testcase>",
            ]
        }
    }

    /// An attribute's value with its quotes.
    private static func xml(_ text: String) -> String { "\"\(escaped(text))\"" }

    /// XML has no way to write most control characters: a mark stands for them.
    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\n", "\t": result += "&#\(scalar.value);"
            case let scalar where scalar.value < 32 || scalar.value == 0xFFFE || scalar.value == 0xFFFF:
                result.unicodeScalars.append("\u{FFFD}")
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension Array where Element: Equatable {
    /// Each element once, where it stands first.
    fileprivate var uniqued: [Element] { reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }
}

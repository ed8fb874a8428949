import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellSession

extension ChaosCommands {
    /// `pkill -9 '^payment-'`
    static var pkill: Command {
        let description = CommandDescription(
            "pkill", "sends a signal to all services whose names fit a pattern", usage: "[-SIGNAL] PATTERN",
            arguments: .init([.text], 1...2, isRaw: true),
            examples: ["pkill -9 '^payment-'", "pkill -STOP worker", "pkill 'web-[12]'"], group: .jobs,
            details: """
                PATTERN is an extended regular expression, found anywhere in the name. Signals
                as for kill. Status 1 if nothing fits, as pkill has it.
                """)
        return Command(description) { invocation in
            var words = invocation.arguments.arguments
            var signal = Signal.terminate
            if words[0].hasPrefix("-"), words[0].count > 1 {
                let name = String(words.removeFirst().dropFirst())
                guard let parsed = Signal(parsing: name) else {
                    let names = Signal.allCases.map(\.rawValue).joined(separator: ", ")
                    throw UsageError("pkill: unknown signal '\(name)'; one of \(names)")
                }
                signal = parsed
            }
            guard words.count == 1 else { throw UsageError("pkill: which services? pkill -9 '^payment-'") }
            let pattern: RegularExpression
            do throws(RegularExpressionError) { pattern = try RegularExpression(words[0], .extended) } catch {
                throw UsageError("pkill: \(error)")
            }
            let jobs = invocation.session.jobs.running.filter { job in job.nodeName.map(pattern.matches) ?? false }
            if jobs.isEmpty {
                let names = invocation.session.jobs.running.compactMap(\.nodeName)
                throw CommandFailure(
                    "no service fits '\(words[0])'"
                        + (names.isEmpty ? "; none runs" : "; there are \(names.joined(separator: ", "))"))
            }
            for job in jobs {
                _ = job.send(signal)
                invocation.process.print("SIG\(signal.rawValue) to \(job.nodeName ?? job.text)")
            }
            return .success
        }
    }
}

import KernelStructures
import KernelWorld
import ShellSession

/// All that a case printed and logged, in the order in which it came.
struct Tape {
    struct Line {
        let text: String
        /// Counts all lines of the case, output and log.
        let number: Int
        /// How many commands had begun.
        let stepCount: Int
    }

    struct Entry {
        let line: LogLine
        /// Who said it; nil: no node.
        let node: String?
        let time: LabTime
        let number: Int
        /// How many commands had begun.
        let stepCount: Int
    }

    /// Output of one command, cut into lines.
    struct Output {
        var lines: [Line] = []
        var partial: [UInt8] = []
        var isOverfull = false
    }

    private(set) var outputs: [Int: Output] = [:]
    private(set) var logs: [String: [Entry]] = [:]
    private var count = 0
    /// How many commands have begun.
    var stepCount = 0

    /// Lines kept of one command, and of one tag; a case that prints more fails.
    static let lineLimit = 200_000

    mutating func append(_ bytes: [UInt8], of submission: Int) {
        var output = outputs.removeValue(forKey: submission) ?? Output()
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            output.partial += rest[..<end]
            endLine(&output)
            rest = rest[(end + 1)...]
        }
        output.partial += rest
        if output.partial.count > 1 << 20 { endLine(&output) }
        outputs[submission] = output
    }

    private mutating func endLine(_ output: inout Output) {
        if output.lines.count >= Self.lineLimit {
            output.isOverfull = true
        } else {
            count += 1
            if output.partial.last == UInt8(ascii: "\r") { output.partial.removeLast() }
            output.lines.append(
                Line(
                    text: TranscriptText.line(of: output.partial).trimmingTrailingBlanks, number: count,
                    stepCount: stepCount))
        }
        output.partial = []
    }

    /// A last line without a newline counts once nothing can be added to it.
    mutating func endPartialLine(of submission: Int) {
        guard var output = outputs[submission], !output.partial.isEmpty else { return }
        endLine(&output)
        outputs[submission] = output
    }

    mutating func append(_ line: LogLine, from node: String?, at time: LabTime) {
        guard logs[line.tag, default: []].count < Self.lineLimit else { return }
        count += 1
        logs[line.tag, default: []].append(
            Entry(line: line, node: node, time: time, number: count, stepCount: stepCount))
    }
}

import CommandKit
import KernelStructures
import KernelWorld
import ShellSession

extension GeneralCommands {
    static var shuf: Command {
        let description = CommandDescription(
            "shuf", "lines in an order by chance", usage: "[-n N] [-r] [-i LOW-HIGH | -e WORD… | FILE]",
            flags: [
                .init("head-count", "n", .integer(0...10_000_000), "no more than so many"),
                .init("input-range", "i", .text("LOW-HIGH"), "of these numbers"),
                .init("echo", "e", "of the words behind it"), .init("repeat", "r", "with -n: each may come again"),
                .init("output", "o", .file, "where to"), .init("zero-terminated", "z", "lines end in NUL"),
            ],
            arguments: .init([.file], 0...100_000),
            examples: ["seq 10 | shuf -n 3", "shuf -i 1-6 -n 1", "shuf -e a b c"], group: .files,
            details: "The lab's seed decides: the same lab, the same order.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let end: UInt8 = arguments.has("zero-terminated") ? 0 : 10
            let range = try arguments.text("input-range").map { try numbers($0) }
            let takesWords = arguments.has("echo")
            guard takesWords || arguments.arguments.count <= (range == nil ? 1 : 0) else {
                throw UsageError("shuf: one file, or -e and words, or -i and a range")
            }
            let limit = arguments.integer("head-count")
            if arguments.has("repeat"), limit == nil { throw UsageError("shuf: -r goes on for ever; -n N ends it") }
            var shuffling = Shuffling(
                random: invocation.session.world.random.fork("shuf \(invocation.process.number)"),
                limit: limit, repeats: arguments.has("repeat"), end: end)
            func deliver(_ process: Process, _ bytes: [UInt8]) throws {
                guard let file = arguments.text("output") else { return process.output.write(bytes) }
                try process.session.files.write(bytes, to: file)
            }
            if takesWords || range != nil {
                let bytes =
                    range.map { range in
                        shuffling.chosen(range.count) { Array(String(range.lowerBound + $0).utf8) }
                    } ?? shuffling.chosen(arguments.arguments.count) { Array(arguments.arguments[$0].utf8) }
                try deliver(invocation.process, bytes)
                return .success
            }
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    guard let lines = sources.first?.lines(endingIn: end) else { return 1 }
                    try deliver(tool.process, shuffling.chosen(lines.count) { Array(lines[$0]) })
                    return 0
                })
        }
    }

    private static func numbers(_ text: String) throws -> Range<Int> {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let low = Int(parts[0]), let high = Int(parts[1]), high < .max, low <= high + 1,
            high - low < 10_000_000
        else { throw UsageError("shuf: -i: '\(text)' is not a range of up to 10000000 numbers, such as 1-6") }
        return low..<(high + 1)
    }

    private struct Shuffling {
        var random: SeededRandom
        let limit: Int?
        let repeats: Bool
        let end: UInt8

        /// Some of so many lines (Fisher and Yates, as far as they are wanted).
        mutating func chosen(_ count: Int, _ line: (Int) -> [UInt8]) -> [UInt8] {
            var result: [UInt8] = []
            guard count > 0 else { return [] }
            if repeats {
                for _ in 0..<(limit ?? 0) { result += line(random.below(count)) + [end] }
                return result
            }
            var order = Array(0..<count)
            for place in 0..<min(count, limit ?? count) {
                order.swapAt(place, place + random.below(count - place))
                result += line(order[place]) + [end]
            }
            return result
        }
    }
}

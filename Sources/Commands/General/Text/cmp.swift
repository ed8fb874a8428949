import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var cmp: Command {
        let description = CommandDescription(
            "cmp", "whether two files are the same", usage: "[-s|-l] [-b] [-n N] [-i N[:N]] FILE [FILE]",
            flags: [
                .init("quiet", "s", "only the status"), .init("silent", nil, "the same"),
                .init("verbose", "l", "all bytes that differ, as octal numbers"),
                .init("print-bytes", "b", "with the bytes as characters"),
                .init("bytes", "n", .text("N"), "no more than so many bytes"),
                .init("ignore-initial", "i", .text("N[:N]"), "passes over so many first"),
            ], arguments: .init([.file], 1...4),
            examples: ["cmp -s a.json b.json && echo same"], group: .files,
            details: "Two numbers behind the files: -i N:N. Without a second file: what it is given.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let names = Array((arguments.arguments + ["-"]).prefix(2))
            let words = Array(arguments.arguments.dropFirst(2))
            let initial =
                arguments.text("ignore-initial").map { $0.split(separator: ":").map(String.init) } ?? words
            let skips = try initial.map { try byteAmount($0, "cmp: -i") }
            guard skips.count <= 2 else { throw UsageError("cmp: -i: 'N' or 'N:N'") }
            let limit = try arguments.text("bytes").map { try byteAmount($0, "cmp: -n") } ?? .max
            let comparison = Comparison(
                names: names, isQuiet: arguments.has("quiet") || arguments.has("silent"),
                showsAll: arguments.has("verbose"), showsBytes: arguments.has("print-bytes"))
            return .running(
                WholeInput(invocation.process, files: names) { tool, sources in
                    if tool.isIncomplete { return 2 }
                    let (first, second) = (skips.first ?? 0, skips.last ?? 0)
                    return comparison.status(
                        tool, sources[0].bytes.dropFirst(first).prefix(limit),
                        sources[1].bytes.dropFirst(second).prefix(limit))
                })
        }
    }

    private struct Comparison {
        let names: [String]
        let isQuiet: Bool
        let showsAll: Bool
        let showsBytes: Bool

        func status(_ tool: WholeInput, _ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
            let count = min(a.count, b.count)
            var line = 1
            var text: [UInt8] = []
            let width = String(count).count
            var differs = false
            for index in 0..<count {
                let (x, y) = (a[a.startIndex + index], b[b.startIndex + index])
                guard x != y else {
                    if x == 10 { line += 1 }
                    continue
                }
                differs = true
                if isQuiet { return 1 }
                guard showsAll else {
                    let bytes = showsBytes ? " is \(octal(x)) \(shown(x)) \(octal(y)) \(shown(y))" : ""
                    tool.process.print("\(names[0]) \(names[1]) differ: byte \(index + 1), line \(line)\(bytes)")
                    return 1
                }
                let place = "\(index + 1)".leftPadded(to: width)
                let first = showsBytes ? octal(x) + " " + shown(x).rightPadded(to: 4) : octal(x)
                text += Array("\(place) \(first) \(octal(y))\(showsBytes ? " " + shown(y) : "")\n".utf8)
            }
            tool.write(text)
            if a.count == b.count { return differs ? 1 : 0 }
            if isQuiet { return 1 }
            let short = a.count < b.count ? a : b
            let name = names[a.count < b.count ? 0 : 1]
            let isAtEnd = short.last == 10
            let place =
                showsAll || differs
                ? "" : ", \(isAtEnd ? "line" : "in line") \(isAtEnd ? line - 1 : line)"
            tool.process.complain(
                short.isEmpty ? "EOF on \(name) which is empty" : "EOF on \(name) after byte \(count)\(place)")
            return 1
        }

        private func octal(_ byte: UInt8) -> String { String(byte, radix: 8).leftPadded(to: 3) }

        private func shown(_ byte: UInt8) -> String {
            let low = byte & 127
            let sign =
                low < 32 ? "^\(Character(UnicodeScalar(low + 64)))" : low == 127 ? "^?" : String(UnicodeScalar(low))
            return byte >= 128 ? "M-" + sign : sign
        }
    }
}

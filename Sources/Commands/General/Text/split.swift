import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var split: Command {
        let description = CommandDescription(
            "split", "cuts a file into several", usage: "[-l N|-b N] [-d] [-a N] [FILE [PREFIX]]",
            flags: [
                .init("lines", "l", .integer(1...Int.max), "lines of each (1000)"),
                .init("bytes", "b", .text("N"), "bytes of each; 10k, 1M"),
                .init("suffix-length", "a", .integer(1...8), "letters behind the prefix (2)"),
                .init("", "d", "digits instead of letters"), .init("numeric-suffixes", nil, "the same"),
                .init("additional-suffix", nil, .text("TEXT"), "behind the letters"),
                .init("verbose", nil, "says what it writes"),
            ],
            arguments: .init([.file, .text], 0...2, numberFlag: "lines"),
            examples: ["split -l 100 app.log part-", "split -b 1k -d out.bin"], group: .files,
            details: "The files are xaa, xab and so on, or what the prefix says; 10000 at most.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let size = try arguments.text("bytes").map { try byteAmount($0, "split: -b") }
            guard size != 0 else { throw UsageError("split: -b: pieces of no bytes have no end") }
            if size != nil, arguments.text("lines") != nil { throw UsageError("split: -l or -b? one of them") }
            let isNumeric = arguments.has("d") || arguments.has("numeric-suffixes")
            let names = SplitNames(
                prefix: arguments.arguments.count > 1 ? arguments.arguments[1] : "x",
                suffix: arguments.text("additional-suffix") ?? "",
                letters: Array(isNumeric ? "0123456789" : "abcdefghijklmnopqrstuvwxyz"),
                length: arguments.integer("suffix-length") ?? 2)
            let lines = arguments.integer("lines") ?? 1000
            return .running(
                WholeInput(invocation.process, files: Array(arguments.arguments.prefix(1))) { tool, sources in
                    guard let bytes = sources.first?.bytes else { return 1 }
                    var start = 0
                    var count = 0
                    while start < bytes.count {
                        let end = size.map { min(bytes.count, start + $0) } ?? pieceEnd(bytes, start, lines)
                        guard count < 10_000, let name = names.name(count) else {
                            throw CommandFailure("after \(count) files there are no more names; -a 3 makes more")
                        }
                        if arguments.has("verbose") { tool.process.print("creating file '\(name)'") }
                        try tool.process.session.files.write(Array(bytes[start..<end]), to: name)
                        start = end
                        count += 1
                    }
                    return 0
                })
        }
    }

    private static func pieceEnd(_ bytes: [UInt8], _ start: Int, _ lines: Int) -> Int {
        var left = lines
        var place = start
        while place < bytes.count {
            if bytes[place] == 10 {
                left -= 1
                if left == 0 { return place + 1 }
            }
            place += 1
        }
        return place
    }

    private struct SplitNames {
        let prefix: String
        let suffix: String
        let letters: [Character]
        let length: Int

        /// nil beyond the last one.
        func name(_ number: Int) -> String? {
            var rest = number
            var name = ""
            for _ in 0..<length {
                name = String(letters[rest % letters.count]) + name
                rest /= letters.count
            }
            return rest == 0 ? prefix + name + suffix : nil
        }
    }
}

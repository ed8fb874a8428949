import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var column: Command {
        let description = CommandDescription(
            "column", "lines as a table", usage: "-t [-s CHARACTERS] [-o TEXT] [FILE…]",
            flags: [
                .init("table", "t", "a table of what stands between separators"),
                .init("separator", "s", .text("CHARACTERS"), "what separates (blanks, several as one)"),
                .init("output-separator", "o", .text("TEXT"), "what stands between columns (two blanks)"),
                .init("table-columns", "N", .text("NAMES"), "titles, with commas between"),
                .init("table-right", "R", .text("COLUMNS"), "these columns to the right, by number"),
            ],
            arguments: .init([.file], 0...1000), examples: ["column -t -s : nodes.txt"], group: .files,
            details: "Without -t, util-linux's fills the screen; that is not known here.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            guard arguments.has("table") else {
                throw UsageError("column: only tables are known here: column -t; paste puts lines side by side")
            }
            let separators = arguments.text("separator").map { Array($0) }
            let between = arguments.text("output-separator") ?? "  "
            let titles = arguments.text("table-columns").map { $0.split(separator: ",").map(String.init) }
            let right = Set((arguments.text("table-right") ?? "").split(separator: ",").compactMap { Int($0) })
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    var rows = titles.map { [$0] } ?? []
                    for line in sources.flatMap(\.lines) where !line.allSatisfy({ $0 == 32 || $0 == 9 }) {
                        let text = String(decoding: line, as: UTF8.self)
                        rows.append(
                            separators.map { signs in
                                text.split(omittingEmptySubsequences: false) { signs.contains($0) }.map(String.init)
                            } ?? text.split { $0 == " " || $0 == "\t" }.map(String.init))
                    }
                    tool.write(Array(table(rows, between, right).utf8))
                    return tool.isIncomplete ? 1 : 0
                })
        }
    }

    private static func table(_ rows: [[String]], _ between: String, _ right: Set<Int>) -> String {
        let count = rows.reduce(0) { max($0, $1.count) }
        var widths = Array(repeating: 0, count: count)
        for row in rows {
            for (index, cell) in row.enumerated() { widths[index] = max(widths[index], displayWidth(cell)) }
        }
        var text = ""
        for row in rows {
            for index in 0..<count {
                let cell = index < row.count ? row[index] : ""
                let space = String(repeating: " ", count: widths[index] - displayWidth(cell))
                // The last column has nothing behind it.
                let isLast = index == count - 1
                text += right.contains(index + 1) ? space + cell : isLast ? cell : cell + space
                if !isLast { text += between }
            }
            text += "\n"
        }
        return text
    }
}

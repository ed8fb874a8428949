import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var cut: Command {
        let description = CommandDescription(
            "cut", "parts of each line", usage: "(-f LIST | -c LIST | -b LIST) [-d CHARACTER] [-s] [FILE…]",
            flags: [
                .init("fields", "f", .text("LIST"), "these fields"),
                .init("characters", "c", .text("LIST"), "these bytes, as in other cut's"),
                .init("bytes", "b", .text("LIST"), "these bytes"),
                .init("delimiter", "d", .text("CHARACTER"), "what stands between fields (a tab)"),
                .init("only-delimited", "s", "no lines without a delimiter"),
                .init("complement", nil, "all but these"), .init("zero-terminated", "z", "lines end in NUL"),
                .init("", "n", "nothing (as in other cut's)"),
                .init("output-delimiter", nil, .text("TEXT"), "what stands between them in the output"),
            ],
            arguments: .init([.file], 0...1000), examples: ["cut -d : -f 1,3 nodes.txt", "cut -c 1-8 app.log"],
            group: .files, details: "A LIST: 1, 3-5, -2, 7-, with commas between.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let lists = ["fields", "characters", "bytes"].compactMap { arguments.text($0) }
            guard lists.count == 1 else { throw UsageError("cut: which part of the lines? one of -f, -c and -b") }
            let delimiter = Array((arguments.text("delimiter") ?? "\t").utf8)
            guard delimiter.count == 1 else { throw UsageError("cut: -d takes a single byte") }
            let list = try PositionList(lists[0], isComplement: arguments.has("complement"))
            let isFields = arguments.text("fields") != nil
            let joint = arguments.text("output-delimiter").map { Array($0.utf8) }
            let cut = Cut(
                invocation.process, arguments.arguments, list, delimiter: isFields ? delimiter[0] : nil,
                onlyDelimited: arguments.has("only-delimited"), joint: joint ?? (isFields ? delimiter : []))
            if arguments.has("zero-terminated") { cut.separator = 0 }
            return .running(cut)
        }
    }

    private final class Cut: LineTool {
        private let list: PositionList
        private let delimiter: UInt8?
        private let onlyDelimited: Bool
        private let joint: [UInt8]

        init(
            _ process: Process, _ files: [String], _ list: PositionList, delimiter: UInt8?, onlyDelimited: Bool,
            joint: [UInt8]
        ) {
            self.list = list
            self.delimiter = delimiter
            self.onlyDelimited = onlyDelimited
            self.joint = joint
            super.init(process, files: files)
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            guard let delimiter else {
                return write(bytes(of: line))
            }
            guard line.contains(delimiter) else {
                if !onlyDelimited { write(line) }
                return
            }
            let fields = line.split(separator: delimiter, omittingEmptySubsequences: false)
            let wanted = fields.enumerated().filter { list.contains($0.offset + 1) }.map(\.element)
            write(Array(wanted.joined(separator: joint)))
        }

        /// The bytes that the list names, with what is to stand between its ranges.
        private func bytes(of line: ArraySlice<UInt8>) -> [UInt8] {
            var result: [UInt8] = []
            for (index, byte) in line.enumerated() where list.contains(index + 1) {
                if !joint.isEmpty, !result.isEmpty, list.begins(index + 1) { result += joint }
                result.append(byte)
            }
            return result
        }
    }

    /// `1,3-5,-2,7-`
    private struct PositionList {
        private var ranges: [ClosedRange<Int>] = []
        private let isComplement: Bool

        init(_ text: String, isComplement: Bool) throws {
            self.isComplement = isComplement
            for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
                let edges = piece.split(separator: "-", omittingEmptySubsequences: false)
                let low = edges.first == "" ? 1 : edges.first.flatMap { Int($0) }
                let high = edges.count == 1 ? low : edges.last == "" ? Int.max : edges.last.flatMap { Int($0) }
                guard edges.count <= 2, piece != "-", let low, let high, low >= 1, low <= high else {
                    throw UsageError("cut: '\(piece)' is not a position such as 2, 3-5, -2 or 7-")
                }
                ranges.append(low...high)
            }
        }

        func contains(_ position: Int) -> Bool { ranges.contains { $0.contains(position) } != isComplement }

        /// Whether a range begins there that does not go on with what stands before.
        func begins(_ position: Int) -> Bool {
            if isComplement { return !contains(position - 1) }
            return !ranges.contains { $0.lowerBound < position && $0.contains(position) }
        }
    }
}

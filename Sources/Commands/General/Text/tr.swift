import CommandKit
import KernelStructures
import ShellLanguage
import ShellSession

extension GeneralCommands {
    static var tr: Command {
        let description = CommandDescription(
            "tr", "replaces, drops or squeezes characters", usage: "[-c] [-d] [-s] SET [SET]",
            flags: [
                .init("complement", "c", "what is not in the first set"), .init("delete", "d", "drops the first set"),
                .init("squeeze-repeats", "s", "of equal ones in a row one is left"),
            ],
            arguments: .init([.text], 1...2), examples: ["echo hello | tr a-z A-Z", "tr -d '\\r' < out.txt"],
            group: .files,
            details: "A set: abc, a-z, [:upper:], \\n, \\101. Single bytes, as in other tr's.")
        return Command(description) { invocation in
            .running(try Translation(invocation.process, invocation.arguments))
        }
    }

    /// Works on bytes as they come, whatever lines they make.
    private final class Translation: Program {
        private let process: Process
        private var map = (0...255).map { UInt8($0) }
        private var isDropped = [Bool](repeating: false, count: 256)
        private var isSqueezed = [Bool](repeating: false, count: 256)
        private var last: UInt8?

        init(_ process: Process, _ arguments: ParsedArguments) throws {
            self.process = process
            let words = arguments.arguments
            var first = try ByteSet.members(words[0])
            if arguments.has("complement") {
                let present = Set(first)
                first = (0...255).map { UInt8($0) }.filter { !present.contains($0) }
            }
            let deletes = arguments.has("delete")
            let squeezes = arguments.has("squeeze-repeats")
            guard words.count == 2 || deletes || squeezes else { throw UsageError("tr: '\(words[0])' by what?") }
            if deletes, words.count == 2, !squeezes { throw UsageError("tr: '\(words[1])' is too much with -d") }
            if deletes {
                for byte in first { isDropped[Int(byte)] = true }
            } else if words.count == 2 {
                let second = try ByteSet.members(words[1])
                guard let end = second.last else { throw UsageError("tr: the second set is empty") }
                for (index, byte) in first.enumerated() {
                    map[Int(byte)] = index < second.count ? second[index] : end
                }
            }
            if squeezes {
                for byte in words.count == 2 ? try ByteSet.members(words[1]) : first { isSqueezed[Int(byte)] = true }
            }
        }

        func start() {
            process.read(
                onBytes: { [weak self] in self?.take($0) }, onEnd: { [weak self] in self?.process.exit(0) })
        }

        private func take(_ bytes: [UInt8]) {
            guard process.isRunning else { return }
            var result: [UInt8] = []
            result.reserveCapacity(bytes.count)
            for byte in bytes where !isDropped[Int(byte)] {
                let new = map[Int(byte)]
                if isSqueezed[Int(new)], new == last { continue }
                last = new
                result.append(new)
            }
            process.output.write(result)
            if process.output.isBroken { return process.exit(141) }
            guard process.output.isCongested, process.pauseReading() else { return }
            process.output.onDrained = { [weak self] in self?.start() }
        }
    }

    /// The sets of `tr` (POSIX, the description of `tr`).
    private enum ByteSet {
        static func members(_ text: String) throws -> [UInt8] {
            var result: [UInt8] = []
            var rest = text[...]
            while !rest.isEmpty {
                if rest.hasPrefix("[:"), let end = rest.firstRange(of: ":]") {
                    let name = rest[rest.index(rest.startIndex, offsetBy: 2)..<end.lowerBound]
                    guard let known = CharacterClass(rawValue: String(name)) else {
                        throw UsageError("tr: there is no class '\(name)'")
                    }
                    result += known.asciiMembers
                    rest = rest[end.upperBound...]
                    continue
                }
                let low = bytes(&rest)
                guard rest.first == "-", rest.count > 1, low.count == 1 else {
                    result += low
                    continue
                }
                rest.removeFirst()
                let high = bytes(&rest)
                guard high.count == 1, low[0] <= high[0] else {
                    throw UsageError("tr: '\(text)': a range runs from a lower byte to a higher one")
                }
                result += Array(low[0]...high[0])
            }
            return result
        }

        /// One character, or what an escape stands for.
        private static func bytes(_ rest: inout Substring) -> [UInt8] {
            guard let first = rest.popFirst() else { return [] }
            guard first == "\\", let next = rest.popFirst() else { return Array(String(first).utf8) }
            var escape = "\\\(next)"
            if ("0"..."7").contains(next) {
                let digits = rest.prefix(2).prefix { ("0"..."7").contains($0) }
                rest = rest.dropFirst(digits.count)
                escape += digits
            }
            let resolved = EscapeSequences.resolve(escape, .format)
            // An escape that means nothing is the character itself.
            return resolved.count == 2 && resolved[0] == UInt8(ascii: "\\") ? [resolved[1]] : resolved
        }
    }
}

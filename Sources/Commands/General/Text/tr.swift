import CommandKit
import KernelStructures
import ShellLanguage
import ShellSession

extension GeneralCommands {
    static var tr: Command {
        let description = CommandDescription(
            "tr", "replaces, drops or squeezes characters", usage: "[-c] [-d] [-s] SET [SET]",
            flags: [
                .init("complement", "c", "what is not in the first set"), .init("", "C", "the same"),
                .init("truncate-set1", "t", "the first set is no longer than the second"),
                .init("delete", "d", "drops the first set"),
                .init("squeeze-repeats", "s", "of equal ones in a row one is left"),
            ],
            arguments: .init([.text], 1...2), examples: ["echo hello | tr a-z A-Z", "tr -d '\\r' < out.txt"],
            group: .files,
            details: "A set: abc, a-z, [:upper:], [x*], [x*3], \\n, \\101. Bytes, as in other tr's.")
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
            if arguments.has("complement") || arguments.has("C") {
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
                let second = try ByteSet.members(words[1], length: first.count)
                if arguments.has("truncate-set1") { first = Array(first.prefix(second.count)) }
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
        ///
        /// - Parameter length: to which `[x*]` fills the second set; nil for others.
        static func members(_ text: String, length: Int? = nil) throws -> [UInt8] {
            var result: [UInt8] = []
            var rest = text[...]
            var filled: (place: Int, byte: UInt8)?
            while !rest.isEmpty {
                if length != nil, let (byte, count, behind) = repetition(rest) {
                    rest = behind
                    if count == 0 {
                        filled = (result.count, byte)
                    } else {
                        result += Array(repeating: byte, count: count)
                    }
                    continue
                }
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
            if let filled, let length, result.count < length {
                let more = Array(repeating: filled.byte, count: length - result.count)
                result.insert(contentsOf: more, at: filled.place)
            }
            return result
        }

        /// `[x*]` and `[x*3]`; a count of 0 is as many as are needed.
        private static func repetition(_ text: Substring) -> (UInt8, count: Int, behind: Substring)? {
            guard text.first == "[" else { return nil }
            var rest = text.dropFirst()
            let byte = bytes(&rest)
            guard byte.count == 1, rest.popFirst() == "*" else { return nil }
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            guard rest.popFirst() == "]" else { return nil }
            let count = digits.isEmpty ? 0 : Int(digits, radix: digits.hasPrefix("0") ? 8 : 10) ?? 0
            return (byte[0], min(count, 256), rest)
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

import CommandKit
import KernelStructures
import ShellLanguage

/// `read`: one line, and not a byte more.
final class LineRead: Program {
    private let process: Process
    private unowned let shell: Execution
    private let names: [String]
    private let isRaw: Bool
    private let prompt: String?
    private var line: [UInt8] = []
    private var isDone = false
    /// Characters after which it ends; nil: none.
    var limit: Int?
    var delimiter = UInt8(ascii: "\n")
    /// Delimiters are characters like any other: `-N`.
    var takesAll = false
    var time: LabDuration?
    var array: String?
    /// Where it reads.
    var source = Process.InputStream.given
    private var count = 0
    /// Bytes that the last character still needs.
    private var missing = 0

    /// Bytes of a line.
    private static let limitBytes = VariableScope.valueLimitBytes

    init(_ process: Process, _ shell: Execution, names: [String], isRaw: Bool, prompt: String?) {
        self.process = process
        self.shell = shell
        self.names = names
        self.isRaw = isRaw
        self.prompt = prompt
    }

    func start() {
        if let prompt, !process.hasInput { process.errorOutput.write(prompt) }
        if let time, time <= .zero {
            // Nothing is read: is there something?
            return process.exit(process.hasInput ? 0 : 1)
        }
        if let time {
            _ = process.node.after(time) { [weak self] in
                guard let self, !isDone else { return }
                process.unread([], to: source)
                finish(142)
            }
        }
        if limit == 0 {
            // Nothing is wanted, and nothing taken.
            return finish(0)
        }
        process.read(source, onBytes: { [self] in take($0) }, onEnd: { [self] in finish(1) })
    }

    private func take(_ bytes: [UInt8]) {
        if isDone { return }
        for (index, byte) in bytes.enumerated() {
            guard byte == delimiter, !takesAll else {
                line.append(byte)
                guard isFull(with: byte) else { continue }
                process.unread(Array(bytes[(index + 1)...]), to: source)
                return finish(0)
            }
            // A backslash at its end joins it with the next line.
            if !isRaw, byte == 10, line.reversed().prefix(while: { $0 == 92 }).count % 2 == 1 {
                line.removeLast()
                continue
            }
            process.unread(Array(bytes[(index + 1)...]), to: source)
            return finish(0)
        }
        if line.count > Self.limitBytes {
            process.complain("a line of more than \(byteCountText(Self.limitBytes))")
            finish(2)
        }
    }

    /// Whether a byte completes the last character that is wanted.
    private func isFull(with byte: UInt8) -> Bool {
        guard let limit else { return false }
        // A character's first byte says how many follow it.
        missing =
            byte < 0x80 ? 0 : byte < 0xC0 ? max(0, missing - 1) : byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3
        if missing == 0 { count += 1 }
        return count >= limit
    }

    private func finish(_ status: Int) {
        if isDone { return }
        isDone = true
        do throws(CommandFailure) {
            let text = String(decoding: line, as: UTF8.self)
            if let array {
                let fields = LineFields(separators: shell.scope.value(of: "IFS"), isRaw: isRaw).all(text)
                try shell.scope.makeArray(array, isAssociative: false)
                try shell.scope.setArray(array, fields.map { (nil, $0) }, appends: false)
                return process.exit(status)
            }
            if takesAll {
                for (index, name) in (names.isEmpty ? ["REPLY"] : names).enumerated() {
                    try shell.scope.set(name, index == 0 ? text : "")
                }
                return process.exit(status)
            }
            let values = LineFields(separators: shell.scope.value(of: "IFS"), isRaw: isRaw)
                .split(
                    String(decoding: line, as: UTF8.self), into: max(1, names.count),
                    keepsBlanks: names.isEmpty)
            for (name, value) in zip(names.isEmpty ? ["REPLY"] : names, values) {
                try shell.scope.set(name, value)
            }
            process.exit(status)
        } catch {
            process.complain(error.description)
            process.exit(error.status)
        }
    }
}

/// How `read` splits a line (POSIX, the description of `read`): the last variable gets the rest as it stands, without
/// the blanks around it.
struct LineFields {
    private let separators: String
    private let isRaw: Bool

    init(separators: String?, isRaw: Bool) {
        self.separators = separators ?? " \t\n"
        self.isRaw = isRaw
    }

    private func isBlank(_ piece: GlobPattern.Piece) -> Bool {
        !piece.isQuoted && (piece.character == " " || piece.character == "\t" || piece.character == "\n")
            && separators.contains(piece.character)
    }

    private func isSeparator(_ piece: GlobPattern.Piece) -> Bool {
        !piece.isQuoted && separators.contains(piece.character)
    }

    func split(_ line: String, into count: Int, keepsBlanks: Bool) -> [String] {
        var rest = unescaped(line)[...]
        if keepsBlanks { return [String(rest.map(\.character))] }
        var values: [String] = []
        rest = rest.drop(while: isBlank)
        while values.count < count - 1 {
            let field = rest.prefix { !isSeparator($0) }
            values.append(String(field.map(\.character)))
            rest = rest.dropFirst(field.count).drop(while: isBlank)
            // One separator that is no blank belongs to the same edge, with the blanks behind it.
            if let first = rest.first, isSeparator(first), !isBlank(first) {
                rest = rest.dropFirst().drop(while: isBlank)
            }
        }
        values.append(last(rest))
        return values
    }

    /// All fields: `read -a`.
    func all(_ line: String) -> [String] {
        var rest = unescaped(line).drop(while: isBlank)
        while let end = rest.last, isBlank(end) { rest.removeLast() }
        var values: [String] = []
        while !rest.isEmpty {
            let field = rest.prefix { !isSeparator($0) }
            values.append(String(field.map(\.character)))
            rest = rest.dropFirst(field.count).drop(while: isBlank)
            if let first = rest.first, isSeparator(first), !isBlank(first) {
                rest = rest.dropFirst().drop(while: isBlank)
            }
        }
        return values
    }

    private func last(_ rest: ArraySlice<GlobPattern.Piece>) -> String {
        var rest = rest
        while let end = rest.last, isBlank(end) { rest.removeLast() }
        // If all that is left is one field and its separator, the separator goes, too.
        if let end = rest.last, isSeparator(end), !rest.dropLast().contains(where: isSeparator) {
            rest.removeLast()
            while let end = rest.last, isBlank(end) { rest.removeLast() }
        }
        return String(rest.map(\.character))
    }

    private func unescaped(_ line: String) -> [GlobPattern.Piece] {
        if isRaw { return line.map { ($0, false) } }
        var result: [GlobPattern.Piece] = []
        var isEscaped = false
        for character in line {
            if character == "\\", !isEscaped {
                isEscaped = true
            } else {
                result.append((character, isEscaped))
                isEscaped = false
            }
        }
        return result
    }
}

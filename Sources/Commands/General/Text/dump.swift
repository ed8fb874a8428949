import CommandKit
import KernelCryptography
import KernelStructures
import ShellSession

/// Bytes as numbers: `od`, `xxd`, `hexdump`.
extension GeneralCommands {
    static var od: Command {
        let description = CommandDescription(
            "od", "bytes as numbers", usage: "[-A d|o|x|n] [-t TYPE] [FILE…]",
            flags: [
                .init(
                    "address-radix", "A", .choice(["d", "o", "x", "n"]), "how places are counted (o); n: not at all"),
                .init("format", "t", .text("TYPE"), "x1, o1, u1, d1, x2, o2 (o2), u2, d2, x4, u4, d4, x8, c, a"),
                .init("", "c", "as -t c"), .init("", "b", "as -t o1"), .init("", "x", "as -t x2"),
                .init("", "o", "as -t o2"), .init("", "d", "as -t u2"), .init("", "i", "as -t d4"),
                .init("read-bytes", "N", .integer(0...Int.max), "no more than so many bytes"),
                .init("skip-bytes", "j", .integer(0...Int.max), "passes over so many first"),
                .init("width", "w", .integer(1...4096), "bytes of a line (16)"),
                .init("output-duplicates", "v", "lines that repeat, too"),
            ],
            arguments: .init([.file], 0...1000), examples: ["od -c out.txt", "od -An -tx1 out.bin"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let short = ["c": "c", "b": "o1", "x": "x2", "o": "o2", "d": "u2", "i": "d4"]
            let type = arguments.text("format") ?? short.first { arguments.has($0.key) }?.value ?? "o2"
            guard let shape = ByteShape(type) else {
                throw UsageError("od: -t: '\(type)' is not known here; see help od")
            }
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    let skipped = arguments.integer("skip-bytes") ?? 0
                    let all = sources.flatMap(\.bytes).dropFirst(skipped).prefix(
                        arguments.integer("read-bytes") ?? .max)
                    let dump = OctalDump(
                        shape: shape, radix: arguments.text("address-radix") ?? "o",
                        width: arguments.integer("width") ?? 16, showsAll: arguments.has("output-duplicates"))
                    tool.write(Array(dump.text(Array(all), from: skipped).utf8))
                    return 0
                })
        }
    }

    static var xxd: Command {
        let description = CommandDescription(
            "xxd", "bytes in hexadecimal, and back", usage: "[-p] [-r] [-u] [-c N] [-g N] [-l N] [-s N] [FILE]",
            flags: [
                .init("", "p", "digits only"), .init("", "r", "back to bytes"), .init("", "u", "capital digits"),
                .init("", "c", .integer(1...256), "bytes of a line (16, with -p 30)"),
                .init("", "g", .integer(0...256), "bytes of a group (2)"),
                .init("", "l", .integer(0...Int.max), "no more than so many bytes"),
                .init("", "s", .integer(0...Int.max), "passes over so many first"),
            ],
            arguments: .init([.file], 0...1), examples: ["xxd out.bin", "echo 68690a | xxd -r -p"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let isPlain = arguments.has("p")
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    guard let input = sources.first?.bytes else { return 2 }
                    if arguments.has("r") {
                        tool.write(isPlain ? plainBytes(input) : dumpedBytes(input))
                        return 0
                    }
                    let skipped = arguments.integer("s") ?? 0
                    let bytes = Array(input.dropFirst(skipped).prefix(arguments.integer("l") ?? .max))
                    let width = arguments.integer("c") ?? (isPlain ? 30 : 16)
                    var text = ""
                    for start in stride(from: 0, to: bytes.count, by: width) {
                        let line = bytes[start..<min(start + width, bytes.count)]
                        text +=
                            isPlain
                            ? Hexadecimal.encode(line) + "\n"
                            : dumpLine(line, start + skipped, width, group: arguments.integer("g") ?? 2)
                    }
                    tool.write(Array((arguments.has("u") ? upper(text, isPlain) : text).utf8))
                    return 0
                })
        }
    }

    private static func upper(_ text: String, _ isPlain: Bool) -> String {
        if isPlain { return text.uppercased() }
        return text.split(separator: "\n").map { line in
            guard let end = line.firstRange(of: "  ") else { return String(line) }
            return line.prefix(10) + line[line.index(line.startIndex, offsetBy: 10)..<end.lowerBound].uppercased()
                + line[end.lowerBound...] + "\n"
        }.joined()
    }

    private static func dumpLine(_ line: ArraySlice<UInt8>, _ place: Int, _ width: Int, group: Int) -> String {
        var digits = ""
        for (index, byte) in line.enumerated() {
            if index > 0, group > 0, index % group == 0 { digits += " " }
            digits += Hexadecimal.encode([byte])
        }
        let groups = group > 0 ? (width + group - 1) / group : 1
        let space = String(repeating: " ", count: max(0, 2 * width + groups - 1 - digits.count))
        return "\(padded(String(place, radix: 16), 8)): \(digits)\(space)  \(ByteShape.visible(line))\n"
    }

    private static func padded(_ digits: String, _ count: Int) -> String {
        String(repeating: "0", count: max(0, count - digits.count)) + digits
    }

    private static func plainBytes(_ text: [UInt8]) -> [UInt8] {
        let digits = text.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }

    /// Of lines as xxd writes them: what stands between the colon and two blanks.
    private static func dumpedBytes(_ text: [UInt8]) -> [UInt8] {
        text.split(separator: 10).flatMap { line -> [UInt8] in
            guard let colon = line.firstIndex(of: 58) else { return [] }
            let rest = Array(line[(colon + 1)...].drop { $0 == 32 })
            let end = rest.indices.dropLast().first { rest[$0] == 32 && rest[$0 + 1] == 32 } ?? rest.count
            return plainBytes(Array(rest[..<end]))
        }
    }

    static var hexdump: Command {
        let description = CommandDescription(
            "hexdump", "bytes in hexadecimal", usage: "[-C] [-v] [-n N] [-s N] [FILE…]",
            flags: [
                .init("canonical", "C", "bytes, and what can be seen of them"),
                .init("length", "n", .integer(0...Int.max), "no more than so many bytes"),
                .init("skip", "s", .integer(0...Int.max), "passes over so many first"),
                .init("no-squeezing", "v", "lines that repeat, too"),
            ],
            arguments: .init([.file], 0...1000), examples: ["hexdump -C out.bin"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    let skipped = arguments.integer("skip") ?? 0
                    let all = sources.flatMap(\.bytes).dropFirst(skipped).prefix(arguments.integer("length") ?? .max)
                    let text = hexadecimal(
                        Array(all), from: skipped, isCanonical: arguments.has("canonical"),
                        showsAll: arguments.has("no-squeezing"))
                    tool.write(Array(text.utf8))
                    return 0
                })
        }
    }

    private static func hexadecimal(_ bytes: [UInt8], from first: Int, isCanonical: Bool, showsAll: Bool) -> String {
        if bytes.isEmpty { return "" }
        var text = ""
        var before: ArraySlice<UInt8>?
        var isStarred = false
        func place(_ offset: Int) -> String { padded(String(offset, radix: 16), isCanonical ? 8 : 7) }
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let line = bytes[start..<min(start + 16, bytes.count)]
            if !showsAll, let before, before.elementsEqual(line) {
                if !isStarred { text += "*\n" }
                isStarred = true
                continue
            }
            (before, isStarred) = (line, false)
            if isCanonical {
                var digits = ""
                for (index, byte) in line.enumerated() {
                    digits += (index == 8 ? "  " : " ") + Hexadecimal.encode([byte])
                }
                let space = String(repeating: " ", count: 49 - digits.count)
                text += "\(place(first + start)) \(digits)\(space)  |\(ByteShape.visible(line))|\n"
            } else {
                let words = stride(from: line.startIndex, to: line.endIndex, by: 2).map { index in
                    " "
                        + padded(
                            String(
                                Int(line[index]) + (index + 1 < line.endIndex ? Int(line[index + 1]) << 8 : 0),
                                radix: 16), 4)
                }
                let space = String(repeating: " ", count: 5 * (8 - words.count))
                text += place(first + start) + words.joined() + space + "\n"
            }
        }
        return text + place(first + bytes.count) + "\n"
    }
}

/// How `od` shows bytes.
struct ByteShape {
    let kind: Character
    let size: Int

    init?(_ type: String) {
        var rest = type[...]
        guard let kind = rest.popFirst(), "acdoux".contains(kind) else { return nil }
        let sizes = ["C": 1, "S": 2, "I": 4, "L": 8]
        let isCharacter = kind == "a" || kind == "c"
        guard let size = rest.isEmpty ? (isCharacter ? 1 : 4) : sizes[String(rest)] ?? Int(rest),
            [1, 2, 4, 8].contains(size), !isCharacter || rest.isEmpty
        else { return nil }
        self.kind = kind
        self.size = size
    }

    /// What can be seen, and points for the rest.
    static func visible(_ bytes: ArraySlice<UInt8>) -> String {
        String(String.UnicodeScalarView(bytes.map { (32...126).contains($0) ? UnicodeScalar($0) : "." }))
    }

    /// Columns of a number without the blank before it.
    var width: Int {
        switch kind {
        case "x": 2 * size
        case "o": [1: 3, 2: 6, 4: 11, 8: 22][size] ?? 0
        case "u": [1: 3, 2: 5, 4: 10, 8: 20][size] ?? 0
        case "d": [1: 4, 2: 6, 4: 11, 8: 20][size] ?? 0
        default: 3
        }
    }

    private static let names = [
        "nul", "soh", "stx", "etx", "eot", "enq", "ack", "bel", "bs", "ht", "nl", "vt", "ff", "cr", "so", "si", "dle",
        "dc1", "dc2", "dc3", "dc4", "nak", "syn", "etb", "can", "em", "sub", "esc", "fs", "gs", "rs", "us", "sp",
    ]
    private static let escapes: [UInt8: String] = [
        0: "\\0", 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r",
    ]

    func text(_ bytes: ArraySlice<UInt8>) -> String {
        var value: UInt64 = 0
        for byte in bytes.reversed() { value = value << 8 | UInt64(byte) }
        let text: String
        var fill: Character = " "
        switch kind {
        case "x": (text, fill) = (String(value, radix: 16), "0")
        case "o": (text, fill) = (String(value, radix: 8), "0")
        case "u": text = String(value)
        case "d": text = String(Int64(bitPattern: value << UInt64(64 - 8 * size)) >> Int64(64 - 8 * size))
        case "a":
            let byte = Int(bytes.first ?? 0) & 127
            text = byte == 127 ? "del" : byte <= 32 ? Self.names[byte] : String(UnicodeScalar(UInt8(byte)))
        default:
            let byte = bytes.first ?? 0
            if let escape = Self.escapes[byte] {
                text = escape
            } else if (32...126).contains(byte) {
                text = String(UnicodeScalar(byte))
            } else {
                let digits = String(byte, radix: 8)
                text = String(repeating: "0", count: 3 - digits.count) + digits
            }
        }
        return " " + String(repeating: fill, count: max(0, width - text.count)) + text
    }
}

private struct OctalDump {
    let shape: ByteShape
    let radix: String
    let width: Int
    let showsAll: Bool

    private func place(_ offset: Int) -> String {
        if radix == "n" { return "" }
        let digits = String(offset, radix: radix == "d" ? 10 : radix == "x" ? 16 : 8)
        return String(repeating: "0", count: max(0, (radix == "x" ? 6 : 7) - digits.count)) + digits
    }

    func text(_ bytes: [UInt8], from first: Int) -> String {
        var text = ""
        var before: ArraySlice<UInt8>?
        var isStarred = false
        for start in stride(from: 0, to: bytes.count, by: width) {
            let line = bytes[start..<min(start + width, bytes.count)]
            if !showsAll, line.count == width, let before, before.elementsEqual(line) {
                if !isStarred { text += "*\n" }
                isStarred = true
                continue
            }
            (before, isStarred) = (line, false)
            text += place(first + start)
            for place in stride(from: line.startIndex, to: line.endIndex, by: shape.size) {
                text += shape.text(line[place..<min(place + shape.size, line.endIndex)])
            }
            text += "\n"
        }
        return radix == "n" ? text : text + place(first + bytes.count) + "\n"
    }
}

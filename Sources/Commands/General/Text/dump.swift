import CommandKit
import Glibc
import KernelStructures
import ShellSession

/// Bytes as numbers: `od`.
extension GeneralCommands {
    static var od: Command {
        func page(isRaw: Bool) -> CommandDescription {
            CommandDescription(
                "od", "bytes as numbers", usage: "[-A d|o|x|n] [-t TYPE]… [-j N] [-N N] [FILE…]",
                flags: [
                    .init(
                        "address-radix", "A", .choice(["d", "o", "x", "n"]),
                        "how places are counted (o); n: not at all"),
                    .init(
                        "format", "t", .text("TYPE"), repeatable: true,
                        "a, c, or d, o, u, x with 1, 2, 4 or 8 bytes, f with 4 or 8 (o2); z behind it: as text, too"),
                    .init("", "a", "as -t a"), .init("", "b", "as -t o1"), .init("", "c", "as -t c"),
                    .init("", "d", "as -t u2"), .init("", "f", "as -t f4"), .init("", "i", "as -t d4"),
                    .init("", "l", "as -t d8"), .init("", "o", "as -t o2"), .init("", "s", "as -t d2"),
                    .init("", "x", "as -t x2"),
                    .init("read-bytes", "N", .text("N"), "no more than so many bytes; 16, 0x10, 1k"),
                    .init("skip-bytes", "j", .text("N"), "passes over so many first"),
                    .init("width", "w", .integer(1...4096), "bytes of a line (16)"),
                    .init("endian", nil, .choice(["little", "big"]), "which byte of a number comes first (little)"),
                    .init("output-duplicates", "v", "lines that repeat, too"),
                ],
                arguments: .init([.file], 0...1000, isRaw: isRaw), examples: ["od -c out.txt", "od -An -tx1 out.bin"],
                group: .files)
        }
        return Command(page(isRaw: true)) { invocation in
            let arguments = try ParsedArguments(
                typesInOrder(invocation.arguments.arguments), for: page(isRaw: false).following(.tool(usageStatus: 1)))
            let types = arguments.texts("format")
            let shapes = try (types.isEmpty ? ["o2"] : types).flatMap { type in
                guard let shapes = ByteShape.all(type, isBig: arguments.text("endian") == "big") else {
                    throw UsageError("od: -t: '\(type)' is not known here; see help od")
                }
                return shapes
            }
            let skipped = try byteAmount(arguments.text("skip-bytes") ?? "0", "od: -j")
            let limit = try arguments.text("read-bytes").map { try byteAmount($0, "od: -N") } ?? .max
            let dump = OctalDump(
                shapes: shapes, radix: arguments.text("address-radix") ?? "o", width: arguments.integer("width") ?? 16)
            let rows = RowDump(
                invocation.process, files: arguments.arguments, width: dump.width, skipped: skipped, limit: limit,
                squeezes: !arguments.has("output-duplicates"), row: { dump.rows($0, at: $1) },
                ending: { dump.ending(at: $0) })
            rows.shortComplaint = "cannot skip past end of combined input"
            return .running(rows)
        }
    }

    /// The letters that stand for types as `-t`, so that all types are in the order in which they were written.
    private static func typesInOrder(_ words: [String]) -> [String] {
        let types: [Character: String] = [
            "a": "a", "b": "o1", "c": "c", "d": "u2", "f": "f4", "i": "d4", "l": "d8", "o": "o2", "s": "d2", "x": "x2",
        ]
        var result: [String] = []
        for (index, word) in words.enumerated() {
            if word == "--" { return result + words[index...] }
            guard word.hasPrefix("-"), !word.hasPrefix("--"), word.count > 1,
                !(index > 0 && takesValue(words[index - 1]))
            else {
                result.append(word)
                continue
            }
            var letters = word.dropFirst()
            while let letter = letters.popFirst() {
                if let type = types[letter] {
                    result += ["-t", type]
                } else if "AtNjw".contains(letter) {
                    // A width of its own is in the same word.
                    result +=
                        letter == "w" ? ["-w", letters.isEmpty ? "32" : String(letters)] : ["-\(letter)\(letters)"]
                    letters = ""
                } else {
                    result.append("-\(letter)")
                }
            }
        }
        return result
    }

    private static func takesValue(_ word: String) -> Bool {
        word.hasPrefix("-") && !word.hasPrefix("--") && "AtNj".contains(word.last ?? "-")
            && word.dropFirst().dropLast().allSatisfy { "abcdfiloxsv".contains($0) }
    }

    /// `16`, `0x10`, `010`, `1k`, `2M`, `1b`.
    static func byteAmount(_ word: String, _ name: String) throws -> Int {
        let isHex = word.hasPrefix("0x") || word.hasPrefix("0X")
        let text = isHex ? word.dropFirst(2) : word[...]
        let digits = text.prefix { isHex ? $0.isASCII && $0.isHexDigit : $0.isASCII && $0.isNumber }
        let units = [
            "": 1, "b": 512, "kB": 1000, "k": 1024, "K": 1024, "KiB": 1024, "MB": 1_000_000, "m": 1 << 20,
            "M": 1 << 20, "MiB": 1 << 20, "G": 1 << 30,
        ]
        let radix = isHex ? 16 : digits.hasPrefix("0") && digits.count > 1 ? 8 : 10
        guard let number = Int(digits, radix: radix), let unit = units[String(text.dropFirst(digits.count))] else {
            throw UsageError("\(name): '\(word)' is not a number of bytes")
        }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        if overflow { throw UsageError("\(name): '\(word)' is too large") }
        return product
    }
}

/// How `od` shows bytes.
struct ByteShape {
    let kind: Character
    let size: Int
    let isBig: Bool
    /// `z`: what can be seen of the bytes stands behind them.
    let showsText: Bool

    /// Those of `x1`, `c`, `x1z`, `x2c`; nil if one is none.
    static func all(_ type: String, isBig: Bool) -> [ByteShape]? {
        var rest = type[...]
        var shapes: [ByteShape] = []
        while let kind = rest.popFirst() {
            guard "acdfoux".contains(kind) else { return nil }
            let isCharacter = kind == "a" || kind == "c"
            var size = isCharacter ? 1 : kind == "f" ? 8 : 4
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            if let letter = rest.first, let known = ["C": 1, "S": 2, "I": 4, "L": 8, "F": 4, "D": 8][letter] {
                rest.removeFirst()
                size = known
            } else if !digits.isEmpty {
                rest = rest.dropFirst(digits.count)
                size = Int(digits) ?? 0
            }
            guard kind == "f" ? size == 4 || size == 8 : isCharacter ? size == 1 : [1, 2, 4, 8].contains(size) else {
                return nil
            }
            let showsText = rest.first == "z"
            if showsText { rest.removeFirst() }
            shapes.append(ByteShape(kind: kind, size: size, isBig: isBig, showsText: showsText))
        }
        return shapes.isEmpty ? nil : shapes
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
        case "f": size == 4 ? 15 : 24
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

    /// The digits of a number that is not there whole, its bytes beyond the end being 0.
    func text(_ bytes: ArraySlice<UInt8>) -> String {
        var value: UInt64 = 0
        let whole = Array(bytes) + Array(repeating: 0, count: max(0, size - bytes.count))
        for byte in isBig ? whole : whole.reversed() { value = value << 8 | UInt64(byte) }
        let text: String
        var fill: Character = " "
        switch kind {
        case "x": (text, fill) = (String(value, radix: 16), "0")
        case "o": (text, fill) = (String(value, radix: 8), "0")
        case "u": text = String(value)
        case "d": text = String(Int64(bitPattern: value << UInt64(64 - 8 * size)) >> Int64(64 - 8 * size))
        case "f": text = Self.shortest(value, size)
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
                text = String(byte, radix: 8).leftPadded(to: 3, with: "0")
            }
        }
        // Signs stand on the right, digits are filled up.
        return String(repeating: fill, count: fill == "0" ? max(0, width - text.count) : 0) + text
    }

    /// As few digits as tell it from its neighbours.
    private static func shortest(_ bits: UInt64, _ size: Int) -> String {
        let value = size == 4 ? Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))) : Double(bitPattern: bits)
        for digits in size == 4 ? 6...9 : 15...17 {
            let text = AwkNumber.formatted(value, "%.\(digits)g")
            if size == 4 ? strtof(text, nil) == Float(value) : strtod(text, nil) == value { return text }
        }
        return AwkNumber.formatted(value, "%g")
    }
}

private struct OctalDump {
    let shapes: [ByteShape]
    let radix: String
    let width: Int

    private func place(_ offset: Int) -> String {
        if radix == "n" { return "" }
        return String(offset, radix: radix == "d" ? 10 : radix == "x" ? 16 : 8)
            .leftPadded(to: radix == "x" ? 6 : 7, with: "0")
    }

    /// One row of each type, the first with the place.
    func rows(_ line: ArraySlice<UInt8>, at offset: Int) -> String {
        // Several types stand below one another: the widest says how wide a line is.
        let wide = shapes.map { ($0.width + 1) * fields($0) }.max() ?? 0
        let indent = String(repeating: " ", count: place(0).count)
        var text = ""
        for (index, shape) in shapes.enumerated() {
            text += (index == 0 ? place(offset) : indent) + row(shape, line, wide) + "\n"
        }
        return text
    }

    func ending(at offset: Int) -> String { radix == "n" ? "" : place(offset) + "\n" }

    private func fields(_ shape: ByteShape) -> Int { max(1, (width + shape.size - 1) / shape.size) }

    /// The blanks that a line has too many are spread over its numbers.
    private func row(_ shape: ByteShape, _ line: ArraySlice<UInt8>, _ wide: Int) -> String {
        var row = ""
        let count = fields(shape)
        let pad = wide - shape.width * count
        var left = pad
        var place = line.startIndex
        for index in stride(from: count, to: 0, by: -1) {
            let next = pad * (index - 1) / count
            let columns = left - next + shape.width
            left = next
            if place < line.endIndex {
                let text = shape.text(line[place..<min(place + shape.size, line.endIndex)])
                row += text.leftPadded(to: columns)
            } else if shape.showsText {
                row += String(repeating: " ", count: columns)
            }
            place += shape.size
        }
        return shape.showsText ? row + "  >\(ByteShape.visible(line))<" : row
    }
}

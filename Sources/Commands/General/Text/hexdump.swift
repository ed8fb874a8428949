import CommandKit
import KernelCryptography
import KernelStructures
import ShellSession

/// Bytes in hexadecimal: `hexdump`.
extension GeneralCommands {
    static var hexdump: Command {
        let description = CommandDescription(
            "hexdump", "bytes in hexadecimal", usage: "[-C|-b|-c|-d|-o|-x] [-v] [-n N] [-s N] [FILE…]",
            flags: [
                .init("canonical", "C", "bytes, and what can be seen of them"),
                .init("one-byte-octal", "b", "bytes, octal"), .init("one-byte-char", "c", "bytes as characters"),
                .init("two-bytes-decimal", "d", "pairs of bytes, decimal"),
                .init("two-bytes-octal", "o", "the same, octal"),
                .init("two-bytes-hex", "x", "the same, further apart"),
                .init("length", "n", .text("N"), "no more than so many bytes"),
                .init("skip", "s", .text("N"), "passes over so many first"),
                .init("no-squeezing", "v", "lines that repeat, too"),
            ],
            arguments: .init([.file], 0...1000), examples: ["hexdump -C out.bin"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let skipped = try byteAmount(arguments.text("skip") ?? "0", "hexdump: -s")
            let limit = try arguments.text("length").map { try byteAmount($0, "hexdump: -n") } ?? .max
            let kind = "Cbcdox".first { arguments.has(String($0)) } ?? " "
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    if sources.isEmpty { return 1 }
                    let all = sources.flatMap(\.bytes).dropFirst(skipped).prefix(limit)
                    let text = hexadecimal(
                        Array(all), from: skipped, kind, showsAll: arguments.has("no-squeezing"))
                    tool.write(Array(text.utf8))
                    return 0
                })
        }
    }

    private static func hexadecimal(_ bytes: [UInt8], from first: Int, _ kind: Character, showsAll: Bool) -> String {
        if bytes.isEmpty { return "" }
        var text = ""
        var before: ArraySlice<UInt8>?
        var isStarred = false
        func place(_ offset: Int) -> String { String(offset, radix: 16).leftPadded(to: kind == "C" ? 8 : 7, with: "0") }
        for start in stride(from: 0, to: bytes.count, by: 16) {
            let line = bytes[start..<min(start + 16, bytes.count)]
            if !showsAll, let before, before.elementsEqual(line) {
                if !isStarred { text += "*\n" }
                isStarred = true
                continue
            }
            (before, isStarred) = (line, false)
            text += place(first + start) + (kind == "C" ? canonical(line) : row(line, kind)) + "\n"
        }
        return text + place(first + bytes.count) + "\n"
    }

    private static func canonical(_ line: ArraySlice<UInt8>) -> String {
        var digits = " "
        for (index, byte) in line.enumerated() { digits += (index == 8 ? "  " : " ") + Hexadecimal.encode([byte]) }
        return digits + String(repeating: " ", count: 50 - digits.count) + "  |\(ByteShape.visible(line))|"
    }

    /// Sixteen bytes or eight pairs of them, with blanks for those that are missing.
    private static func row(_ line: ArraySlice<UInt8>, _ kind: Character) -> String {
        if kind == "b" || kind == "c" {
            let shape = ByteShape(kind: kind == "b" ? "o" : "c", size: 1, isBig: false, showsText: false)
            let cells = line.map { shape.text([$0]).leftPadded(to: 4) }
            return cells.joined() + String(repeating: " ", count: 4 * (16 - cells.count))
        }
        let (width, digits, radix) = ["d": (8, 5, 10), "o": (8, 6, 8), "x": (8, 4, 16)][kind] ?? (5, 4, 16)
        let cells = stride(from: line.startIndex, to: line.endIndex, by: 2).map { index in
            let value = Int(line[index]) + (index + 1 < line.endIndex ? Int(line[index + 1]) << 8 : 0)
            return String(value, radix: radix).leftPadded(to: digits, with: "0").leftPadded(to: width)
        }
        return cells.joined() + String(repeating: " ", count: width * (8 - cells.count))
    }
}

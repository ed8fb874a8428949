import CommandKit
import KernelCryptography
import KernelStructures
import ShellSession

/// Bytes in hexadecimal: `hexdump`.
extension GeneralCommands {
    static var hexdump: Command {
        let description = CommandDescription(
            "hexdump", "bytes in hexadecimal", usage: "[-C|-b|-c|-d|-o|-x|-e FORMAT] [-v] [-n N] [-s N] [FILE…]",
            flags: [
                .init("canonical", "C", "bytes, and what can be seen of them"),
                .init("one-byte-octal", "b", "bytes, octal"), .init("one-byte-char", "c", "bytes as characters"),
                .init("two-bytes-decimal", "d", "pairs of bytes, decimal"),
                .init("two-bytes-octal", "o", "the same, octal"),
                .init("two-bytes-hex", "x", "the same, further apart"),
                .init("length", "n", .text("N"), "no more than so many bytes"),
                .init("skip", "s", .text("N"), "passes over so many first"),
                .init("no-squeezing", "v", "lines that repeat, too"),
                .init("format", "e", .text("FORMAT"), repeatable: true, "rows of one's own: 4/1 \"%02x \" \"\\n\""),
            ],
            arguments: .init([.file], 0...1000), examples: ["hexdump -C out.bin"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let skipped = try byteAmount(arguments.text("skip") ?? "0", "hexdump: -s")
            let limit = try arguments.text("length").map { try byteAmount($0, "hexdump: -n") } ?? .max
            let formats = arguments.texts("format")
            if !formats.isEmpty {
                let format = try HexdumpFormat(formats)
                return .running(
                    RowDump(
                        invocation.process, files: arguments.arguments, width: format.width, skipped: skipped,
                        limit: limit, squeezes: !arguments.has("no-squeezing"), row: { format.row($0, at: $1) }))
            }
            let kind = "Cbcdox".first { arguments.has(String($0)) } ?? " "
            func place(_ offset: Int) -> String {
                String(offset, radix: 16).leftPadded(to: kind == "C" ? 8 : 7, with: "0")
            }
            return .running(
                RowDump(
                    invocation.process, files: arguments.arguments, width: 16, skipped: skipped, limit: limit,
                    squeezes: !arguments.has("no-squeezing"),
                    row: { place($1) + (kind == "C" ? canonical($0) : row($0, kind)) + "\n" },
                    ending: { $0 <= skipped ? "" : place($0) + "\n" }))
        }
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

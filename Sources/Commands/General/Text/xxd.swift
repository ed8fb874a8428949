import CommandKit
import KernelCryptography
import KernelStructures
import ShellSession

/// Bytes in hexadecimal: `xxd`, and back from it.
extension GeneralCommands {
    static var xxd: Command {
        func page(isRaw: Bool) -> CommandDescription {
            CommandDescription(
                "xxd", "bytes in hexadecimal, and back",
                usage: "[-p|-i|-b] [-r] [-u] [-c N] [-g N] [-l N] [-s N] [FILE]",
                flags: [
                    .init("", "p", "digits only"), .init("", "r", "back to bytes"), .init("", "u", "capital digits"),
                    .init("", "b", "bits"), .init("", "i", "as an array of C"),
                    .init("", "c", .integer(1...256), "bytes of a line (16, with -p 30, -i 12, -b 6)"),
                    .init("", "g", .integer(0...256), "bytes of a group (2, with -b 1)"),
                    .init("", "l", .text("N"), "no more than so many bytes"),
                    .init("", "s", .text("N"), "passes over so many first"),
                ],
                arguments: .init([.file], isRaw ? 0...100 : 0...1, isRaw: isRaw),
                examples: ["xxd out.bin", "echo 68690a | xxd -r -p"],
                group: .files)
        }
        return Command(page(isRaw: true)) { invocation in
            // Its long flags have one dash.
            let long = [
                "-ps": "-p", "-plain": "-p", "-postscript": "-p", "-revert": "-r", "-bits": "-b", "-include": "-i",
                "-cols": "-c", "-len": "-l", "-seek": "-s", "-groupsize": "-g",
            ]
            let arguments = try ParsedArguments(
                invocation.arguments.arguments.map { long[$0] ?? $0 },
                for: page(isRaw: false).following(.tool(usageStatus: 1)))
            let skipped = try byteAmount(arguments.text("s") ?? "0", "xxd: -s")
            let limit = try arguments.text("l").map { try byteAmount($0, "xxd: -l") } ?? .max
            let isPlain = arguments.has("p")
            let isUpper = arguments.has("u")
            if !arguments.has("r"), !arguments.has("i") {
                let isBits = arguments.has("b") && !isPlain
                let width = arguments.integer("c") ?? (isPlain ? 30 : isBits ? 6 : 16)
                let shape = XXDShape(
                    width: width, group: arguments.integer("g") ?? (isBits ? 1 : 2), isBits: isBits,
                    isUpper: isUpper)
                let rows = RowDump(
                    invocation.process, files: arguments.arguments, width: width, skipped: skipped, limit: limit,
                    squeezes: false, row: { isPlain ? shape.digits($0, group: 0) + "\n" : shape.line($0, $1) })
                rows.missStatus = 2
                return .running(rows)
            }
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    guard let source = sources.first else { return 2 }
                    if arguments.has("r") {
                        tool.write(isPlain ? plainBytes(source.bytes) : try dumpedBytes(source.bytes))
                        return 0
                    }
                    let bytes = Array(source.bytes.dropFirst(skipped).prefix(limit))
                    let text = array(bytes, source.name, arguments.integer("c") ?? 12, isUpper)
                    tool.write(Array(text.utf8))
                    return 0
                })
        }
    }

    private struct XXDShape {
        let width: Int
        let group: Int
        let isBits: Bool
        let isUpper: Bool

        func digits(_ bytes: ArraySlice<UInt8>, group: Int) -> String {
            var result = ""
            for (index, byte) in bytes.enumerated() {
                if index > 0, group > 0, index % group == 0 { result += " " }
                result += String(byte, radix: isBits ? 2 : 16, uppercase: isUpper)
                    .leftPadded(to: isBits ? 8 : 2, with: "0")
            }
            return result
        }

        func line(_ line: ArraySlice<UInt8>, _ place: Int) -> String {
            let digits = digits(line, group: group)
            let groups = group > 0 ? (width + group - 1) / group : 1
            let columns = (isBits ? 8 : 2) * width + groups - 1
            let address = String(place, radix: 16).leftPadded(to: 8, with: "0")
            return "\(address): \(digits.rightPadded(to: columns))  \(ByteShape.visible(line))\n"
        }
    }

    /// `-i`: with the name of a file, the whole declaration.
    private static func array(_ bytes: [UInt8], _ name: String, _ width: Int, _ isUpper: Bool) -> String {
        let shape = XXDShape(width: width, group: 0, isBits: false, isUpper: isUpper)
        let lines = stride(from: 0, to: bytes.count, by: width).map { start in
            "  "
                + bytes[start..<min(start + width, bytes.count)].map {
                    (isUpper ? "0X" : "0x") + shape.digits([$0], group: 0)
                }.joined(separator: ", ")
        }
        let body = lines.joined(separator: ",\n") + (lines.isEmpty ? "" : "\n")
        if name == "-" { return body }
        let word = String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        return "unsigned char \(word)[] = {\n\(body)};\nunsigned int \(word)_len = \(bytes.count);\n"
    }

    private static func plainBytes(_ text: some Sequence<UInt8>) -> [UInt8] {
        let digits = text.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }

    /// Of lines as xxd writes them: what stands between the colon and two blanks, each at its place.
    private static func dumpedBytes(_ text: [UInt8]) throws -> [UInt8] {
        var result: [UInt8] = []
        for line in text.split(separator: 10) {
            guard let colon = line.firstIndex(of: 58) else { continue }
            let rest = Array(line[(colon + 1)...].drop { $0 == 32 })
            let end = rest.indices.dropLast().first { rest[$0] == 32 && rest[$0 + 1] == 32 } ?? rest.count
            let bytes = plainBytes(rest[..<end])
            let address = Int(String(decoding: line[..<colon], as: UTF8.self).trimmingBlanks, radix: 16) ?? result.count
            guard address >= 0, address <= LabFiles.readLimit - bytes.count else {
                throw CommandFailure("an address beyond \(byteCountText(LabFiles.readLimit))")
            }
            if address > result.count { result += Array(repeating: 0, count: address - result.count) }
            result.replaceSubrange(address..<min(address + bytes.count, result.count), with: bytes)
        }
        return result
    }
}

import CommandKit
import KernelCryptography
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var checksums: [Command] {
        [
            checksum("md5sum", .md5), checksum("sha1sum", .sha1), checksum("sha256sum", .sha256),
            checksum("sha384sum", .sha384), checksum("sha512sum", .sha512), base64,
        ]
    }

    private static func checksum(_ name: String, _ digest: MessageDigest) -> Command {
        let description = CommandDescription(
            name, "\(digest.rawValue.uppercased()) of files, or of what it is given", usage: "[-c] [FILE…]",
            flags: [
                .init("check", "c", "compares files with what such a list says of them"),
                .init("quiet", nil, "with -c nothing of those that fit"),
                .init("status", nil, "with -c only the status"),
                .init("binary", "b", "a * before names"), .init("text", "t", "a blank before names (always)"),
                .init("zero", "z", "lines end in NUL"), .init("tag", nil, "as BSD writes it"),
            ],
            arguments: .init([.file], 0...1000),
            examples: ["\(name) lb.yaml", "\(name) lb.yaml > sums; \(name) -c sums"], group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    if arguments.has("check") { return check(tool, sources, digest, arguments) }
                    let end = arguments.has("zero") ? "\0" : "\n"
                    for source in sources {
                        let text = Hexadecimal.encode(digest.digest(of: source.bytes))
                        let line =
                            arguments.has("tag")
                            ? "\(digest.rawValue.uppercased()) (\(source.name)) = \(text)"
                            : "\(text) \(arguments.has("binary") ? "*" : " ")\(source.name)"
                        tool.write(Array((line + end).utf8))
                    }
                    return 0
                })
        }
    }

    private static func check(
        _ tool: WholeInput, _ sources: [WholeInput.Source], _ digest: MessageDigest, _ arguments: ParsedArguments
    ) -> Int {
        var mismatches = 0
        var missing = 0
        var malformed = 0
        var count = 0
        let isSilent = arguments.has("status")
        for line in sources.flatMap(\.lines) {
            let text = String(decoding: line, as: UTF8.self)
            let sum = text.prefix { $0.isHexDigit }
            let rest = text.dropFirst(sum.count)
            guard sum.count == 2 * digest.byteCount, rest.count > 2, rest.hasPrefix("  ") || rest.hasPrefix(" *") else {
                malformed += 1
                continue
            }
            count += 1
            let name = String(rest.dropFirst(2))
            guard let bytes = try? tool.process.session.files.read(name) else {
                missing += 1
                tool.process.complain("\(name): No such file or directory")
                if !isSilent { tool.process.print("\(name): FAILED open or read") }
                continue
            }
            let fits = Hexadecimal.encode(digest.digest(of: bytes)) == sum.lowercased()
            if !fits { mismatches += 1 }
            if !isSilent, !fits || !arguments.has("quiet") { tool.process.print("\(name): \(fits ? "OK" : "FAILED")") }
        }
        if count == 0 {
            tool.process.complain("no line of a checksum was found")
            return 1
        }
        func warn(_ count: Int, _ text: String) {
            if count > 0, !isSilent { tool.process.complain("WARNING: \(count) \(text)") }
        }
        warn(malformed, "line\(malformed == 1 ? " is" : "s are") improperly formatted")
        warn(missing, "listed file\(missing == 1 ? "" : "s") could not be read")
        warn(mismatches, "computed checksum\(mismatches == 1 ? "" : "s") did NOT match")
        return mismatches + missing > 0 ? 1 : 0
    }

    private static var base64: Command {
        let description = CommandDescription(
            "base64", "bytes as letters, and back", usage: "[-d] [-w N] [FILE]",
            flags: [
                .init("decode", "d", "back to bytes"),
                .init("ignore-garbage", "i", "with -d, passes over what is none"),
                .init("wrap", "w", .integer(0...1_000_000), "letters of a line (76); 0: in one"),
            ],
            arguments: .init([.file], 0...1), examples: ["echo hello | base64", "echo aGVsbG8K | base64 -d"],
            group: .files)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let width = arguments.integer("wrap") ?? 76
            guard arguments.has("decode") else {
                return .running(Encoding(invocation.process, files: arguments.arguments, width: width))
            }
            return .running(
                WholeInput(invocation.process, files: arguments.arguments) { tool, sources in
                    guard let bytes = sources.first?.bytes else { return 1 }
                    return decode(tool, bytes, passesGarbage: arguments.has("ignore-garbage"))
                })
        }
    }

    /// Three bytes at a time, as they come.
    private final class Encoding: LineTool {
        private let width: Int
        private var rest: [UInt8] = []
        private var column = 0
        init(_ process: Process, files: [String], width: Int) {
            self.width = width
            super.init(process, files: files)
        }
        override var cutsLines: Bool { false }
        override func take(_ piece: ArraySlice<UInt8>, isWhole: Bool) {
            rest += piece
            let count = rest.count / 3 * 3
            put(Array(rest.prefix(count)))
            rest.removeFirst(count)
        }
        override func end() {
            put(rest)
            if column > 0 { writeBytes([10]) }
        }
        private func put(_ bytes: [UInt8]) {
            let letters = Array(Base64.standard.encode(bytes).utf8)
            guard width > 0 else { return writeBytes(letters) }
            var result: [UInt8] = []
            for letter in letters {
                result.append(letter)
                column += 1
                if column == width {
                    result.append(10)
                    column = 0
                }
            }
            writeBytes(result)
        }
    }

    /// Four letters at a time, each four with padding of its own or none. As elsewhere, what could be read before the
    /// first mistake is written.
    private static func decode(_ tool: WholeInput, _ bytes: [UInt8], passesGarbage: Bool) -> Int {
        func value(_ byte: UInt8) -> UInt32? {
            switch byte {
            case 65...90: UInt32(byte) - 65
            case 97...122: UInt32(byte) - 71
            case 48...57: UInt32(byte) + 4
            case 43: 62
            case 47: 63
            default: nil
            }
        }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count / 4 * 3)
        var bits: UInt32 = 0
        var letters = 0
        var padding = 0
        var isWrong = false
        func flush() {
            if letters > 1 { result.append(UInt8(truncatingIfNeeded: bits >> UInt32(6 * letters - 8))) }
            if letters > 2 { result.append(UInt8(truncatingIfNeeded: bits >> UInt32(6 * letters - 16))) }
            if letters > 3 { result.append(UInt8(truncatingIfNeeded: bits)) }
            (bits, letters, padding) = (0, 0, 0)
        }
        for byte in bytes where byte != 10 {
            if let value = value(byte) {
                // Behind the padding of four letters that are not whole nothing may stand.
                guard padding == 0 else {
                    isWrong = true
                    break
                }
                bits = bits << 6 | value
                letters += 1
            } else if byte == 61, letters + padding > 1 {
                padding += 1
            } else if !passesGarbage {
                isWrong = true
                break
            }
            if letters + padding == 4 { flush() }
        }
        if letters > 0 { isWrong = true }
        flush()
        tool.write(result)
        if isWrong { tool.process.complain("invalid input") }
        return isWrong ? 1 : 0
    }
}

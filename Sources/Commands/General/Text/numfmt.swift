import CommandKit
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var numfmt: Command {
        let description = CommandDescription(
            "numfmt", "numbers with units, and back", usage: "[--to UNIT] [--from UNIT] [--field N] [NUMBER…]",
            flags: [
                .init("to", nil, .choice(["none", "si", "iec", "iec-i"]), "1500 as 1.5K: units of 1000 (si), of 1024"),
                .init("from", nil, .choice(["none", "auto", "si", "iec", "iec-i"]), "1.5K as 1500"),
                .init("field", nil, .integer(1...10_000), "of each line this field (1)"),
                .init("delimiter", "d", .text("CHAR"), "what stands between fields (blanks)"),
                .init("suffix", nil, .text("TEXT"), "behind each number"),
                .init("padding", nil, .integer(-1000...1000), "so many columns; a minus: to the left"),
                .init("header", nil, "the first line stays as it is"),
            ],
            arguments: .init([.text], 0...10_000),
            examples: ["numfmt --to iec 1536", "ls -l | tail -n +2 | numfmt --field 5 --to si"], group: .files,
            details: "What is rounded is rounded away from 0, as elsewhere.")
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let numbers = NumberFormat(arguments)
            if !arguments.arguments.isEmpty {
                for word in arguments.arguments { invocation.process.print(try numbers.converted(word)) }
                return .success
            }
            return .running(try NumberedLines(invocation.process, numbers, arguments))
        }
    }

    private final class NumberedLines: LineTool {
        private let numbers: NumberFormat
        private let field: Int
        private let delimiter: UInt8?
        private var isHeader: Bool
        override var complaintStatus: Int { 2 }

        init(_ process: Process, _ numbers: NumberFormat, _ arguments: ParsedArguments) throws {
            self.numbers = numbers
            field = arguments.integer("field") ?? 1
            let text = arguments.text("delimiter")
            if let text, text.utf8.count != 1 { throw UsageError("numfmt: -d takes a single byte") }
            delimiter = text?.utf8.first
            isHeader = arguments.has("header")
            super.init(process, files: [])
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if isHeader {
                isHeader = false
                return write(line, newline: isWhole)
            }
            func separates(_ byte: UInt8) -> Bool { delimiter.map { $0 == byte } ?? (byte == 32 || byte == 9) }
            var place = line.startIndex
            for _ in 1..<field where place < line.endIndex {
                if delimiter == nil { place = line[place...].firstIndex { !separates($0) } ?? line.endIndex }
                place = line[place...].firstIndex(where: separates) ?? line.endIndex
                if delimiter != nil, place < line.endIndex { place += 1 }
            }
            if delimiter == nil { place = line[place...].firstIndex { !separates($0) } ?? line.endIndex }
            let end = line[place...].firstIndex(where: separates) ?? line.endIndex
            guard place < end else { return write(line, newline: isWhole) }
            do {
                let word = try numbers.converted(String(decoding: line[place..<end], as: UTF8.self))
                write(line[..<place] + Array(word.utf8) + line[end...], newline: isWhole)
            } catch {
                complain("\(error)")
                stop()
            }
        }
    }
}

/// One number with the unit that it has, and that it gets.
private struct NumberFormat {
    private let from: String
    private let to: String
    private let suffix: String
    private let padding: Int

    private static let units: [Character] = ["K", "M", "G", "T", "P", "E"]

    init(_ arguments: ParsedArguments) {
        from = arguments.text("from") ?? "none"
        to = arguments.text("to") ?? "none"
        suffix = arguments.text("suffix") ?? ""
        padding = arguments.integer("padding") ?? 0
    }

    func converted(_ word: String) throws -> String {
        let text = written(try value(word)) + suffix
        return padding < 0 ? text.rightPadded(to: -padding) : text.leftPadded(to: padding)
    }

    private func value(_ word: String) throws -> Double {
        var text = word[...]
        if !suffix.isEmpty, text.hasSuffix(suffix) { text = text.dropLast(suffix.count) }
        var factor = 1.0
        if from != "none" {
            let hasI = text.hasSuffix("i")
            if hasI { text = text.dropLast() }
            if let letter = text.last, let index = Self.units.firstIndex(of: letter) {
                let base = from == "si" || from == "auto" && !hasI ? 1000.0 : 1024
                for _ in 0...index { factor *= base }
                text = text.dropLast()
            }
        }
        guard text.allSatisfy({ $0.isASCII && ($0.isNumber || ".-".contains($0)) }), let number = Double(text),
            abs(number * factor) < 1e21
        else {
            throw CommandFailure("'\(word)' is not a number such as 1536\(from == "none" ? "" : ", 1.5K")", status: 2)
        }
        return number * factor
    }

    private func written(_ value: Double) -> String {
        func up(_ value: Double) -> Double { value < 0 ? value.rounded(.down) : value.rounded(.up) }
        guard to != "none" else {
            return value == value.rounded() ? String(Int(clamping: value)) : AwkNumber.formatted(value, "%.15g")
        }
        let base = to == "si" ? 1000.0 : 1024
        var scaled = value
        var index = -1
        while abs(scaled) >= base, index + 1 < Self.units.count {
            scaled /= base
            index += 1
        }
        func rounded() -> Double { index >= 0 && abs(scaled) < 10 ? up(scaled * 10) / 10 : up(scaled) }
        if abs(rounded()) >= base, index + 1 < Self.units.count {
            scaled = rounded() / base
            index += 1
        }
        let number = rounded()
        let hasPlace = index >= 0 && abs(number) < 10
        return AwkNumber.formatted(number, hasPlace ? "%.1f" : "%.0f")
            + (index < 0 ? "" : String(Self.units[index]) + (to == "iec-i" ? "i" : ""))
    }
}

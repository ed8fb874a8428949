import CommandKit
import Glibc
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var seq: Command {
        let description = CommandDescription(
            "seq", "counts", usage: "[-w] [-s TEXT] [-f FORMAT] [FIRST [STEP]] LAST",
            arguments: .init([.text], 1...8, isRaw: true),
            examples: ["seq 3", "seq 10 -2 0", "seq -w 8 11", "seq -s , 0 0.5 2"], group: .files,
            details: """
                -w, --equal-width      with zeros before shorter numbers
                -s, --separator TEXT   what stands between numbers (a newline)
                -f, --format FORMAT    as printf's, with one of %e %f %g: node-%03g
                """)
        return Command(description) { invocation in .running(try counting(invocation)) }
    }

    private static func counting(_ invocation: Invocation) throws -> any Program {
        var words = invocation.arguments.arguments[...]
        var isWide = false
        var separator: String?
        var format: String?
        while let word = words.first, word.hasPrefix("-"), word.count > 1, Double(word) == nil {
            words.removeFirst()
            func value(_ letter: String, _ name: String) throws -> String? {
                if word == letter || word == name {
                    guard let next = words.popFirst() else { throw UsageError("seq: \(word) needs a value") }
                    return next
                }
                if word.hasPrefix(name + "=") { return String(word.dropFirst(name.count + 1)) }
                return word.hasPrefix(letter) && !word.hasPrefix("--") ? String(word.dropFirst(2)) : nil
            }
            if word == "--" { break }
            if word == "-w" || word == "--equal-width" {
                isWide = true
            } else if let text = try value("-s", "--separator") {
                separator = text
            } else if let text = try value("-f", "--format") {
                format = text
            } else {
                throw UsageError("seq: unknown flag \(word); there are -w, -s and -f")
            }
        }
        guard (1...3).contains(words.count) else { throw UsageError("seq: usage: seq [FIRST [STEP]] LAST") }
        let numbers = try words.map { word -> SeqNumber in
            guard let number = SeqNumber(word) else { throw CommandFailure("'\(word)' is not a number") }
            return number
        }
        if numbers.count == 3, numbers[1].value == 0 { throw CommandFailure("a step of 0 leads nowhere") }
        if let format { try SeqNumber.check(format) }
        if isWide, format != nil { throw CommandFailure("-w or -f? one of them") }
        let first = numbers.count > 1 ? numbers[0] : SeqNumber("1")!
        let step = numbers.count == 3 ? numbers[1] : SeqNumber("1")!
        return Counting(
            invocation.process, first, step, numbers.last!, isWide: isWide, separator: separator, format: format)
    }

    private final class Counting: Program {
        private let process: Process
        private let first: SeqNumber
        private let step: SeqNumber
        private let last: SeqNumber
        private let places: Int
        private let width: Int
        private let separator: [UInt8]
        private let hasSeparator: Bool
        private let format: String?
        private var index = 0
        /// Whole numbers are counted as such, exactly.
        private var nextWhole: Int?
        private let isWhole: Bool
        /// Numbers beyond those of 64 bits are counted digit by digit.
        private let isLarge: Bool
        private var nextLarge: DecimalCounter

        init(
            _ process: Process, _ first: SeqNumber, _ step: SeqNumber, _ last: SeqNumber, isWide: Bool,
            separator: String?, format: String?
        ) {
            self.process = process
            self.first = first
            self.step = step
            self.last = last
            self.format = format
            places = max(first.places, step.places)
            isWhole =
                places == 0 && last.places == 0 && format == nil && [first, step, last].allSatisfy { $0.whole != nil }
            isLarge =
                !isWhole && step.whole == 1 && format == nil
                && [first, last].allSatisfy { $0.decimal != nil }
            nextLarge = first.decimal ?? DecimalCounter("0")
            nextWhole = first.whole
            self.separator = Array((separator ?? "\n").utf8)
            hasSeparator = separator != nil
            let places = places
            func count(_ number: SeqNumber) -> Int {
                // As wide as the number with as many places as are written.
                (number.value < 0 ? 1 : 0) + number.digits + (places > 0 ? 1 + places : 0)
            }
            width = isWide ? max(count(first), count(last)) : 0
        }

        func start() { produce() }

        private func text() -> [UInt8]? {
            if isWhole {
                guard let number = nextWhole, let step = step.whole, let last = last.whole,
                    step > 0 ? number <= last : number >= last
                else { return nil }
                let (sum, overflow) = number.addingReportingOverflow(step)
                nextWhole = overflow ? nil : sum
                let digits = String(number.magnitude)
                let zeros = String(repeating: "0", count: max(0, width - digits.count - (number < 0 ? 1 : 0)))
                return Array(((number < 0 ? "-" : "") + zeros + digits).utf8)
            }
            if isLarge {
                guard let last = last.decimal, nextLarge <= last else { return nil }
                defer { nextLarge.increase() }
                let digits = nextLarge.digits
                return Array(repeating: 48, count: max(0, width - digits.count)) + digits
            }
            let number = first.value + Double(index) * step.value
            let end = last.value + (step.value > 0 ? 1 : -1) * abs(step.value) * 1e-9
            guard step.value > 0 ? number <= end : number >= end else { return nil }
            return Array(SeqNumber.text(number, format ?? (width > 0 ? "%0\(width).\(places)f" : "%.\(places)f")).utf8)
        }

        private func produce() {
            guard process.isRunning else { return }
            var bytes: [UInt8] = []
            while bytes.count < 16 * 1024 {
                guard let number = text() else {
                    if hasSeparator, index > 0 { bytes.append(10) }
                    if !bytes.isEmpty { process.output.write(bytes) }
                    return process.exit(0)
                }
                if hasSeparator, index > 0 { bytes += separator }
                bytes += number
                if !hasSeparator { bytes.append(10) }
                index += 1
            }
            process.output.write(bytes)
            if process.output.isBroken { return process.exit(141) }
            if process.output.isCongested {
                process.output.onDrained = { [weak self] in self?.produce() }
            } else {
                process.node.enqueue { [self] in produce() }
            }
        }
    }
}

/// A whole number of any length that counts upwards.
private struct DecimalCounter {
    /// As text, without zeros before it.
    private(set) var digits: [UInt8]

    init(_ text: some StringProtocol) {
        digits = Array(text.utf8.drop { $0 == 48 })
        if digits.isEmpty { digits = [48] }
    }

    mutating func increase() {
        for index in digits.indices.reversed() {
            if digits[index] < 57 {
                digits[index] += 1
                return
            }
            digits[index] = 48
        }
        digits.insert(49, at: 0)
    }

    static func <= (a: DecimalCounter, b: DecimalCounter) -> Bool {
        a.digits.count == b.digits.count
            ? !b.digits.lexicographicallyPrecedes(a.digits) : a.digits.count < b.digits.count
    }
}

/// A number of `seq`, which is shown with as many places as it was written with.
private struct SeqNumber {
    let value: Double
    /// Behind the point.
    let places: Int
    /// Before the point, as written.
    let digits: Int
    let whole: Int?
    /// Not negative, and of as many digits as it was written with.
    let decimal: DecimalCounter?

    init?(_ word: String) {
        guard word.utf8.count <= 100, let value = Double(word), value.isFinite else { return nil }
        self.value = value
        whole = Int(word)
        let digitsOnly = word.drop { $0 == "+" }
        decimal = digitsOnly.allSatisfy { $0.isASCII && $0.isNumber } ? DecimalCounter(digitsOnly) : nil
        let unsigned = word.drop { "+-".contains($0) }
        let mantissa = unsigned.prefix { !"eE".contains($0) }
        let exponent = unsigned.count > mantissa.count ? Int(unsigned.dropFirst(mantissa.count + 1)) ?? 0 : 0
        let parts = mantissa.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fraction = parts.count == 2 ? parts[1].count : 0
        places = min(60, max(0, fraction - exponent))
        digits = max(1, (parts.first?.count ?? 0) + exponent)
    }

    /// One conversion of a floating point number, and nothing that reads another argument.
    static func check(_ format: String) throws {
        var rest = format[...]
        var count = 0
        while let place = rest.firstIndex(of: "%") {
            rest = rest[rest.index(after: place)...]
            if rest.first == "%" {
                rest.removeFirst()
                continue
            }
            rest = rest.drop { "-+ #0'".contains($0) }
            let width = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(width.count)
            var precision = Substring()
            if rest.first == "." {
                rest.removeFirst()
                precision = rest.prefix { $0.isASCII && $0.isNumber }
                rest = rest.dropFirst(precision.count)
            }
            guard let letter = rest.popFirst(), "eEfFgGaA".contains(letter), width.count <= 3, precision.count <= 2
            else {
                throw CommandFailure("-f '\(format)': one of %e, %f and %g, as in %03g")
            }
            count += 1
        }
        guard count == 1, format.utf8.count <= 1000 else {
            throw CommandFailure("-f '\(format)': it needs one of %e, %f and %g")
        }
    }

    static func text(_ number: Double, _ format: String) -> String {
        // The longest: a number of 309 digits, its width or places, and the text around it.
        let capacity = 2000 + format.utf8.count
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            _ = withVaList([number]) { vsnprintf(start, capacity, format, $0) }
            return String(cString: start)
        }
    }
}

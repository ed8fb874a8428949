import Glibc
import KernelStructures

/// Variables that have a meaning by themselves, by their places.
enum AwkVariables {
    static let names = [
        "NF", "NR", "FNR", "FS", "OFS", "ORS", "RS", "FILENAME", "SUBSEP", "RSTART", "RLENGTH", "CONVFMT", "OFMT",
        "ENVIRON",
        "ARGC", "ARGV",
    ]
    static let fieldCount = 0, recordNumber = 1, fileRecordNumber = 2, fieldSeparator = 3, outputFieldSeparator = 4
    static let outputRecordSeparator = 5, recordSeparator = 6, fileName = 7, subscriptSeparator = 8, matchStart = 9
    static let matchLength = 10, conversionFormat = 11, outputFormat = 12, environment = 13, argumentCount = 14,
        arguments = 15
}

/// Numbers as texts, and texts as numbers, as C has them.
enum AwkNumber {
    /// The number that a text begins with, 0 without one.
    static func value(of text: String) -> Double { prefix(text).value }

    /// The number if the whole text is one, with blanks around it.
    static func whole(_ text: String) -> Double? {
        let (value, isWhole) = prefix(text)
        return isWhole ? value : nil
    }

    private static func prefix(_ text: String) -> (value: Double, isWhole: Bool) {
        var text = text
        return text.withUTF8 { bytes -> (Double, Bool) in
            var index = 0
            func isBlank(_ place: Int) -> Bool { bytes[place] == 32 || (9...13).contains(bytes[place]) }
            func isDigit(_ place: Int) -> Bool { place < bytes.count && (48...57).contains(bytes[place]) }
            while index < bytes.count, isBlank(index) { index += 1 }
            let start = index
            if index < bytes.count, bytes[index] == 43 || bytes[index] == 45 { index += 1 }
            let firstDigit = index
            var whole = 0
            while isDigit(index) {
                whole = index - firstDigit < 15 ? whole * 10 + Int(bytes[index]) - 48 : whole
                index += 1
            }
            var digits = index - firstDigit
            let isPlain = digits > 0 && digits < 16
            var hasMore = false
            if index < bytes.count, bytes[index] == 46 {
                let point = index
                index += 1
                while isDigit(index) { index += 1 }
                digits += index - point - 1
                hasMore = true
            }
            guard digits > 0 else { return (0, false) }
            if index < bytes.count, bytes[index] | 32 == 101 {
                var place = index + 1
                if place < bytes.count, bytes[place] == 43 || bytes[place] == 45 { place += 1 }
                if isDigit(place) {
                    while isDigit(place) { place += 1 }
                    index = place
                    hasMore = true
                }
            }
            let end = index
            while index < bytes.count, isBlank(index) { index += 1 }
            let isWhole = index == bytes.count
            if isPlain, !hasMore { return (bytes[start] == 45 ? -Double(whole) : Double(whole), isWhole) }
            let part = String(decoding: bytes[start..<end], as: UTF8.self)
            return (strtod(part, nil), isWhole)
        }
    }

    /// As `print` and comparisons write it: whole numbers as such, others in a format.
    static func text(_ value: Double, _ format: String) -> String {
        if value == value.rounded(.towardZero), abs(value) < 1e16 { return String(Int(value)) }
        if value.isNaN { return value.sign == .minus ? "-nan" : "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        return formatted(value, format)
    }

    /// - Parameter format: one conversion of a floating point number, which has been checked.
    static func formatted(_ value: Double, _ format: String) -> String {
        let capacity = 1500 + format.utf8.count
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            _ = withVaList([value]) { vsnprintf(start, capacity, format, $0) }
            return String(cString: start)
        }
    }

    /// Whether a text may be CONVFMT or OFMT.
    static func isFormat(_ text: String) -> Bool {
        guard text.first == "%", let letter = text.last, "eEfFgG".contains(letter), text.utf8.count <= 12 else {
            return false
        }
        return text.dropFirst().dropLast().allSatisfy { "0123456789.+- #".contains($0) }
            && text.split { !$0.isNumber }.allSatisfy { $0.count <= 3 }
    }
}

/// `printf` and `sprintf` of `awk`.
enum AwkFormat {
    static func text(_ format: String, _ values: [AwkValue], _ machine: AwkMachine) throws -> String {
        var result = ""
        var rest = format[...]
        var values = values[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                result.append(character)
                continue
            }
            if rest.first == "%" {
                rest.removeFirst()
                result.append("%")
                continue
            }
            var flags = rest.prefix { "-+ 0#".contains($0) }
            rest = rest.dropFirst(flags.count)
            func size() -> Int? {
                if rest.first == "*" {
                    rest.removeFirst()
                    return values.popFirst().map { Int(clamping: machine.number($0)) }
                }
                let digits = rest.prefix { $0.isASCII && $0.isNumber }
                rest = rest.dropFirst(digits.count)
                return digits.isEmpty ? nil : Int(digits) ?? .max
            }
            var width = size() ?? 0
            if width < 0 {
                flags += "-"
                width = -max(width, -100_000)
            }
            var precision: Int?
            if rest.first == "." {
                rest.removeFirst()
                precision = size() ?? 0
            }
            rest = rest.drop { "hlLjzt".contains($0) }
            guard let conversion = rest.popFirst() else { return result + "%" + flags }
            guard width <= 10_000, (precision ?? 0) <= 1000 else { throw AwkFailure("'\(format)' is too wide") }
            guard "cdioxXuseEfFgG".contains(conversion) else {
                throw AwkFailure("printf: unknown conversion %\(conversion)")
            }
            guard let value = values.popFirst() else {
                throw AwkFailure("printf: not enough values for '\(format)'")
            }
            let left = flags.contains("-")
            func padded(_ text: String, _ fill: Character = " ") -> String {
                let space = String(repeating: left ? " " : fill, count: max(0, width - text.unicodeScalars.count))
                return left ? text + space : space + text
            }
            switch conversion {
            case "s":
                let text = machine.text(value)
                result += padded(precision.map { String(text.unicodeScalars.prefix($0)) } ?? text)
            case "c":
                if case .number(let code) = value {
                    let scalar = UnicodeScalar(UInt32(clamping: Int(clamping: code))) ?? "\u{FFFD}"
                    result += padded(String(Character(scalar)))
                } else {
                    result += padded(String(machine.text(value).unicodeScalars.prefix(1)))
                }
            case "d", "i", "u", "x", "X", "o":
                let number = machine.number(value)
                guard number.isFinite else {
                    result += padded(AwkNumber.text(number, "%g"))
                    continue
                }
                let whole = Int(clamping: number)
                let isSigned = conversion == "d" || conversion == "i"
                let radix = conversion == "o" ? 8 : conversion == "x" || conversion == "X" ? 16 : 10
                var digits =
                    isSigned
                    ? String(whole.magnitude)
                    : String(UInt(bitPattern: whole), radix: radix, uppercase: conversion == "X")
                if let precision { digits = String(repeating: "0", count: max(0, precision - digits.count)) + digits }
                var sign =
                    isSigned ? (whole < 0 ? "-" : flags.contains("+") ? "+" : flags.contains(" ") ? " " : "") : ""
                if flags.contains("#"), whole != 0 { sign = radix == 16 ? "0\(conversion)" : radix == 8 ? "0" : sign }
                if flags.contains("0"), !left, precision == nil {
                    digits = String(repeating: "0", count: max(0, width - sign.count - digits.count)) + digits
                }
                result += padded(sign + digits)
            case "e", "E", "f", "F", "g", "G":
                let format =
                    "%\(flags)\(width > 0 ? String(width) : "")\(precision.map { ".\($0)" } ?? "")\(conversion)"
                result += AwkNumber.formatted(machine.number(value), format.utf8.count < 40 ? format : "%\(conversion)")
            default: throw AwkFailure("printf: unknown conversion %\(conversion)")
            }
            try machine.count(result.utf8.count)
        }
        return result
    }
}

extension Int {
    /// The whole number nearest to 0, at most as far as there are any.
    init(clamping value: Double) {
        self = value.isNaN ? 0 : value >= 9.2233720368547e18 ? .max : value <= -9.2233720368547e18 ? .min : Int(value)
    }
}

/// Whole numbers in a format of C's.
enum CNumber {
    /// - Parameter format: one conversion of a `long long`, which has been checked, at most 1,000 wide.
    static func text(_ value: Int64, _ format: String) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 2500) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            _ = withVaList([value]) { vsnprintf(start, 2500, format, $0) }
            return String(cString: start)
        }
    }
}

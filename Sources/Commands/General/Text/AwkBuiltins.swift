import Glibc
import KernelRegularExpressions
import KernelStructures

enum AwkMath {
    static func power(_ a: Double, _ b: Double) -> Double { pow(a, b) }
}

/// The functions that `awk` brings along.
extension AwkMachine {
    func builtin(_ name: String, _ arguments: [AwkExpression]) throws -> AwkValue {
        func text(_ index: Int) throws -> String { self.text(try evaluate(arguments[index])) }
        func number(_ index: Int) throws -> Double { self.number(try evaluate(arguments[index])) }
        switch name {
        case "length":
            guard let argument = arguments.first else {
                return .number(Double(Self.length(self.text(try evaluate(.field(.number(0)))))))
            }
            if case .variable(let reference) = argument, let array = arrayIfAny(reference) {
                return .number(Double(array.count))
            }
            return .number(Double(Self.length(try text(0))))
        case "substr": return .string(Self.part(try text(0), try number(1), arguments.count > 2 ? try number(2) : nil))
        case "index":
            return .number(Double(Self.index(try text(0), of: try text(1))))
        case "split": return try split(arguments)
        case "sub", "gsub": return try substitute(arguments, all: name == "gsub")
        case "gensub": return try generalSubstitution(arguments)
        case "match":
            let whole = try text(0)
            let match = try pattern(arguments[1]).firstMatch(in: whole)
            guard let range = match?.range else {
                setGlobal(AwkVariables.matchStart, .number(0))
                setGlobal(AwkVariables.matchLength, .number(-1))
                return .number(0)
            }
            let bytes = Array(whole.utf8)
            let start = Self.length(String(decoding: bytes[..<range.lowerBound], as: UTF8.self)) + 1
            setGlobal(AwkVariables.matchStart, .number(Double(start)))
            setGlobal(
                AwkVariables.matchLength, .number(Double(Self.length(String(decoding: bytes[range], as: UTF8.self)))))
            return .number(Double(start))
        case "sprintf":
            return .string(try AwkFormat.text(try text(0), try arguments.dropFirst().map { try evaluate($0) }, self))
        case "sin": return .number(sin(try number(0)))
        case "cos": return .number(cos(try number(0)))
        case "atan2": return .number(atan2(try number(0), try number(1)))
        case "exp": return .number(exp(try number(0)))
        case "log": return .number(log(try number(0)))
        case "sqrt": return .number(sqrt(try number(0)))
        case "int": return .number(try number(0).rounded(.towardZero))
        case "rand": return .number(Double(random.below(1 << 30)) / Double(1 << 30))
        case "srand":
            let old = seed
            seed = arguments.isEmpty ? Double(now.unixSeconds) : try number(0)
            random = SeededRandom(seed: stableHash("awk \(seed)"))
            return .number(old)
        case "tolower": return .string(try text(0).lowercased())
        case "toupper": return .string(try text(0).uppercased())
        case "close": return .number(Double(try closeFile(try text(0))))
        case "system": return .number(Double(try runCommand(try text(0))))
        case "fflush": return .number(0)
        case "systime": return .number(Double(now.unixSeconds))
        default:
            let format = arguments.isEmpty ? "%c" : try text(0)
            let seconds = arguments.count > 1 ? try number(1) : Double(now.unixSeconds)
            guard abs(seconds) < 9e9 else { throw AwkFailure("strftime: \(seconds) is no time") }
            do {
                return .string(try DateFormat.text(LabTime(nanoseconds: Int64(seconds) * 1_000_000_000), format))
            } catch {
                throw AwkFailure("strftime: \(error)")
            }
        }
    }

    private func arrayIfAny(_ reference: AwkReference) -> AwkArray? {
        switch reference {
        case .global(let place): if case .array(let array) = globals[place] { array } else { nil }
        case .local: try? array(reference)
        }
    }

    /// In characters of Unicode: a letter and its accent are two, as elsewhere.
    private static func length(_ text: String) -> Int { text.unicodeScalars.count }

    /// Where a part stands in a text, in characters from 1; 0 if it does not.
    private static func index(_ text: String, of part: String) -> Int {
        if part.isEmpty { return 0 }
        let (bytes, wanted) = (Array(text.utf8), Array(part.utf8))
        // Knuth, Morris and Pratt: how much of the part is still right where one byte was wrong.
        var kept = [0]
        var length = 0
        for index in wanted.indices.dropFirst() {
            while length > 0, wanted[index] != wanted[length] { length = kept[length - 1] }
            if wanted[index] == wanted[length] { length += 1 }
            kept.append(length)
        }
        length = 0
        for (index, byte) in bytes.enumerated() {
            while length > 0, byte != wanted[length] { length = kept[length - 1] }
            if byte == wanted[length] { length += 1 }
            guard length == wanted.count else { continue }
            // Bytes that go on with a character do not count.
            return bytes[...(index - length + 1)].reduce(0) { $1 & 0xC0 == 0x80 ? $0 : $0 + 1 }
        }
        return 0
    }

    /// POSIX: the characters from one place on, rounded, as far as there are any.
    private static func part(_ text: String, _ start: Double, _ length: Double?) -> String {
        func rounded(_ value: Double) -> Double { value.isNaN ? 0 : value.rounded(.toNearestOrEven) }
        let first = rounded(start)
        let end = length.map { first + rounded($0) } ?? .infinity
        let low = Int(clamping: max(first, 1)) - 1
        let high = Int(clamping: min(end, 1e15)) - 1
        guard high > low else { return "" }
        // Characters and bytes are the same in most texts.
        if text.utf8.allSatisfy({ $0 < 128 }) {
            let bytes = text.utf8.dropFirst(low).prefix(high - low)
            return String(Substring(bytes))
        }
        return String(text.unicodeScalars.dropFirst(low).prefix(high - low))
    }

    private func split(_ arguments: [AwkExpression]) throws -> AwkValue {
        let whole = text(try evaluate(arguments[0]))
        guard case .variable(let reference) = arguments[1] else { throw AwkFailure("split needs an array") }
        let parts: [String]
        if arguments.count == 3, case .pattern(let source) = arguments[2] {
            parts = try split(whole, source == " " ? "[ ]" : source.count == 1 ? "(\(source))" : source)
        } else {
            let separator =
                arguments.count == 3 ? text(try evaluate(arguments[2])) : globalText(AwkVariables.fieldSeparator)
            parts = try split(whole, separator)
        }
        let array = try array(reference)
        _ = try run(.delete(reference, nil))
        for (index, part) in parts.enumerated() { try set(array, String(index + 1), Self.fromOutside(part)) }
        return .number(Double(parts.count))
    }

    private func substitute(_ arguments: [AwkExpression], all: Bool) throws -> AwkValue {
        let expression = try pattern(arguments[0])
        let replacement = text(try evaluate(arguments[1]))
        let target = arguments.count > 2 ? arguments[2] : .field(.number(0))
        let bytes = Array(text(try evaluate(target)).utf8)
        let matches = bytes.withUnsafeBytes { expression.allMatches(in: $0, limit: all ? .max : 1) }
        if matches.isEmpty { return .number(0) }
        var result: [UInt8] = []
        var place = 0
        for match in matches {
            result += bytes[place..<match.range.lowerBound]
            result += Self.replaced(replacement, bytes, match, groups: false)
            place = match.range.upperBound
            if result.count > Self.textLimitBytes { throw Self.tooLong }
        }
        result += bytes[place...]
        switch target {
        case .variable, .field, .element, .group: try assign(target, .string(String(decoding: result, as: UTF8.self)))
        default: throw AwkFailure("sub and gsub change a variable, a field or an element")
        }
        return .number(Double(matches.count))
    }

    /// gawk's: gives the text back, and knows groups.
    private func generalSubstitution(_ arguments: [AwkExpression]) throws -> AwkValue {
        let expression = try pattern(arguments[0])
        let replacement = text(try evaluate(arguments[1]))
        let how = text(try evaluate(arguments[2]))
        let bytes = Array(text(try evaluate(arguments.count > 3 ? arguments[3] : .field(.number(0)))).utf8)
        let isAll = how.hasPrefix("g") || how.hasPrefix("G")
        let which = max(1, Int(clamping: AwkNumber.value(of: how)))
        let matches = bytes.withUnsafeBytes { expression.allMatches(in: $0, limit: isAll ? .max : which) }
        var result: [UInt8] = []
        var place = 0
        for (index, match) in matches.enumerated() where isAll || index + 1 == which {
            result += bytes[place..<match.range.lowerBound]
            result += Self.replaced(replacement, bytes, match, groups: true)
            place = match.range.upperBound
            if result.count > Self.textLimitBytes { throw Self.tooLong }
        }
        return .string(String(decoding: result + bytes[place...], as: UTF8.self))
    }

    /// `&` is the match, `\&` an ampersand; of `gensub` `\1` is a group.
    private static func replaced(
        _ text: String, _ bytes: [UInt8], _ match: RegularExpression.Match, groups: Bool
    ) -> [UInt8] {
        var result: [UInt8] = []
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                isEscaped = false
                if byte == 38 || byte == 92 {
                    result.append(byte)
                } else if groups, (48...57).contains(byte) {
                    if let range = match[Int(byte) - 48] { result += bytes[range] }
                } else {
                    result += [92, byte]
                }
            } else if byte == 92 {
                isEscaped = true
            } else if byte == 38 {
                result += bytes[match.range]
            } else {
                result.append(byte)
            }
        }
        return isEscaped ? result + [92] : result
    }
}

import CommandKit
import Glibc
import KernelStructures

/// A key of `sort` (POSIX, the description of `sort`): a part of each line, and how it is compared.
struct SortKey {
    enum Value {
        case number(Double)
        case text(ArraySlice<UInt8>)
        case version(ArraySlice<UInt8>)
    }

    /// How the parts are compared.
    private enum Order: Character, CaseIterable {
        case number = "n", size = "h", version = "V", general = "g", month = "M", random = "R"
        var flag: String {
            switch self {
            case .number: "numeric-sort"
            case .size: "human-numeric-sort"
            case .version: "version-sort"
            case .general: "general-numeric-sort"
            case .month: "month-sort"
            case .random: "random-sort"
            }
        }
    }

    /// A field, from 0, and a byte in it.
    private struct Place {
        var field = 0
        /// Of the first place from 0; of the last one how many bytes of its field belong to the key, 0 for all.
        var offset = 0
        var skipsBlanks = false
    }

    private var first = Place()
    /// nil: up to the end of the line.
    private var last: Place?
    private var order: Order?
    private var onlyDictionary = false
    private var onlyPrinting = false
    private var ignoresCase = false
    private(set) var isReverse = false
    /// What the order by chance is made of.
    private var salt: UInt64 = 0

    /// The keys that the flags say; without any, the whole line is one.
    ///
    /// - Parameter salt: of chance, for `-R`.
    static func all(_ arguments: ParsedArguments, salt: UInt64) throws -> [SortKey] {
        if let separator = arguments.text("field-separator"), separator != "\\0", separator.utf8.count != 1 {
            throw UsageError("sort: -t: '\(separator)' is not one character; a tab is $'\\t'")
        }
        var common = SortKey()
        common.salt = salt
        let orders = Order.allCases.filter { arguments.has($0.flag) }
        if orders.count > 1 { throw UsageError("sort: -\(orders[0].rawValue) or -\(orders[1].rawValue)? one of them") }
        common.order = orders.first
        common.onlyDictionary = arguments.has("dictionary-order")
        common.onlyPrinting = arguments.has("ignore-nonprinting")
        common.ignoresCase = arguments.has("ignore-case")
        common.isReverse = arguments.has("reverse")
        common.first.skipsBlanks = arguments.has("ignore-leading-blanks")
        let texts = arguments.texts("key")
        guard texts.count <= 100 else { throw UsageError("sort: more than 100 keys") }
        return texts.isEmpty ? [common] : try texts.map { try SortKey($0, common) }
    }

    /// What stands between fields; nil: blanks.
    static func separator(_ arguments: ParsedArguments) -> UInt8? {
        arguments.text("field-separator").flatMap { $0 == "\\0" ? 0 : $0.utf8.first }
    }

    private init() {}

    /// Reads `2`, `2,2`, `2.3,4.1nr`. What no letter says is as for all keys.
    private init(_ text: String, _ common: SortKey) throws {
        var rest = text[...]
        var letters = ""
        func failure(_ problem: String) -> UsageError { UsageError("sort: -k: '\(text)': \(problem)") }
        func number(_ what: String) throws -> Int {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            guard let number = Int(digits) else { throw failure("the number of a \(what) is missing") }
            return number
        }
        func place(isLast: Bool) throws -> Place {
            var place = Place()
            place.field = try number("field") - 1
            if rest.first == "." {
                rest.removeFirst()
                place.offset = try number("character") - (isLast ? 0 : 1)
            }
            guard place.field >= 0, place.offset >= 0 else { throw failure("fields and characters count from 1") }
            while let letter = rest.first, letter != "," {
                guard "nhVgMRrfdib".contains(letter) else {
                    throw failure("'\(letter)' is none of n, h, V, g, M, R, r, f, d, i and b")
                }
                letters.append(rest.removeFirst())
                if letter == "b" { place.skipsBlanks = true }
            }
            return place
        }
        first = try place(isLast: false)
        salt = common.salt
        if rest.popFirst() == "," { last = try place(isLast: true) }
        if !rest.isEmpty { throw failure("a key has two ends at most") }
        if letters.isEmpty {
            order = common.order
            onlyDictionary = common.onlyDictionary
            onlyPrinting = common.onlyPrinting
            ignoresCase = common.ignoresCase
            isReverse = common.isReverse
            first.skipsBlanks = common.first.skipsBlanks
            last?.skipsBlanks = common.first.skipsBlanks
        } else {
            order = letters.compactMap { Order(rawValue: $0) }.first
            onlyDictionary = letters.contains("d")
            onlyPrinting = letters.contains("i")
            ignoresCase = letters.contains("f")
            isReverse = letters.contains("r")
        }
    }

    // MARK: Values

    func value(of line: [UInt8], _ separator: UInt8?) -> Value {
        let isWhole = first.field == 0 && first.offset == 0 && !first.skipsBlanks
        let from = isWhole ? 0 : start(in: line, separator)
        let to = last.map { end($0, in: line, separator) } ?? line.count
        let part = line[from..<max(from, to)]
        switch order {
        case .number: return .number(Self.number(part))
        case .size: return .number(Self.size(part))
        case .general: return .number(Self.general(part))
        case .month: return .number(Self.month(part))
        case .version: return .version(part)
        // Equal keys stay together, wherever chance puts them.
        case .random: return .number(Double(stableHash("\(salt) \(String(decoding: part, as: UTF8.self))") >> 11))
        case nil: break
        }
        guard ignoresCase || onlyDictionary || onlyPrinting else { return .text(part) }
        var bytes = Array(part)
        if onlyDictionary {
            bytes.removeAll { !Self.isBlank($0) && !(48...57).contains($0) && !(65...90).contains($0 & 0xDF) }
        }
        if onlyPrinting { bytes.removeAll { !(32...126).contains($0) } }
        if ignoresCase { bytes = bytes.map { (97...122).contains($0) ? $0 - 32 : $0 } }
        return .text(bytes[...])
    }

    /// GNU's: the unit counts more than the number before it.
    private static func size(_ part: ArraySlice<UInt8>) -> Double {
        let digits = part.drop(while: isBlank).drop { $0 == 45 }
        let unit = digits.drop { (48...57).contains($0) || $0 == 46 }.first
        let power = unit.flatMap { Array("KMGTPEZY".utf8).firstIndex(of: $0 == 107 ? 75 : $0) }.map { $0 + 1 } ?? 0
        let number = number(part)
        if number == 0 { return 0 }
        return (number < 0 ? -1 : 1) * (Double(power) * 1e15 + min(abs(number), 9e14))
    }

    private static func general(_ part: ArraySlice<UInt8>) -> Double {
        let text = String(decoding: part.drop(while: isBlank).prefix(400), as: UTF8.self)
        return text.withCString { start in
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            // What is no number stands before all that are.
            return end == UnsafeMutablePointer(mutating: start) || value.isNaN ? -.infinity : value
        }
    }

    private static func month(_ part: ArraySlice<UInt8>) -> Double {
        let name = String(decoding: part.drop(while: isBlank).prefix(3), as: UTF8.self).uppercased()
        let months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
        return Double(months.firstIndex(of: name).map { $0 + 1 } ?? 0)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }

    private static func behindBlanks(_ place: Int, _ line: [UInt8]) -> Int {
        line[place...].firstIndex { !isBlank($0) } ?? line.count
    }

    /// Without a separator a field ends before a blank, and the blanks are the next one's.
    private static func behindField(_ place: Int, _ line: [UInt8], _ separator: UInt8?) -> Int {
        if let separator { return line[place...].firstIndex(of: separator) ?? line.count }
        return line[behindBlanks(place, line)...].firstIndex(where: isBlank) ?? line.count
    }

    private func start(in line: [UInt8], _ separator: UInt8?) -> Int {
        var place = 0
        var fields = first.field
        while fields > 0, place < line.count {
            place = Self.behindField(place, line, separator)
            if separator != nil, place < line.count { place += 1 }
            fields -= 1
        }
        if first.skipsBlanks { place = Self.behindBlanks(place, line) }
        return place + min(first.offset, line.count - place)
    }

    private func end(_ last: Place, in line: [UInt8], _ separator: UInt8?) -> Int {
        var place = 0
        var fields = last.offset == 0 ? last.field : last.field - 1
        while fields >= 0, place < line.count {
            place = Self.behindField(place, line, separator)
            // With an offset the next field is the last one; without, its separator is no part of the key.
            if separator != nil, place < line.count, fields > 0 || last.offset > 0 { place += 1 }
            fields -= 1
        }
        if last.offset == 0 { return place }
        if last.skipsBlanks { place = Self.behindBlanks(place, line) }
        return place + min(last.offset, line.count - place)
    }

    /// A sign, digits and a fraction at the beginning; 0 without them, as in `2023-12-20` everything after 2023.
    private static func number(_ part: ArraySlice<UInt8>) -> Double {
        var rest = part.drop(while: isBlank)
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        let whole = rest.prefix { (48...57).contains($0) }
        rest = rest.dropFirst(whole.count)
        let fraction = rest.first == UInt8(ascii: ".") ? rest.dropFirst().prefix { (48...57).contains($0) } : []
        let text = "0" + String(decoding: whole, as: UTF8.self) + "." + String(decoding: fraction, as: UTF8.self) + "0"
        let value = Double(text) ?? 0
        return isNegative ? -value : value
    }

    // MARK: Order

    static func order(_ a: Value, _ b: Value) -> Int {
        switch (a, b) {
        case (.number(let a), .number(let b)): a < b ? -1 : a > b ? 1 : 0
        case (.text(let a), .text(let b)): order(a, b)
        case (.version(let a), .version(let b)): versionOrder(a, b)
        // One key makes values of one kind.
        case (.number, _): -1
        case (_, .number): 1
        default: 0
        }
    }

    static func order(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
        a.lexicographicallyPrecedes(b) ? -1 : b.lexicographicallyPrecedes(a) ? 1 : 0
    }

    /// As Debian compares versions: texts and numbers in turn; in a text a `~` stands before its end, and letters
    /// before all else. (Debian policy manual, 5.6.12.)
    private static func versionOrder(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Int {
        func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
        func weight(_ byte: UInt8?) -> Int {
            guard let byte, !isDigit(byte) else { return 0 }
            return byte == 126 ? -1 : (65...90).contains(byte & 0xDF) ? Int(byte) : Int(byte) + 256
        }
        var (a, b) = (a, b)
        while !a.isEmpty || !b.isEmpty {
            while a.first.map({ !isDigit($0) }) ?? false || b.first.map({ !isDigit($0) }) ?? false {
                let difference = weight(a.first) - weight(b.first)
                if difference != 0 { return difference }
                if a.first.map({ !isDigit($0) }) ?? false { a = a.dropFirst() }
                if b.first.map({ !isDigit($0) }) ?? false { b = b.dropFirst() }
            }
            let (x, y) = (a.prefix(while: isDigit), b.prefix(while: isDigit))
            (a, b) = (a.dropFirst(x.count), b.dropFirst(y.count))
            let (p, q) = (x.drop { $0 == 48 }, y.drop { $0 == 48 })
            if p.count != q.count { return p.count - q.count }
            let order = order(p, q)
            if order != 0 { return order }
        }
        return 0
    }
}

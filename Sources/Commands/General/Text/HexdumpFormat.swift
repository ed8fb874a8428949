import CommandKit
import ShellLanguage

/// A format of `hexdump -e`: `"%08_ax  " 16/1 "%02x " "\n"` (the manual page of hexdump, "FORMATS").
struct HexdumpFormat {
    /// What a part of a unit shows.
    private enum Piece {
        case text(String)
        /// The place, in a radix, filled up to a width.
        case place(radix: Int, width: Int, fill: Character)
        case byte(ByteKind, width: Int)
        /// A number: `%02x`, with what stands between the sign and the letter.
        case number(letter: Character, flags: String, width: Int)
    }

    private enum ByteKind { case character, escaped, visible, named }

    private struct Unit {
        var count = 1
        var countIsGiven = false
        var size = 0
        var pieces: [Piece] = []

        /// Bytes that it shows each time.
        var bytes: Int {
            pieces.reduce(0) { sum, piece in
                switch piece {
                case .text, .place: sum
                case .byte, .number: sum + size
                }
            }
        }
        /// The blanks behind the last piece that shows something.
        var withoutLastBlanks: [Piece] {
            guard case .text(let text)? = pieces.last, pieces.count > 1 else { return pieces }
            let kept = String(text.reversed().drop { $0 == " " || $0 == "\t" || $0 == "\n" }.reversed())
            return Array(pieces.dropLast()) + (kept.isEmpty ? [] : [.text(kept)])
        }
    }

    private let strings: [[Unit]]
    /// Bytes of a row.
    let width: Int

    static let widthLimit = 4096

    /// - Throws: `UsageError` for a format that makes no sense, or that is not known here.
    init(_ texts: [String]) throws {
        var strings = try texts.map { try Self.units($0) }
        let width = strings.map { $0.reduce(0) { $0 + $1.bytes * $1.count } }.max() ?? 0
        guard width > 0 else { throw UsageError("hexdump: -e: the format shows no bytes") }
        guard width <= Self.widthLimit else {
            throw UsageError("hexdump: -e: more than \(Self.widthLimit) bytes of a row")
        }
        // What shows less than a row goes on with its last unit.
        for index in strings.indices {
            let own = strings[index].reduce(0) { $0 + $1.bytes * $1.count }
            guard let last = strings[index].indices.last, !strings[index][last].countIsGiven else { continue }
            let bytes = strings[index][last].bytes
            if bytes > 0 { strings[index][last].count += (width - own) / bytes }
        }
        self.strings = strings
        self.width = width
    }

    // MARK: Reading

    private static func units(_ text: String) throws -> [Unit] {
        func failure(_ problem: String) -> UsageError { UsageError("hexdump: -e: '\(text)': \(problem)") }
        var rest = text[...]
        var units: [Unit] = []
        func number() throws -> Int? {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            if digits.isEmpty { return nil }
            guard let number = Int(digits), (1...widthLimit).contains(number) else {
                throw failure("'\(digits)' is not a number of bytes")
            }
            return number
        }
        while true {
            rest = rest.drop(while: \.isWhitespace)
            if rest.isEmpty { break }
            guard units.count < 100 else { throw failure("more than 100 units") }
            var unit = Unit()
            var size: Int?
            if let count = try number() { (unit.count, unit.countIsGiven) = (count, true) }
            rest = rest.drop(while: \.isWhitespace)
            if rest.first == "/" {
                rest.removeFirst()
                size = try number()
            }
            rest = rest.drop(while: \.isWhitespace)
            guard rest.popFirst() == "\"" else { throw failure("bad format: a \" is missing") }
            var body = ""
            while let character = rest.first, character != "\"" {
                body.append(rest.removeFirst())
                if character == "\\", !rest.isEmpty { body.append(rest.removeFirst()) }
            }
            guard rest.popFirst() == "\"" else { throw failure("bad format: a \" is missing") }
            try read(body, size, into: &unit, failure)
            units.append(unit)
        }
        return units
    }

    private static func read(
        _ body: String, _ given: Int?, into unit: inout Unit, _ failure: (String) -> UsageError
    ) throws {
        let text = String(decoding: EscapeSequences.resolve(body, .format), as: UTF8.self)
        var rest = text[...]
        var plain = ""
        var size: Int?
        func flush(_ unit: inout Unit) {
            if !plain.isEmpty { unit.pieces.append(.text(plain)) }
            plain = ""
        }
        while let character = rest.popFirst() {
            guard character == "%" else {
                plain.append(character)
                continue
            }
            if rest.first == "%" {
                plain.append(rest.removeFirst())
                continue
            }
            let flags = rest.prefix { "-+ #0".contains($0) }
            rest = rest.dropFirst(flags.count)
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest.dropFirst(digits.count)
            let width = Int(digits.prefix { $0 != "." }) ?? 0
            guard width <= 1000, digits.count <= 8, flags.count <= 8 else { throw failure("'%\(digits)' is too wide") }
            flush(&unit)
            guard let letter = rest.popFirst() else { throw failure("bad conversion character %") }
            var usual = 4
            switch letter {
            case "_":
                let kind = rest.popFirst()
                if kind == "a", let radix = rest.first.flatMap({ ["d": 10, "o": 8, "x": 16][$0] }) {
                    rest.removeFirst()
                    unit.pieces.append(.place(radix: radix, width: width, fill: flags.contains("0") ? "0" : " "))
                    continue
                }
                let kinds: [Character: ByteKind] = ["c": .escaped, "p": .visible, "u": .named]
                guard let known = kind.flatMap({ kinds[$0] }) else {
                    throw failure("bad conversion character %_\(kind.map(String.init) ?? "")")
                }
                unit.pieces.append(.byte(known, width: width))
                usual = 1
            case "c":
                unit.pieces.append(.byte(.character, width: width))
                usual = 1
            case "d", "i", "o", "u", "x", "X":
                unit.pieces.append(.number(letter: letter, flags: String(flags + digits), width: width))
            default: throw failure("bad conversion character %\(letter); there are c d i o u x X _a _c _p _u")
            }
            if let size, size != usual, given == nil { throw failure("conversions of different sizes in one unit") }
            size = usual
            if usual == 1, let given, given != 1 { throw failure("bad byte count for conversion character \(letter)") }
            if usual == 4, let given, ![1, 2, 4, 8].contains(given) {
                throw failure("bad byte count for conversion character \(letter)")
            }
        }
        flush(&unit)
        unit.size = given ?? size ?? 0
    }

    // MARK: Showing

    /// A row, which at the end of all may have fewer bytes than `width`: blanks stand for numbers that are missing.
    func row(_ bytes: ArraySlice<UInt8>, at place: Int) -> String {
        var text = ""
        for units in strings {
            var offset = 0
            for unit in units {
                for round in 0..<unit.count {
                    let isLast = round == unit.count - 1 && unit.count > 1
                    for piece in isLast ? unit.withoutLastBlanks : unit.pieces {
                        text += shown(piece, unit.size, bytes, &offset, place)
                    }
                }
            }
        }
        return text
    }

    private func shown(
        _ piece: Piece, _ size: Int, _ bytes: ArraySlice<UInt8>, _ offset: inout Int, _ place: Int
    ) -> String {
        switch piece {
        case .text(let text): return text
        case .place(let radix, let width, let fill):
            return String(place + offset, radix: radix).leftPadded(to: width, with: fill)
        case .byte(let kind, let width):
            defer { offset += 1 }
            guard offset < bytes.count else { return String(repeating: " ", count: width) }
            return Self.shown(bytes[bytes.startIndex + offset], kind).leftPadded(to: width)
        case .number(let letter, let flags, let width):
            defer { offset += size }
            guard offset < bytes.count else { return String(repeating: " ", count: width) }
            var value: UInt64 = 0
            for index in (0..<size).reversed() where offset + index < bytes.count {
                value = value << 8 | UInt64(bytes[bytes.startIndex + offset + index])
            }
            if letter == "d" || letter == "i" {
                let shift = Int64(64 - 8 * size)
                return CNumber.text(Int64(bitPattern: value << UInt64(shift)) >> shift, "%\(flags)ll\(letter)")
            }
            return CNumber.text(Int64(bitPattern: value), "%\(flags)ll\(letter)")
        }
    }

    private static func shown(_ byte: UInt8, _ kind: ByteKind) -> String {
        switch kind {
        case .character: return String(UnicodeScalar(byte))
        case .visible: return (32...126).contains(byte) ? String(UnicodeScalar(byte)) : "."
        case .escaped:
            return ByteShape(kind: "c", size: 1, isBig: false, showsText: false).text([byte])
        case .named:
            if byte == 10 { return "lf" }
            guard byte >= 128 else {
                return ByteShape(kind: "a", size: 1, isBig: false, showsText: false).text([byte])
            }
            return String(byte, radix: 16)
        }
    }
}

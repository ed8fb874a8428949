import CommandKit
import KernelStructures
import ShellLanguage

/// `${…}`: fallbacks, lengths, slices, and what patterns take away or replace.
extension Expansion {
    mutating func pieces(_ parameter: Parameter, isQuoted: Bool) throws(Stop) -> [Piece] {
        var name = parameter.name
        if let key = parameter.key { name = try element(name, key) }
        switch parameter.operation {
        case .value: return try pieces(.variable(name, isQuoted: isQuoted))
        case .indirect(let operation):
            // A reference gives the name that it stands for.
            if operation == nil, let other = scope.references[name] {
                return try expanded(other, isQuoted: isQuoted)
            }
            let target = try operand(name)
            guard Self.isName(target) else {
                throw Self.lineFailure("${!\(name)}: '\(target)' is not the name of a variable")
            }
            guard let operation else { return try pieces(.variable(target, isQuoted: isQuoted)) }
            return try pieces(Parameter(name: target, key: nil, operation: operation), isQuoted: isQuoted)
        case .keys:
            return try several(scope.keys(of: String(name.dropLast(3))), name, isQuoted: isQuoted)
        case .names:
            let known = VariableListing(scope).names().filter { $0.hasPrefix(name.dropLast()) }
            return try several(known, name, isQuoted: isQuoted)
        case .transformation(let letter) where "AKk".contains(letter) && list(name) != nil:
            return try listed(name, letter, isQuoted: isQuoted)
        case .transformation("P"):
            let text = try operand(name)
            guard let word = try? Parser.quotedWord(text) else { return try expanded(text, isQuoted: isQuoted) }
            return try expanded(try single(word), isQuoted: isQuoted)
        case .transformation(let letter):
            return try each(name, isQuoted: isQuoted) { value throws(Stop) in
                try transformed(value, letter, name)
            }
        case .length:
            if let list = list(name) { return try expanded(String(list.count), isQuoted: true) }
            return try expanded(String(try operand(name).count), isQuoted: true)
        case .fallback(let kind, let word, let countsEmpty):
            return try fallback(name, kind, word, countsEmpty: countsEmpty, isQuoted: isQuoted)
        case .removal(let word, let fromEnd, let isLongest):
            let pattern = GlobPattern(try pattern(word))
            return try each(name, isQuoted: isQuoted) { value throws(Stop) in
                try Self.removing(pattern, from: value, fromEnd: fromEnd, isLongest: isLongest)
            }
        case .replacement(let word, let new, let kind):
            let pieces = try pattern(word)
            let parts = try replacement(new)
            let pattern = GlobPattern(pieces)
            return try each(name, isQuoted: isQuoted) { value throws(Stop) in
                // Nothing stands at each end of a value, and is found nowhere else.
                if pieces.isEmpty, kind == .first || kind == .all { return value }
                return try Self.replacing(pattern, in: value, with: parts, kind)
            }
        case .slice(let offset, let length):
            let start = try number(offset)
            let count = try length.map { (text) throws(Stop) in try number(text) }
            return try slice(name, start, count, isQuoted: isQuoted)
        case .letterCase(let letterCase, let isAll, let word):
            let glob = try word.map { (word) throws(Stop) in GlobPattern(try self.pattern(word)) }
            return try each(name, isQuoted: isQuoted) { value in
                let changed = isAll ? value[...] : value.prefix(1)
                let letters = changed.map { character -> Character in
                    if let glob, !glob.matches(String(character)) { return character }
                    let isUpper = letterCase == .upper || letterCase == .other && character.isLowercase
                    return Self.inCase(character, isUpper: isUpper)
                }
                return String(letters) + value.dropFirst(changed.count)
            }
        }
    }

    /// Applies what a pattern does to a variable, or to each of `$@`.
    private func each(
        _ name: String, isQuoted: Bool, _ change: (String) throws(Stop) -> String
    ) throws(Stop) -> [Piece] {
        guard let list = list(name) else { return try expanded(try change(try operand(name)), isQuoted: isQuoted) }
        var changed: [String] = []
        for value in list { changed.append(try change(value)) }
        return try several(changed, name, isQuoted: isQuoted)
    }

    /// Several values, as `$@`; those of `"${a[*]}"` as one.
    private func several(_ values: [String], _ name: String, isQuoted: Bool) throws(Stop) -> [Piece] {
        if isQuoted, name.hasSuffix("*") || name.hasSuffix("[*]") {
            return try expanded(joined(values), isQuoted: true)
        }
        var result: [Piece] = []
        for value in values {
            if !result.isEmpty { result.append(.edge) }
            result += try expanded(value, isQuoted: isQuoted)
        }
        return result
    }

    static func isName(_ text: String) -> Bool {
        let name = VariableScope.element(text)?.base ?? text
        if name == "@" || name == "*" || !name.isEmpty && name.allSatisfy({ $0.isASCII && $0.isNumber }) {
            return true
        }
        return (name.first.map { $0 == "_" || $0.isASCII && $0.isLetter } ?? false)
            && name.allSatisfy { $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) }
    }

    /// `${x@Q}` and its kin.
    private func transformed(_ value: String, _ letter: Character, _ name: String) throws(Stop)
        -> String
    {
        switch letter {
        case "Q": return ShellQuoting.quoted(value)
        case "U": return value.uppercased()
        case "L": return value.lowercased()
        case "u": return value.prefix(1).uppercased() + value.dropFirst()
        case "E": return String(decoding: EscapeSequences.resolve(value, .quoted), as: UTF8.self)
        case "A":
            let flags = ShellQuoting.flags(scope.attributes[name] ?? [], scope.arrays[name])
            return (flags.isEmpty ? "" : "declare -\(flags) ") + "\(name)=\(ShellQuoting.quoted(value))"
        case "a": return ShellQuoting.flags(scope.attributes[name] ?? [], scope.arrays[name])
        default: return ShellQuoting.quoted(value)
        }
    }

    /// `${a[@]@A}`, `${a[@]@K}` and `${a[@]@k}`: all of an array, as it is declared, or its subscripts and elements.
    private func listed(_ name: String, _ letter: Character, isQuoted: Bool) throws(Stop) -> [Piece] {
        let base = scope.target(String(name.dropLast(3)))
        guard let array = scope.array(base) else {
            if letter == "A", let value = scope.value(of: base) {
                return try expanded(try transformed(value, "A", base), isQuoted: isQuoted)
            }
            let words = list(name) ?? []
            return try several(words.map(ShellQuoting.quoted), name, isQuoted: isQuoted)
        }
        switch letter {
        case "A": return try expanded(VariableListing(scope).declaration(base) ?? "", isQuoted: isQuoted)
        case "K":
            let words = array.keys.map {
                "\(ShellQuoting.subscripted($0)) \(ShellQuoting.declared(array[$0] ?? ""))"
            }
            let text = words.joined(separator: " ") + (array.isAssociative && !words.isEmpty ? " " : "")
            return try expanded(text, isQuoted: isQuoted)
        default:
            return try several(array.keys.flatMap { [$0, array[$0] ?? ""] }, name, isQuoted: isQuoted)
        }
    }

    /// As in bash, a letter whose other case is no single letter, ß, stays what it is.
    private static func inCase(_ character: Character, isUpper: Bool) -> Character {
        let changed = isUpper ? character.uppercased() : character.lowercased()
        return changed.count == 1 ? Character(changed) : character
    }

    // MARK: Fallbacks

    private mutating func fallback(
        _ name: String, _ kind: Parameter.Fallback, _ word: Word, countsEmpty: Bool, isQuoted: Bool
    ) throws(Stop) -> [Piece] {
        let value = list(name).map { $0.isEmpty ? nil : joined($0) } ?? self.value(name)
        let hasValue = value != nil && !(countsEmpty && value == "")
        switch kind {
        case .alternative:
            if hasValue { return try unquotedPieces(word, isQuoted: isQuoted) }
            // `"${x:+a}"` is an empty word; of `"${@+a}"` nothing is left.
            return isQuoted && list(name) == nil ? try expanded("", isQuoted: true) : []
        case _ where hasValue: return try pieces(.variable(name, isQuoted: isQuoted))
        case .use: return try unquotedPieces(word, isQuoted: isQuoted)
        case .complain:
            let text = try single(word)
            throw .fatal(CommandFailure("\(name): " + (text.isEmpty ? "no value" : text), status: 1))
        case .assign:
            guard Self.isName(name), name.first.map({ $0 == "_" || $0.isLetter }) ?? false else {
                throw Self.failure("${\(name)=…}: only a variable can be given a value")
            }
            let text = try single(word)
            do throws(Arithmetic.Failure) { try changes.assign(name, text) } catch { throw Self.failure(error.text) }
            return try expanded(text, isQuoted: isQuoted)
        }
    }

    /// What stands unquoted in `${x:-…}` is split, as what a variable holds is.
    private mutating func unquotedPieces(_ word: Word, isQuoted: Bool) throws(Stop) -> [Piece] {
        let found = try pieces(word)
        // `"${x:-}"` is an empty word, as `""` is.
        if isQuoted { return found.isEmpty ? try expanded("", isQuoted: true) : found }
        return found.map { piece in
            if case .text(let text, isQuoted: false, _) = piece { return .text(text, isQuoted: false, splits: true) }
            return piece
        }
    }

    // MARK: Patterns

    /// Steps that a pattern may take with one value, some seconds of work: it grows with the square of the value's
    /// length where the pattern has a star.
    private static let workLimit = 150_000_000

    private static func check(_ work: Int, _ count: Int) throws(Stop) {
        guard work > workLimit else { return }
        throw failure("the pattern takes too long on \(count) characters; sed and grep do such work in one pass")
    }

    static func removing(
        _ pattern: GlobPattern, from value: String, fromEnd: Bool, isLongest: Bool
    ) throws(Stop) -> String {
        let characters = Array(value)
        var work = 0
        if !fromEnd {
            guard let found = pattern.prefixLengths(characters[...], work: &work) else { return value }
            return String(characters.dropFirst(isLongest ? found.upperBound : found.lowerBound))
        }
        let lengths = isLongest ? Array((0...characters.count).reversed()) : Array(0...characters.count)
        for length in lengths {
            if pattern.matches(characters.suffix(length), work: &work) { return String(characters.dropLast(length)) }
            try check(work, characters.count)
        }
        return value
    }

    /// What a match is replaced with; nil stands for the match itself, which an `&` without quotes means.
    private mutating func replacement(_ word: Word) throws(Stop) -> [String?] {
        var parts: [String?] = []
        for piece in try pieces(word) {
            guard case .text(let text, let isQuoted, _) = piece else {
                parts.append(" ")
                continue
            }
            if isQuoted || !text.contains("&") {
                parts.append(text)
                continue
            }
            var plain = ""
            var isEscaped = false
            for character in text {
                if character == "&", isEscaped {
                    plain.removeLast()
                    plain.append(character)
                } else if character == "&" {
                    parts += [plain, nil]
                    plain = ""
                } else {
                    plain.append(character)
                }
                isEscaped = character == "\\" && !isEscaped
            }
            parts.append(plain)
        }
        return parts
    }

    private static func replacing(
        _ pattern: GlobPattern, in value: String, with new: [String?], _ kind: Parameter.Replacement
    ) throws(Stop) -> String {
        let characters = Array(value)
        var work = 0
        var result = ""
        var position = 0
        while position <= characters.count {
            let isPlace = kind != .atStart || position == 0
            try check(work, characters.count)
            if isPlace,
                let end = longestMatch(pattern, characters, from: position, toEnd: kind == .atEnd, work: &work),
                end > position || kind == .atStart || kind == .atEnd
            {
                for part in new { result += part ?? String(characters[position..<end]) }
                guard result.utf8.count <= sizeLimitBytes else {
                    throw failure("what stands in for the pattern grows beyond \(byteCountText(sizeLimitBytes))")
                }
                position = end
                if kind != .all { return result + String(characters[position...]) }
                continue
            }
            if position < characters.count { result.append(characters[position]) }
            position += 1
        }
        return result
    }

    /// The end of the longest match that begins at a place.
    private static func longestMatch(
        _ pattern: GlobPattern, _ characters: [Character], from start: Int, toEnd: Bool, work: inout Int
    ) -> Int? {
        if toEnd { return pattern.matches(characters[start...], work: &work) ? characters.count : nil }
        return pattern.prefixLengths(characters[start...], work: &work).map { start + $0.upperBound }
    }

    // MARK: Slices

    private func slice(_ name: String, _ start: Int, _ length: Int?, isQuoted: Bool) throws(Stop) -> [Piece] {
        if name.hasSuffix("[@]") || name.hasSuffix("[*]"), let array = scope.array(String(name.dropLast(3))),
            !array.isAssociative
        {
            // By subscripts, not by places: an array may have holes.
            guard length ?? 0 >= 0 else { throw Self.lineFailure("${\(name):…}: a length less than 0") }
            let first = start < 0 ? array.end &+ start : start
            return try several(first < 0 ? [] : array.slice(from: first, count: length), name, isQuoted: isQuoted)
        }
        if name.hasSuffix("[@]") || name.hasSuffix("[*]"), scope.values[scope.target(String(name.dropLast(3)))] != nil {
            return try slice(String(name.dropLast(3)), start, length, isQuoted: isQuoted)
        }
        if let list = list(name) {
            // `${@:1}` begins with `$1`; `$0` stands before it.
            let all = name == "@" || name == "*" ? [scope.scriptName] + list : list
            guard length ?? 0 >= 0 else { throw Self.lineFailure("${\(name):…}: a length less than 0") }
            let range = Self.range(of: all.count, start, length)
            return try several(range.map { Array(all[$0]) } ?? [], name, isQuoted: isQuoted)
        }
        let characters = Array(try operand(name))
        if let length, length < 0, Self.range(of: characters.count, start, length) == nil {
            throw Self.lineFailure("${\(name):…}: the end stands before the beginning")
        }
        let range = Self.range(of: characters.count, start, length)
        return try expanded(range.map { String(characters[$0]) } ?? "", isQuoted: isQuoted)
    }

    /// The part of `count` elements that bash means; a negative start, or length, counts from the end.
    private static func range(of count: Int, _ start: Int, _ length: Int?) -> Range<Int>? {
        let first = start < 0 ? (start < -count ? -1 : count + start) : start
        guard first >= 0, first <= count else { return nil }
        guard let length else { return first..<count }
        if length < 0 {
            let end = length < -count ? -1 : count + length
            return end < first ? nil : first..<end
        }
        return first..<(first + min(length, count - first))
    }
}

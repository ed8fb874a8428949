/// A pattern for one name or value: `*` any characters, `?` one, `[abc]`, `[a-z]`, `[[:alpha:]]`, `[!x]` one of a set;
/// `@(a|b)` one of several, `?(…)` or none, `*(…)` and `+(…)` any number of them, `!(…)` anything else; everything
/// else, and what was quoted, itself (POSIX 2.13, and ksh's alternatives).
public struct GlobPattern: Equatable, Sendable {
    enum Element: Equatable, Sendable {
        case character(Character)
        case anyOne
        case any
        case oneOf(CharacterSet, isNegated: Bool)
        /// One of several patterns, as often as the sign says.
        case group(Character, [GlobPattern])
    }

    struct CharacterSet: Equatable, Sendable {
        var ranges: [ClosedRange<Character>] = []
        var classes: [CharacterClass] = []

        func contains(_ character: Character) -> Bool {
            ranges.contains { $0.contains(character) } || classes.contains { $0.contains(character) }
        }
    }

    let elements: [Element]
    private let hasGroups: Bool

    /// A character of a pattern, and whether it was quoted.
    public typealias Piece = (character: Character, isQuoted: Bool)

    public init(_ characters: [Piece]) { self.init(characters, depth: 0) }

    init(_ characters: [Piece], depth: Int) {
        var elements: [Element] = []
        var index = 0
        let lastClosing = characters.lastIndex { $0.character == "]" && !$0.isQuoted } ?? -1
        while index < characters.count {
            let (character, isQuoted) = characters[index]
            index += 1
            if let (group, end) = Self.group(characters, from: index - 1, depth: depth) {
                elements.append(group)
                index = end
                continue
            }
            switch (character, isQuoted) {
            case ("*", false): if elements.last != .any { elements.append(.any) }
            case ("?", false): elements.append(.anyOne)
            case ("[", false):
                if index < lastClosing, let (set, end) = Self.set(characters, from: index) {
                    elements.append(set)
                    index = end
                } else {
                    elements.append(.character("["))
                }
            default: elements.append(.character(character))
            }
        }
        self.elements = elements
        hasGroups = elements.contains { if case .group = $0 { true } else { false } }
    }

    /// The same pattern for texts in small letters.
    package static func lowercased(_ pieces: [Piece]) -> [Piece] {
        var result: [Piece] = []
        for piece in pieces {
            for character in piece.character.lowercased() { result.append((character, piece.isQuoted)) }
        }
        return result
    }

    public init(_ text: String) { self.init(text.map { ($0, false) }) }

    // MARK: Sets

    /// The set whose `[` stands before `start`, and what follows its `]`.
    private static func set(_ characters: [Piece], from start: Int) -> (Element, Int)? {
        let isNegated = !characters[start].isQuoted && "!^".contains(characters[start].character)
        var set = CharacterSet()
        var index = isNegated ? start + 1 : start
        let first = index
        while index < characters.count {
            let (character, isQuoted) = characters[index]
            // A bracket that comes first is one of the set, not its end.
            if character == "]", !isQuoted, index > first { return (.oneOf(set, isNegated: isNegated), index + 1) }
            if character == "[", !isQuoted, let (name, end) = className(characters, from: index) {
                // As in a shell, a class that does not exist has no members.
                if let known = CharacterClass(rawValue: name) { set.classes.append(known) }
                index = end
                continue
            }
            index = range(characters, from: index, into: &set)
        }
        return nil
    }

    /// Takes one character, or a range like `a-z`.
    private static func range(_ characters: [Piece], from index: Int, into set: inout CharacterSet) -> Int {
        let low = characters[index].character
        guard index + 2 < characters.count, characters[index + 1].character == "-", !characters[index + 1].isQuoted,
            characters[index + 2].character != "]" || characters[index + 2].isQuoted
        else {
            set.ranges.append(low...low)
            return index + 1
        }
        // A range that runs backwards has nothing in it.
        let high = characters[index + 2].character
        if low <= high { set.ranges.append(low...high) }
        return index + 3
    }

    /// `[:name:]`, and where it ends.
    private static func className(_ characters: [Piece], from start: Int) -> (String, Int)? {
        guard start + 1 < characters.count, characters[start + 1].character == ":" else { return nil }
        var name = ""
        var index = start + 2
        while index < characters.count, characters[index].character.isLetter, name.count < 16 {
            name.append(characters[index].character)
            index += 1
        }
        guard index + 1 < characters.count, characters[index].character == ":", characters[index + 1].character == "]"
        else { return nil }
        return (name, index + 2)
    }

    // MARK: Matching

    /// Whether there is anything in it but plain characters.
    public var isPattern: Bool {
        elements.contains { if case .character = $0 { false } else { true } }
    }

    /// Whether it describes the whole of `text`. Takes time in the product of the lengths at worst, never more.
    public func matches(_ text: some StringProtocol) -> Bool { matches(Array(text)[...]) }

    public func matches(_ text: ArraySlice<Character>) -> Bool {
        var work = 0
        return matches(text, work: &work)
    }

    /// - Parameter work: counts the steps.
    public func matches(_ text: ArraySlice<Character>, work: inout Int) -> Bool {
        if hasGroups { return groupEnds(text, work: &work)[text.count] }
        var position = text.startIndex
        var element = 0
        var lastStar: (element: Int, position: Int)?
        while position < text.endIndex {
            work += 1
            if element < elements.count, elements[element] == .any {
                lastStar = (element, position)
                element += 1
            } else if element < elements.count, Self.matches(elements[element], text[position]) {
                element += 1
                position += 1
            } else if let star = lastStar {
                // Let the last star take one character more, and go on from there.
                lastStar = (star.element, star.position + 1)
                element = star.element + 1
                position = star.position + 1
            } else {
                return false
            }
        }
        return elements[element...].allSatisfy { $0 == .any }
    }

    /// How many characters from the beginning of `text` the pattern describes, at the least and at the most; nil for
    /// none. One pass: all ways through the pattern are followed at once.
    ///
    /// - Parameter work: counts the steps, each of one character and one element of the pattern.
    public func prefixLengths(_ text: ArraySlice<Character>, work: inout Int) -> ClosedRange<Int>? {
        if hasGroups {
            let ends = groupEnds(text, work: &work)
            guard let first = ends.firstIndex(of: true), let last = ends.lastIndex(of: true) else { return nil }
            return first...last
        }
        // Whether the elements before a place can describe what has been read.
        var alive = [Bool](repeating: false, count: elements.count + 1)
        alive[0] = true
        var shortest: Int?
        var longest = 0
        for length in 0...text.count {
            // A star may stand for nothing.
            for place in elements.indices where alive[place] && elements[place] == .any { alive[place + 1] = true }
            if alive[elements.count] {
                shortest = shortest ?? length
                longest = length
            }
            work += alive.count
            guard length < text.count, alive.contains(true) else { break }
            let character = text[text.startIndex + length]
            var next = [Bool](repeating: false, count: alive.count)
            for place in elements.indices where alive[place] {
                if elements[place] == .any {
                    next[place] = true
                } else if Self.matches(elements[place], character) {
                    next[place + 1] = true
                }
            }
            alive = next
        }
        return shortest.map { $0...longest }
    }

    static func matches(_ element: Element, _ character: Character) -> Bool {
        switch element {
        case .character(let expected): expected == character
        case .anyOne: true
        case .any, .group: false
        case .oneOf(let set, let isNegated): set.contains(character) != isNegated
        }
    }
}

/// The classes of characters that POSIX names, for the letters of all scripts, and else for ASCII.
package enum CharacterClass: String, Sendable {
    case alpha, digit, alnum, upper, lower, space, blank, punct, print, graph, cntrl, xdigit

    package func contains(_ character: Character) -> Bool {
        let code = character.asciiValue
        switch self {
        case .alpha: return character.isLetter
        case .digit: return code.map { (48...57).contains($0) } ?? false
        case .alnum: return character.isLetter || code.map { (48...57).contains($0) } ?? false
        case .upper: return character.isUppercase
        case .lower: return character.isLowercase
        case .space: return character == " " || code.map { (9...13).contains($0) } ?? (character == "\r\n")
        case .blank: return character == " " || character == "\t"
        case .punct: return code.map { (33...126).contains($0) } ?? false && !character.isLetter && !character.isNumber
        case .print: return code.map { (32...126).contains($0) } ?? true
        case .graph: return code.map { (33...126).contains($0) } ?? true
        case .cntrl: return code.map { $0 < 32 || $0 == 127 } ?? false
        case .xdigit: return character.isASCII && character.isHexDigit
        }
    }

    /// Its ASCII members, in their order: what `tr` makes of it.
    package var asciiMembers: [UInt8] {
        (0...127).filter { contains(Character(Unicode.Scalar(UInt8($0)))) }.map { UInt8($0) }
    }
}

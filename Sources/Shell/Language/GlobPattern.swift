/// A pattern for one name: `*` any characters, `?` one, `[abc]`, `[a-z]`, `[!x]` one of a set; everything else, and
/// what was quoted, itself.
public struct GlobPattern: Equatable, Sendable {
    enum Element: Equatable, Sendable {
        case character(Character)
        case anyOne
        case any
        case oneOf([ClosedRange<Character>], isNegated: Bool)
    }

    private let elements: [Element]

    /// - Parameter characters: each with whether it was quoted.
    public init(_ characters: [(character: Character, isQuoted: Bool)]) {
        var elements: [Element] = []
        var index = 0
        let lastClosing = characters.lastIndex { $0.character == "]" && !$0.isQuoted } ?? -1
        while index < characters.count {
            let (character, isQuoted) = characters[index]
            index += 1
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
    }

    public init(_ text: String) { self.init(text.map { ($0, false) }) }

    private static func set(_ characters: [(character: Character, isQuoted: Bool)], from start: Int) -> (Element, Int)?
    {
        let isNegated = !characters[start].isQuoted && "!^".contains(characters[start].character)
        let first = isNegated ? start + 1 : start
        // A bracket that comes first is one of the set, not its end.
        guard first < characters.count,
            let end = characters[(first + 1)...].firstIndex(where: { $0.character == "]" && !$0.isQuoted })
        else { return nil }
        let inside = characters[first..<end]
        var ranges: [ClosedRange<Character>] = []
        var index = first
        while index < end {
            let low = inside[index].character
            guard index + 2 < end, inside[index + 1].character == "-", !inside[index + 1].isQuoted else {
                ranges.append(low...low)
                index += 1
                continue
            }
            // A range that runs backwards has nothing in it.
            let high = inside[index + 2].character
            if low <= high { ranges.append(low...high) }
            index += 3
        }
        return (.oneOf(ranges, isNegated: isNegated), end + 1)
    }

    /// Whether there is anything in it but plain characters.
    public var isPattern: Bool {
        elements.contains { if case .character = $0 { false } else { true } }
    }

    /// Whether it describes the whole of `text`. Takes time in the product of the lengths at worst, never more.
    public func matches(_ text: some StringProtocol) -> Bool {
        let text = Array(text)
        var position = 0
        var element = 0
        var lastStar: (element: Int, position: Int)?
        while position < text.count {
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

    private static func matches(_ element: Element, _ character: Character) -> Bool {
        switch element {
        case .character(let expected): expected == character
        case .anyOne: true
        case .any: false
        case .oneOf(let ranges, let isNegated): ranges.contains { $0.contains(character) } != isNegated
        }
    }
}

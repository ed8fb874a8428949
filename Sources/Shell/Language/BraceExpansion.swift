/// `{x,y}` and `{a..b}`: one word becomes several before anything else is expanded.
///
/// `a{b,c}d` is `abd acd`; `{1..6}`, `{01..10}`, `{1..9..2}` and `{a..e}` count. Quoted braces, and braces without a
/// comma or two dots, stay as they are. A word in which a brace touches a bar, `{A,B}|{C}`, is a partition and stays
/// whole.
struct BraceExpansion {
    /// Words that one may become.
    static let wordLimit = 100_000
    /// Characters of all those words together.
    static let characterLimit = 4_000_000
    /// Braces inside one another.
    static let depthLimit = 100

    struct Failure: Error, Equatable { let text: String }

    private enum Item {
        case character(Character)
        /// Something that no brace reaches into: quoted text, a variable.
        case part(Word.Part)

        func isUnquoted(_ other: Character) -> Bool {
            if case .character(other) = self { return true }
            return false
        }
    }

    /// An opening brace that has its closing one: where that is, and where the commas between them are.
    private struct Brace {
        var commas: [Int] = []
        var closing = 0
    }

    private let items: [Item]
    /// By the place of the opening brace.
    private var braces: [Int: Brace] = [:]

    static func expand(_ word: Word) throws(Failure) -> [Word] {
        let items = word.parts.flatMap { part -> [Item] in
            if case .text(let text, isQuoted: false) = part { return text.map { .character($0) } }
            return [.part(part)]
        }
        guard items.contains(where: { $0.isUnquoted("{") }), !isPartition(items) else { return [word] }
        let expansion = BraceExpansion(items)
        if expansion.braces.isEmpty { return [word] }
        return try expansion.words(0..<items.count, depth: 0).map { Word(parts: parts($0), position: word.position) }
    }

    private static func isPartition(_ items: [Item]) -> Bool {
        items.indices.dropFirst().dropLast().contains {
            items[$0].isUnquoted("|") && items[$0 - 1].isUnquoted("}") && items[$0 + 1].isUnquoted("{")
        }
    }

    /// Finds the pairs in one pass: a word of a million braces must not take a million looks at each.
    private init(_ items: [Item]) {
        self.items = items
        var open: [(place: Int, brace: Brace)] = []
        for index in items.indices {
            guard case .character(let character) = items[index] else { continue }
            switch character {
            case "{": open.append((index, Brace()))
            case ",": if !open.isEmpty { open[open.count - 1].brace.commas.append(index) }
            case "}":
                guard let (place, brace) = open.popLast() else { continue }
                braces[place] = Brace(commas: brace.commas, closing: index)
            default: break
            }
        }
    }

    private func words(_ range: Range<Int>, depth: Int) throws(Failure) -> [[Item]] {
        if depth > Self.depthLimit { throw Failure(text: "braces more than \(Self.depthLimit) deep") }
        var result: [[Item]] = [[]]
        var index = range.lowerBound
        var plainStart = index
        while index < range.upperBound {
            guard let brace = braces[index], brace.closing < range.upperBound,
                let choices = try choices(index, brace, depth: depth)
            else {
                index += 1
                continue
            }
            result = try Self.product(result, [Array(items[plainStart..<index])])
            result = try Self.product(result, choices)
            index = brace.closing + 1
            plainStart = index
        }
        return try Self.product(result, [Array(items[plainStart..<range.upperBound])])
    }

    /// What stands for the braces; nil if they are no choice, but only braces.
    private func choices(_ opening: Int, _ brace: Brace, depth: Int) throws(Failure) -> [[Item]]? {
        guard !brace.commas.isEmpty else { return try Self.range(items[(opening + 1)..<brace.closing]) }
        let edges = [opening] + brace.commas + [brace.closing]
        var result: [[Item]] = []
        for (before, after) in zip(edges, edges.dropFirst()) {
            result += try words(before + 1..<after, depth: depth + 1)
            if result.count > Self.wordLimit { throw Self.tooMany }
        }
        return result
    }

    private static func product(_ words: [[Item]], _ endings: [[Item]]) throws(Failure) -> [[Item]] {
        guard words.count * endings.count <= wordLimit else { throw tooMany }
        let length = endings.count * size(words) + words.count * size(endings)
        // One word that stays one is as long as it is.
        guard length <= characterLimit || words.count * endings.count == 1 else {
            throw Failure(text: "more than \(characterLimit) characters from one word")
        }
        if endings.count == 1 {
            if endings[0].isEmpty { return words }
            var words = words
            for index in words.indices { words[index] += endings[0] }
            return words
        }
        return words.flatMap { word in endings.map { word + $0 } }
    }

    private static func size(_ words: [[Item]]) -> Int { words.reduce(0) { $0 + $1.count } }

    private static var tooMany: Failure { Failure(text: "more than \(wordLimit) words from one") }

    // MARK: Ranges

    private static func range(_ items: ArraySlice<Item>) throws(Failure) -> [[Item]]? {
        // Three numbers of twenty characters: longer things are no range.
        guard items.count <= 64 else { return nil }
        var text = ""
        for item in items {
            guard case .character(let character) = item else { return nil }
            text.append(character)
        }
        let pieces = text.split(separator: ".", omittingEmptySubsequences: false)
        guard pieces.count == 3 || pieces.count == 5, pieces[1].isEmpty, pieces.count == 3 || pieces[3].isEmpty,
            let step = pieces.count == 5 ? Int(pieces[4]) : 1
        else { return nil }
        if let a = Int(pieces[0]), let b = Int(pieces[2]) {
            let isPadded = [pieces[0], pieces[2]].contains {
                let digits = $0.drop { $0 == "-" }
                return digits.hasPrefix("0") && digits.count > 1
            }
            let width = isPadded ? max(pieces[0].count, pieces[2].count) : 0
            return try counted(a, b, step).map { padded($0, width).map { .character($0) } }
        }
        guard let a = letter(pieces[0]), let b = letter(pieces[2]) else { return nil }
        return try counted(a, b, step).map { [.character(Character(Unicode.Scalar(UInt8($0))))] }
    }

    private static func letter(_ text: Substring) -> Int? {
        guard text.count == 1, let first = text.first, first.isASCII, first.isLetter else { return nil }
        return first.asciiValue.map { Int($0) }
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number.magnitude)
        let sign = number < 0 ? "-" : ""
        return sign + String(repeating: "0", count: max(0, width - sign.count - digits.count)) + digits
    }

    /// From one to the other in whichever direction that is; as in bash, a step of 0 is one of 1.
    private static func counted(_ a: Int, _ b: Int, _ step: Int) throws(Failure) -> [Int] {
        let size = max(1, step.magnitude)
        // The distance of any two `Int`s is a `UInt`.
        let distance = UInt(bitPattern: b &- a)
        let steps = (a <= b ? distance : 0 &- distance) / size
        guard steps < wordLimit else { throw tooMany }
        return (0...steps).map { Int(bitPattern: UInt(bitPattern: a) &+ (a <= b ? $0 &* size : 0 &- $0 &* size)) }
    }

    private static func parts(_ items: [Item]) -> [Word.Part] {
        var parts: [Word.Part] = []
        var text = ""
        for item in items {
            switch item {
            case .character(let character): text.append(character)
            case .part(let part):
                if !text.isEmpty { parts.append(.text(text, isQuoted: false)) }
                text = ""
                parts.append(part)
            }
        }
        if !text.isEmpty || parts.isEmpty { parts.append(.text(text, isQuoted: false)) }
        return parts
    }
}

/// `?(a|b)`, `*(…)`, `+(…)`, `@(…)` and `!(…)` in patterns.
extension GlobPattern {
    /// Groups within one another; what is deeper is text.
    private static let groupDepthLimit = 8
    /// Steps that one match may take; one that needs more fits nothing.
    static let groupWorkLimit = 200_000_000

    /// The group that begins at a place, and what follows its `)`; nil where none does.
    static func group(_ characters: [Piece], from start: Int, depth: Int) -> (Element, Int)? {
        let sign = characters[start]
        guard depth < groupDepthLimit, !sign.isQuoted, "?*+@!".contains(sign.character),
            start + 1 < characters.count, characters[start + 1].character == "(", !characters[start + 1].isQuoted
        else { return nil }
        var alternatives: [[Piece]] = [[]]
        var open = 1
        var index = start + 2
        while index < characters.count {
            let piece = characters[index]
            index += 1
            if !piece.isQuoted {
                if piece.character == "(" { open += 1 }
                if piece.character == ")" { open -= 1 }
                if open == 0 {
                    return (.group(sign.character, alternatives.map { GlobPattern($0, depth: depth + 1) }), index)
                }
                if piece.character == "|", open == 1 {
                    alternatives.append([])
                    continue
                }
            }
            alternatives[alternatives.count - 1].append(piece)
        }
        return nil
    }

    /// Where the pattern may end that begins at the beginning of a text: whether it can, by the number of characters.
    /// All ways are followed at once, so that it takes no exponential time.
    func groupEnds(_ text: ArraySlice<Character>, work: inout Int) -> [Bool] {
        var start = [Bool](repeating: false, count: text.count + 1)
        start[0] = true
        return ends(from: start, Array(text), &work)
    }

    private func ends(from start: [Bool], _ text: [Character], _ work: inout Int) -> [Bool] {
        var alive = start
        for element in elements {
            work += alive.count
            guard work < Self.groupWorkLimit, let first = alive.firstIndex(of: true) else {
                return [Bool](repeating: false, count: alive.count)
            }
            switch element {
            case .any:
                for place in first..<alive.count { alive[place] = true }
            case .group(let sign, let patterns): alive = Self.ends(sign, patterns, from: alive, text, &work)
            default:
                var next = [Bool](repeating: false, count: alive.count)
                for place in first..<text.count where alive[place] && Self.matches(element, text[place]) {
                    next[place + 1] = true
                }
                alive = next
            }
        }
        return alive
    }

    private static func ends(
        _ sign: Character, _ patterns: [GlobPattern], from start: [Bool], _ text: [Character], _ work: inout Int
    ) -> [Bool] {
        func once(_ start: [Bool]) -> [Bool] {
            var result = [Bool](repeating: false, count: start.count)
            for pattern in patterns {
                for (place, isEnd) in pattern.ends(from: start, text, &work).enumerated() where isEnd {
                    result[place] = true
                }
            }
            return result
        }
        switch sign {
        case "@": return once(start)
        case "?": return zip(start, once(start)).map { $0 || $1 }
        case "*", "+":
            var all = sign == "*" ? start : [Bool](repeating: false, count: start.count)
            var newest = start
            // Each round finds at least one end more, or is the last.
            while newest.contains(true) {
                let found = once(newest)
                newest = zip(found, all).map { $0 && !$1 }
                for place in newest.indices where newest[place] { all[place] = true }
            }
            return all
        default:
            var all = [Bool](repeating: false, count: start.count)
            for place in start.indices where start[place] {
                var one = [Bool](repeating: false, count: start.count)
                one[place] = true
                let found = once(one)
                for end in place..<found.count where !found[end] { all[end] = true }
            }
            return all
        }
    }
}

import KernelStructures

/// A line's text cut into literals and holes, and the search for a way to lay it over an actual line.
package struct Template: Sendable {
    package enum Segment: Sendable, Equatable {
        case literal([Character])
        /// `<int:port>`
        case hole(HoleType, name: String?)
        /// `<=port>`: what was captured under that name.
        case same(String)
        /// `<100~5>`, `<100~5%>` or `<100~5:port>`: a number near another.
        case near(Double, tolerance: Double, name: String?)

        /// What it captures.
        var captured: String? {
            switch self {
            case .hole(_, let name), .near(_, _, let name): name
            case .literal, .same: nil
            }
        }
    }

    package let text: String
    package let segments: [Segment]

    package init(_ text: String) {
        self.text = text
        segments = Self.cut(Array(text))
    }

    var captureNames: [String] {
        segments.compactMap(\.captured)
    }

    // MARK: Cutting

    private static func cut(_ characters: [Character]) -> [Segment] {
        var segments: [Segment] = []
        var literal: [Character] = []
        var index = 0
        func flush() {
            if !literal.isEmpty { segments.append(.literal(literal)) }
            literal = []
        }
        while index < characters.count {
            if characters[index] == "<", let end = characters[index...].firstIndex(of: ">"),
                let segment = hole(String(characters[(index + 1)..<end]))
            {
                flush()
                segments.append(segment)
                index = end + 1
            } else if let (segment, length) = ellipsis(characters, index, before: literal) {
                flush()
                segments.append(segment)
                index += length
            } else {
                literal.append(characters[index])
                index += 1
            }
        }
        flush()
        return segments
    }

    /// What stands between `<` and `>`, if that is a hole.
    private static func hole(_ text: String) -> Segment? {
        if text.hasPrefix("=") {
            let name = String(text.dropFirst())
            return isName(name) ? .same(name) : nil
        }
        if let tilde = text.firstIndex(of: "~"), let center = number(text[..<tilde]) {
            let tail = text[text.index(after: tilde)...].split(
                separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let isShare = tail[0].hasSuffix("%")
            guard let width = number(isShare ? tail[0].dropLast() : tail[0]), width >= 0 else { return nil }
            let name = tail.count == 2 ? String(tail[1]) : nil
            guard name.map(isName) ?? true else { return nil }
            return .near(center, tolerance: isShare ? abs(center) * width / 100 : width, name: name)
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let type = HoleType(rawValue: parts[0]), type != .hexadecimalTail else { return nil }
        if parts.count == 1 { return .hole(type, name: nil) }
        return isName(parts[1]) ? .hole(type, name: parts[1]) : nil
    }

    /// A decimal number: `Double` alone would also read `inf`, `nan` and `0x1p3`.
    private static func number(_ text: Substring) -> Double? {
        text.allSatisfy { $0.isASCII && ($0.isNumber || "+-.eE".contains($0)) } ? Double(text) : nil
    }

    private static func isName(_ text: String) -> Bool {
        guard let first = text.first, first.isASCII, first.isLetter || first == "_" else { return false }
        return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    }

    /// The seed's own ways to leave something out: `{...}`, `[...]`, `, ...}`, `, ...]`, `0x7A3F...` and `eyJ...`.
    private static func ellipsis(_ characters: [Character], _ index: Int, before: [Character]) -> (Segment, Int)? {
        func follows(_ text: String, at index: Int) -> Bool {
            characters.count >= index + text.count && characters[index..<(index + text.count)].elementsEqual(text)
        }
        if follows("eyJ...", at: index) { return (.hole(.jwt, name: nil), 6) }
        guard follows("...", at: index) else { return follows(" ...", at: index) ? spaced() : nil }
        let next = index + 3 < characters.count ? characters[index + 3] : nil
        if (before.last == "{" && next == "}") || (before.last == "[" && next == "]") {
            return (.hole(.any, name: nil), 3)
        }
        return endsInHexadecimal(before) ? (.hole(.hexadecimalTail, name: nil), 3) : nil

        func spaced() -> (Segment, Int)? {
            let next = index + 4 < characters.count ? characters[index + 4] : nil
            return before.last == "," && (next == "}" || next == "]") ? (.hole(.any, name: nil), 4) : nil
        }
    }

    /// Whether the last word is a hexadecimal number of at least four digits.
    private static func endsInHexadecimal(_ text: [Character]) -> Bool {
        var word = Array(text.reversed().prefix { $0.isLetter || $0.isNumber }.reversed())
        if word.starts(with: "0x") { word.removeFirst(2) }
        return word.count >= 4 && word.allSatisfy { $0.isASCII && $0.isHexDigit } && word.contains(where: \.isNumber)
    }

    // MARK: Matching

    /// Whether it means nothing but its own characters.
    package var isLiteral: Bool { segments.allSatisfy { if case .literal = $0 { true } else { false } } }

    /// - Returns: the captures after the match, or nil.
    package func match(_ line: String, _ captures: [String: String]) -> [String: String]? {
        // Without a hole there is only the literal reading, which was tried already.
        if isLiteral { return nil }
        var search = Search(segments: segments, line: Array(line))
        return search.match(0, 0, captures)
    }

    /// Backtracking over segments; what failed once from the same place is not tried again.
    private struct Search {
        let segments: [Segment]
        let line: [Character]
        private var failed: Set<Failure> = []
        /// Names that are captured and compared within this line: a failure may depend on what they hold.
        private let compared: [String]

        private struct Failure: Hashable {
            let segment: Int
            let place: Int
            let compared: [String?]
        }

        init(segments: [Segment], line: [Character]) {
            self.segments = segments
            self.line = line
            let captured = Set(segments.compactMap(\.captured))
            compared = segments.compactMap { segment in
                if case .same(let name) = segment, captured.contains(name) { name } else { nil }
            }
        }

        mutating func match(_ segment: Int, _ place: Int, _ captures: [String: String]) -> [String: String]? {
            if segment == segments.count { return place == line.count ? captures : nil }
            let attempt = Failure(segment: segment, place: place, compared: compared.map { captures[$0] })
            if failed.contains(attempt) { return nil }
            for end in ends(segments[segment], place, captures) {
                var captures = captures
                if let name = segments[segment].captured { captures[name] = String(line[place..<end]) }
                if let found = match(segment + 1, end, captures) { return found }
            }
            failed.insert(attempt)
            return nil
        }

        /// Where a segment that begins at `place` may end, longest first.
        private func ends(_ segment: Segment, _ place: Int, _ captures: [String: String]) -> [Int] {
            switch segment {
            case .literal(let text): literalEnd(text, place)
            case .same(let name): captures[name].map { literalEnd(Array($0), place) } ?? []
            case .hole(let type, _): type.ends(in: line, from: place)
            case .near(let center, let tolerance, _):
                HoleType.num.ends(in: line, from: place).filter { end in
                    guard let number = Double(String(line[place..<end].filter { $0 != "," })) else { return false }
                    return abs(number - center) <= tolerance * (1 + 1e-12)
                }
            }
        }

        private func literalEnd(_ text: [Character], _ place: Int) -> [Int] {
            let end = place + text.count
            return end <= line.count && line[place..<end].elementsEqual(text) ? [end] : []
        }
    }
}

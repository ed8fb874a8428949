/// `s/pattern/text/flags`
struct SedSubstitution {
    enum Piece {
        case text([UInt8])
        /// `\1`; 0 is `&`.
        case group(Int)
        case letterCase(LetterCase)
    }

    /// GNU's: what follows in large or small letters, up to `\E`, or only the next letter.
    enum LetterCase: Character {
        case upper = "U", lower = "L", nextUpper = "u", nextLower = "l", end = "E"
    }

    /// In which letters the text of one match is written, as far as it has been read.
    private struct Lettering {
        private var isUpper: Bool?
        private var isNextUpper: Bool?

        mutating func take(_ letterCase: LetterCase) {
            switch letterCase {
            case .upper: (isUpper, isNextUpper) = (true, nil)
            case .lower: (isUpper, isNextUpper) = (false, nil)
            case .nextUpper: isNextUpper = true
            case .nextLower: isNextUpper = false
            case .end: (isUpper, isNextUpper) = (nil, nil)
            }
        }

        mutating func apply(to bytes: some Collection<UInt8>) -> [UInt8] {
            guard isUpper != nil || isNextUpper != nil, !bytes.isEmpty else { return Array(bytes) }
            var result = ""
            for character in String(decoding: bytes, as: UTF8.self) {
                let wanted = isNextUpper ?? isUpper
                isNextUpper = nil
                let changed = wanted.map { $0 ? character.uppercased() : character.lowercased() } ?? String(character)
                // As elsewhere, a letter whose other case is no single letter, ß, stays what it is.
                result += changed.count == 1 ? changed : String(character)
            }
            return Array(result.utf8)
        }
    }

    /// nil: the one that was used last, `s//x/`.
    let expression: LineExpression?
    let pieces: [Piece]
    /// Which match is the first to be replaced.
    let occurrence: Int
    let isGlobal: Bool
    let prints: Bool
    /// The file of the flag `w`.
    let file: String?

    enum Outcome {
        case unmatched
        case changed([UInt8])
        /// More than the limit would have come out.
        case tooLong
    }

    /// - Parameter expression: its own, or the one that was used last.
    func apply(_ expression: LineExpression, to line: [UInt8], limitBytes: Int) -> Outcome {
        line.withUnsafeBytes { bytes -> Outcome in
            let all = expression.allMatches(in: bytes, limit: isGlobal ? .max : occurrence)
            let matches = all.dropFirst(occurrence - 1)
            if matches.isEmpty { return .unmatched }
            var result: [UInt8] = []
            var position = 0
            for match in matches {
                result += bytes[position..<match.range.lowerBound]
                var lettering = Lettering()
                for piece in pieces {
                    switch piece {
                    case .text(let text): result += lettering.apply(to: text)
                    case .group(let number):
                        if let range = match[number] { result += lettering.apply(to: bytes[range]) }
                    case .letterCase(let letterCase): lettering.take(letterCase)
                    }
                    if result.count > limitBytes { return .tooLong }
                }
                position = match.range.upperBound
            }
            result += bytes[position...]
            return result.count > limitBytes ? .tooLong : .changed(result)
        }
    }
}

/// Why a case failed: where, what was expected, what came nearest, and how to see it again.
public struct CaseFailure: Error, Sendable {
    public let place: SourcePlace
    public let message: String
    public var expected: String?
    /// The line that came instead, if one did.
    public var seen: String?
    /// Of all lines that might have been meant, the most similar.
    public var nearest: String?
    /// What a command that failed before printed last: often the reason.
    public var printed: String?
    /// Lab time since the case began.
    public var elapsed = ""
    /// What the lab's clock waits for.
    public var timers: [String] = []
    /// How `-u` makes this expectation true; nil if it cannot.
    package internal(set) var repair: Repair?

    init(_ place: SourcePlace, _ message: String, expected: String? = nil, seen: String? = nil, repair: Repair? = nil) {
        self.place = place
        self.message = message
        self.expected = expected
        self.seen = seen
        self.repair = repair
    }
}

extension CaseFailure {
    /// Where the two lines tell what was probably meant: they differ in blanks only, or something in angle brackets
    /// that is no hole was taken for itself.
    package var hint: String? {
        guard let expected else { return nil }
        if let other = seen ?? nearest, let pattern = try? LinePattern(reading: expected) {
            var captures: [String: String] = [:]
            if pattern.matches(other, collapsingBlanks: true, &captures) {
                return "they differ in blanks only; @blanks collapse in the case takes both"
            }
        }
        let types = HoleType.allCases.filter { $0 != .hexadecimalTail }.map { "<\($0.rawValue)>" }
        for piece in expected.split(separator: "<").dropFirst() {
            guard let end = piece.firstIndex(of: ">"), piece[..<end].count <= 20 else { continue }
            let word = "<\(piece[..<end])>"
            let isName = piece[..<end].allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_:-".contains($0)) }
            guard isName, !piece[..<end].isEmpty, Template(word).isLiteral,
                (seen ?? nearest)?.contains(word) != true
            else { continue }
            return "\(word) is no hole, and means itself; holes are \(types.joined(separator: " "))"
        }
        return nil
    }
}

/// A change of a transcript's text.
package enum Repair: Sendable, Equatable {
    case replace(SourcePlace, [String])
    case insertBefore(SourcePlace, [String])
    case insertAfter(SourcePlace, [String])
    case delete(SourcePlace)
    /// The line as it is, to another place of its file.
    case move(SourcePlace, before: SourcePlace)

    package var place: SourcePlace {
        switch self {
        case .replace(let place, _), .insertBefore(let place, _), .insertAfter(let place, _), .delete(let place),
            .move(let place, _):
            place
        }
    }

    /// The files that it changes.
    var files: Set<String> {
        if case .move(let place, let target) = self { return [place.file, target.file] }
        return [place.file]
    }

    /// Applies it to the lines of a file.
    func apply(to lines: inout [String]) {
        let index = place.line - 1
        guard lines.indices.contains(index) else { return }
        switch self {
        case .replace(_, let new): lines.replaceSubrange(index...index, with: new)
        case .insertBefore(_, let new): lines.insert(contentsOf: new, at: index)
        case .insertAfter(_, let new): lines.insert(contentsOf: new, at: index + 1)
        case .delete: lines.remove(at: index)
        case .move(_, let target):
            guard (1...lines.count).contains(target.line), target.line - 1 != index else { return }
            let line = lines.remove(at: index)
            lines.insert(line, at: target.line - 1 > index ? target.line - 2 : target.line - 1)
        }
    }
}

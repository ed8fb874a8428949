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

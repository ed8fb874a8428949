/// A part of a pattern that is walked through.
indirect enum WalkingNode {
    case empty
    case character(WalkingSet)
    case sequence([WalkingNode])
    case choice([WalkingNode])
    case repetition(WalkingNode, Int, Int?, isGreedy: Bool)
    /// A group with its number, from 1.
    case group(WalkingNode, Int)
    case check(WalkingCheck)
    case backReference(Int)
    case look(WalkingNode, WalkingLook.Kind, isNegated: Bool)
    /// `\K`: the match begins here.
    case keep
}

/// What must hold at a place.
enum WalkingCheck {
    case textStart, textEnd, lineStart, lineEnd, wordStart, wordEnd, wordEdge, noWordEdge, noWordBefore, noWordBehind
}

/// A part that is walked through by itself, from a place within another walk.
struct WalkingLook {
    enum Kind {
        case ahead, behind
        /// `(?>…)`: once it is through, there is no going back into it.
        case atomic
    }

    let kind: Kind
    let isNegated: Bool
    /// Characters that it may be long, where it is behind.
    let widths: ClosedRange<Int>
    /// The step behind it.
    var next: Int
}

enum WalkingStep {
    case character(Int)
    /// The first of the two is tried first.
    case split(Int, Int)
    case jump(Int)
    case save(Int)
    /// A round of a loop that took nothing is the last one.
    case leaveIfEmpty(Int, Int)
    case check(WalkingCheck)
    case backReference(Int)
    case look(WalkingLook)
    case match
}

/// The steps of a pattern. Registers 0 and 1 are the match, two more of each group follow, then those of loops.
struct WalkingProgram {
    private(set) var steps: [WalkingStep] = []
    private(set) var sets: [WalkingSet] = []
    private(set) var registerCount: Int
    let ignoresCase: Bool
    let isLongest: Bool
    /// Whether a place that led nowhere will always do so.
    private(set) var remembers = true

    private static let stepLimit = 20_000

    init(
        _ node: WalkingNode, groupCount: Int, ignoresCase: Bool, _ isLongest: Bool
    ) throws(WalkingError) {
        registerCount = 2 * groupCount + 2
        self.ignoresCase = ignoresCase
        self.isLongest = isLongest
        try add(node)
        try put(.match)
    }

    func contains(_ index: Int, _ scalar: UInt32) -> Bool {
        let set = sets[index]
        guard ignoresCase, let character = UnicodeScalar(scalar) else { return set.contains(scalar) }
        if set.isIn(scalar) { return !set.isNegated }
        for other in [character.properties.lowercaseMapping, character.properties.uppercaseMapping] {
            if let first = other.unicodeScalars.first, other.unicodeScalars.count == 1, set.isIn(first.value) {
                return !set.isNegated
            }
        }
        return set.isNegated
    }

    private mutating func put(_ step: WalkingStep) throws(WalkingError) {
        guard steps.count < Self.stepLimit else {
            throw WalkingError(description: "its repetitions make more than \(Self.stepLimit) steps")
        }
        steps.append(step)
    }

    private mutating func add(_ node: WalkingNode) throws(WalkingError) {
        switch node {
        case .empty: break
        case .character(let set):
            try put(.character(sets.count))
            sets.append(set)
        case .sequence(let nodes): for node in nodes { try add(node) }
        case .choice(let nodes):
            var ends: [Int] = []
            for (index, node) in nodes.enumerated() {
                let split = steps.count
                if index < nodes.count - 1 { try put(.match) }
                try add(node)
                guard index < nodes.count - 1 else { break }
                ends.append(steps.count)
                try put(.match)
                steps[split] = .split(split + 1, steps.count)
            }
            for end in ends { steps[end] = .jump(steps.count) }
        case .repetition(let node, let low, let high, let isGreedy): try addLoop(node, low, high, isGreedy)
        case .group(let node, let number):
            try put(.save(2 * number))
            try add(node)
            try put(.save(2 * number + 1))
        case .check(let check): try put(.check(check))
        case .backReference(let number):
            remembers = false
            try put(.backReference(number))
        case .look(let node, let kind, let isNegated):
            let place = steps.count
            let (low, high) = node.widths
            guard kind != .behind || high.map({ $0 <= 1000 }) ?? false else {
                throw WalkingError(description: "what is looked for behind a place needs a length")
            }
            try put(.match)
            try add(node)
            try put(.match)
            steps[place] = .look(
                WalkingLook(kind: kind, isNegated: isNegated, widths: low...max(low, high ?? low), next: steps.count))
        case .keep: try put(.save(0))
        }
    }

    private mutating func addLoop(
        _ node: WalkingNode, _ low: Int, _ high: Int?, _ isGreedy: Bool
    ) throws(WalkingError) {
        for _ in 0..<low {
            let before = steps.count
            try add(node)
            // Nothing, a thousand times, is nothing.
            if steps.count == before { break }
        }
        guard let high else {
            let register = registerCount
            registerCount += 1
            let split = steps.count
            try put(.match)
            try put(.save(register))
            try add(node)
            let leave = steps.count
            try put(.match)
            try put(.jump(split))
            steps[leave] = .leaveIfEmpty(register, steps.count)
            steps[split] = isGreedy ? .split(split + 1, steps.count) : .split(steps.count, split + 1)
            return
        }
        var splits: [Int] = []
        for _ in low..<max(low, high) {
            splits.append(steps.count)
            try put(.match)
            try add(node)
        }
        for split in splits {
            steps[split] = isGreedy ? .split(split + 1, steps.count) : .split(steps.count, split + 1)
        }
    }
}

extension WalkingNode {
    /// How many characters it takes; nil as the second: any number.
    var widths: (Int, Int?) {
        switch self {
        case .empty, .check, .look(_, .ahead, _), .look(_, .behind, _), .keep: return (0, 0)
        case .character: return (1, 1)
        case .backReference: return (0, nil)
        case .group(let node, _), .look(let node, .atomic, _): return node.widths
        case .sequence(let nodes):
            return nodes.reduce((0, 0)) { sum, node in
                let (low, high) = node.widths
                return (Self.bounded(sum.0 + low), sum.1.flatMap { a in high.map { Self.bounded(a + $0) } })
            }
        case .choice(let nodes):
            let widths = nodes.map(\.widths)
            let highs = widths.compactMap(\.1)
            return (widths.map(\.0).min() ?? 0, highs.count == widths.count ? highs.max() : nil)
        case .repetition(let node, let low, let high, _):
            let (least, most) = node.widths
            return (Self.bounded(least * low), high.flatMap { a in most.map { Self.bounded(a * $0) } })
        }
    }

    private static func bounded(_ width: Int) -> Int { min(width, 100_000) }
}

/// Texts as they are walked through: UTF-8, whose other bytes are no characters.
enum WalkingText {
    static func scalar(_ text: UnsafeRawBufferPointer, _ place: Int) -> (UInt32, Int)? {
        guard place < text.count else { return nil }
        let first = text[place]
        if first < 0x80 { return (UInt32(first), 1) }
        let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0
        guard length > 0, first < 0xF5, place + length <= text.count else { return nil }
        var value = UInt32(first) & (0xFF >> UInt32(length + 1))
        for index in 1..<length {
            let byte = text[place + index]
            guard byte & 0xC0 == 0x80 else { return nil }
            value = value << 6 | UInt32(byte & 0x3F)
        }
        return (value, length)
    }

    static func isWord(_ scalar: UInt32) -> Bool { WalkingSet.isIn("word", scalar) }

    private static func hasWordBefore(_ text: UnsafeRawBufferPointer, _ place: Int) -> Bool {
        guard place > 0 else { return false }
        var start = place - 1
        while start > 0, place - start < 4, text[start] & 0xC0 == 0x80 { start -= 1 }
        return scalar(text, start).map { $0.1 == place - start && isWord($0.0) } ?? false
    }

    static func holds(_ check: WalkingCheck, _ text: UnsafeRawBufferPointer, _ place: Int) -> Bool {
        func before() -> Bool { hasWordBefore(text, place) }
        func behind() -> Bool { scalar(text, place).map { isWord($0.0) } ?? false }
        switch check {
        case .textStart: return place == 0
        case .textEnd: return place == text.count
        case .lineStart: return place == 0 || text[place - 1] == 10
        case .lineEnd: return place == text.count || text[place] == 10
        case .wordStart: return behind() && !before()
        case .wordEnd: return before() && !behind()
        case .wordEdge: return before() != behind()
        case .noWordEdge: return before() == behind()
        case .noWordBefore: return !before()
        case .noWordBehind: return !behind()
        }
    }
}

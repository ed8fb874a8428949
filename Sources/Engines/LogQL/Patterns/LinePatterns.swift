import TimeSeriesEngine

/// The templates of lines: what a million lines have in common, in a page.
///
/// A program has a few hundred places where it writes a line, and a million lines are those with other words in the
/// gaps. The tree of Drain finds them while the lines go by: lines of as many words are alike by their first words (a
/// word with a digit in it is a gap at once); a handful of templates is left, and the line goes to the one with which
/// it shares the most words at the same places. Where they differ, the template gets a gap. (He, Zhu, Zheng, Lyu:
/// "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017.)
///
/// There are bounds on everything: words of a line, branches of a node, templates. When there are too many templates,
/// the one that was not seen for the longest time makes room.
///
/// Where it is wrong: a line in which words are missing in the middle is another template, since the number of words is
/// looked at first.
public struct LinePatterns: Sendable {
    /// A template with how often it came.
    public struct Pattern: Equatable, Sendable {
        /// `<_>` stands in the gaps, so that it is a filter: `|> "…"`.
        public let text: String
        public let count: Int
        /// How often in each stretch of `bucketNanoseconds`, by its beginning; in rising order.
        public let samples: [(time: Int64, count: Int)]

        public static func == (left: Pattern, right: Pattern) -> Bool {
            left.text == right.text && left.count == right.count
                && left.samples.elementsEqual(right.samples) { $0 == $1 }
        }
    }

    public let bucketNanoseconds: Int64
    private let depth = 4
    private let similarity = 0.5
    private let branchLimit = 100
    private let templateLimit: Int
    private let wordLimit = 120
    private static let gap = "<_>"

    private var tree: [Key: [Int]] = [:]
    private var branches: [Key: Int] = [:]
    private var templates: [Template?] = []
    private var free: [Int] = []
    private var clock = 0
    public private(set) var lines = 0

    /// Where in the tree: how many words, and the first of them.
    private struct Key: Hashable, Sendable {
        var count: Int
        var words: [String]
    }

    private struct Template: Sendable {
        var words: [String]
        /// Blanks as the first line had them.
        var separators: [String]
        var key: Key
        var count = 0
        var used = 0
        var samples: [Int64: Int] = [:]
    }

    public init(bucketNanoseconds: Int64 = 10_000_000_000, templateLimit: Int = 1_000) {
        self.bucketNanoseconds = max(1, bucketNanoseconds)
        self.templateLimit = max(1, templateLimit)
    }

    /// Takes a line in.
    public mutating func add(_ line: UnsafeRawBufferPointer, at timestamp: Int64) {
        let (words, separators) = cut(line)
        guard !words.isEmpty else { return }
        lines += 1
        clock += 1
        let key = self.key(words, separators)
        let index = best(words, key) ?? insert(words, separators, key)
        guard var template = templates[index] else { return }
        for place in words.indices where template.words[place] != words[place] { template.words[place] = Self.gap }
        template.count += 1
        template.used = clock
        let rest = timestamp % bucketNanoseconds
        // Times come from outside, the earliest of all as well.
        let bucket = timestamp &- (rest < 0 ? rest &+ bucketNanoseconds : rest)
        template.samples[bucket, default: 0] += 1
        templates[index] = template
    }

    /// The templates, the most frequent first.
    public var patterns: [Pattern] {
        templates.compactMap { $0 }.map { template in
            var text = ""
            for (index, word) in template.words.enumerated() { text += template.separators[index] + word }
            return Pattern(
                text: Self.merged(text), count: template.count,
                samples: template.samples.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        }
        .sorted { ($1.count, $0.text) < ($0.count, $1.text) }
    }

    /// Gaps that touch are one, as filters want it.
    private static func merged(_ text: String) -> String {
        var text = text
        while let double = text.ranges(of: gap + gap).first { text.replaceSubrange(double, with: gap) }
        return text
    }

    // MARK: The tree

    private mutating func key(_ words: [String], _ separators: [String]) -> Key {
        var key = Key(count: words.count, words: [])
        for (index, word) in words.prefix(depth).enumerated() {
            var next = key
            // What a name is given as its value says little of which line it is.
            let isValue = separators[index].contains("=") || index > 0 && words[index - 1] == ":"
            next.words.append(isValue || hasDigit(word) ? Self.gap : word)
            if branches[next] == nil {
                // A node with too many branches has one more for all others.
                if branches[key, default: 0] >= branchLimit {
                    next.words[next.words.count - 1] = Self.gap
                }
                if branches[next] == nil {
                    branches[key, default: 0] += 1
                    branches[next] = 0
                }
            }
            key = next
        }
        return key
    }

    private func hasDigit(_ word: String) -> Bool { word.utf8.contains(where: LogLexer.isDigit) }

    private func best(_ words: [String], _ key: Key) -> Int? {
        var best: (index: Int, alike: Int, gaps: Int)?
        for index in tree[key] ?? [] {
            guard let template = templates[index] else { continue }
            var alike = 0
            var gaps = 0
            for place in words.indices {
                if template.words[place] == Self.gap {
                    gaps += 1
                } else if template.words[place] == words[place] {
                    alike += 1
                }
            }
            if best.map({ (alike, gaps) > ($0.alike, $0.gaps) }) ?? true { best = (index, alike, gaps) }
        }
        guard let best, Double(best.alike + best.gaps) >= similarity * Double(words.count),
            best.alike > 0 || words.count == 1
        else { return nil }
        return best.index
    }

    private mutating func insert(_ words: [String], _ separators: [String], _ key: Key) -> Int {
        let index: Int
        if templates.count - free.count >= templateLimit { removeOldest() }
        let template = Template(
            words: words.map { hasDigit($0) ? Self.gap : $0 }, separators: separators, key: key)
        if let place = free.popLast() {
            index = place
            templates[place] = template
        } else {
            index = templates.count
            templates.append(template)
        }
        tree[key, default: []].append(index)
        return index
    }

    private mutating func removeOldest() {
        var oldest: (index: Int, used: Int)?
        for (index, template) in templates.enumerated() {
            if let template, template.used < oldest?.used ?? .max { oldest = (index, template.used) }
        }
        guard let oldest, let template = templates[oldest.index] else { return }
        tree[template.key]?.removeAll { $0 == oldest.index }
        if tree[template.key]?.isEmpty == true { tree[template.key] = nil }
        templates[oldest.index] = nil
        free.append(oldest.index)
        if tree.count < branches.count / 16 { branches.removeAll() }
    }

    // MARK: Words

    /// Words, and what stands before each of them. Punctuation of JSON and logfmt (`{ } [ ] " , : =`) stands by itself.
    private func cut(_ line: UnsafeRawBufferPointer) -> (words: [String], separators: [String]) {
        var words: [String] = []
        var separators: [String] = []
        var separator: [UInt8] = []
        var index = 0
        while index < line.count, words.count < wordLimit {
            if Self.isSeparator(line[index]) {
                separator.append(line[index])
                index += 1
                continue
            }
            let start = index
            while index < line.count, !Self.isSeparator(line[index]) { index += 1 }
            words.append(String(decoding: line[start..<index], as: UTF8.self))
            separators.append(String(decoding: separator, as: UTF8.self))
            separator = []
        }
        if !words.isEmpty {
            let isCut = index < line.count
            words.append(isCut ? Self.gap : "")
            separators.append(String(decoding: separator, as: UTF8.self))
        }
        return (words, separators)
    }

    private static func isSeparator(_ byte: UInt8) -> Bool { byte <= 0x20 || "{}[]\",=()".utf8.contains(byte) }
}

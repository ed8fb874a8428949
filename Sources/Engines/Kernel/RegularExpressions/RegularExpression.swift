import CRE2

/// A regular expression that cannot be made to hang (RE2).
///
/// Most engines try one way through the pattern, and go back to the last fork where it fails. `(a*)*b` against thirty
/// `a`s has a billion ways, and one such pattern in a rule stops a whole service (Cloudflare, 2 July 2019). RE2 walks
/// all ways at once, like somebody who puts a finger on every place where the walker could be: the text is read once,
/// whatever the pattern. The time is linear in the text, the memory has a limit, and what needs going back
/// (`\1`, look-ahead) does not exist.
///
/// Expressions come from users: in rules, queries and commands. Compiling throws an error that shows where the pattern
/// is wrong; matching never fails. Matches are ranges of byte offsets.
///
/// Where it is wrong: `\d`, `\w` and `\b` know ASCII only, and a repetition counts to 1,000 at most.
/// One expression may be used by several threads at a time.
public final class RegularExpression: @unchecked Sendable {
    public enum Dialect: Sendable {
        /// RE2's own, nearly Perl's: `(?:…)`, `(?i)`, `(?P<name>…)`, `\d`, `*?`.
        case perl
        /// What `grep -E` takes; the leftmost longest match, as POSIX wants it.
        case extended
        /// What `grep` takes without a flag: `\(`, `\|`, `\+`, as GNU's does; the leftmost longest match.
        case basic
        /// The text itself.
        case literal
    }

    public struct Options: Sendable {
        public var ignoresCase = false
        /// Whether `.` matches a line's end, too.
        public var dotMatchesNewline = false
        /// Whether `^` and `$` match at each line.
        public var matchesLines = false
        /// Whether of several matches that begin at one place the longest counts, in Perl's dialect also.
        public var matchesLongest = false
        /// Whether text is any bytes, and `.` one of them, instead of UTF-8.
        public var matchesBytes = false
        /// For the compiled expression and what it caches. A pattern that needs more is refused.
        public var memoryLimitBytes = 8 << 20

        public init(ignoresCase: Bool = false, matchesLines: Bool = false) {
            self.ignoresCase = ignoresCase
            self.matchesLines = matchesLines
        }
    }

    public let pattern: String
    private let handle: OpaquePointer
    /// How many groups capture; the match itself is not counted.
    public let groupCount: Int

    /// - Throws: `RegularExpressionError` with the place in the pattern.
    public init(
        _ pattern: String, _ dialect: Dialect = .perl, _ options: Options = Options()
    ) throws(RegularExpressionError) {
        self.pattern = pattern
        guard pattern.utf8.count <= Self.patternLimitBytes else {
            throw RegularExpressionError(
                pattern: String(pattern.prefix(40)) + "…", problem: "longer than \(Self.patternLimitBytes) bytes",
                character: nil)
        }
        var translated: String
        switch dialect {
        case .perl, .literal: translated = pattern
        case .extended, .basic: translated = try GrepPattern.translate(pattern, isBasic: dialect == .basic)
        }
        if dialect == .perl, options.matchesLines { translated = "(?m)" + translated }
        var settings = sdlab_re2_options()
        settings.memory_limit_bytes = Int64(options.memoryLimitBytes)
        settings.ignores_case = options.ignoresCase
        settings.is_literal = dialect == .literal
        settings.is_posix = dialect == .extended || dialect == .basic
        settings.matches_longest = settings.is_posix || options.matchesLongest
        settings.dot_matches_newline = options.dotMatchesNewline || settings.is_posix
        settings.matches_lines = options.matchesLines
        settings.is_bytes = options.matchesBytes
        handle = translated.withCString { sdlab_re2_compile($0, translated.utf8.count, &settings)! }
        groupCount = Int(sdlab_re2_group_count(handle))
        // From here on the object is complete, and freed if it is not returned.
        if let error = RegularExpressionError(of: handle, pattern) { throw error }
    }

    deinit { sdlab_re2_free(handle) }

    private static let patternLimitBytes = 65_536

    /// The number of the group `(?P<name>…)`, from 1; nil if there is none of that name.
    public func groupNumber(_ name: String) -> Int? {
        let number = sdlab_re2_group_number(handle, name)
        return number > 0 ? Int(number) : nil
    }

    /// Where a match must stand.
    public enum Anchor: Sendable {
        case anywhere
        /// It begins where the search does.
        case start
        /// It is everything from there to the end.
        case whole
    }

    /// The range of a match, and those of its groups, in byte offsets.
    public struct Match: Equatable, Sendable {
        public let range: Range<Int>
        /// Nil for a group that took no part, such as `(b)` in `(a)|(b)`.
        public let groups: [Range<Int>?]

        /// The match for number 0, then the groups; nil for one that took no part or does not exist.
        public subscript(number: Int) -> Range<Int>? {
            number == 0 ? range : groups.indices.contains(number - 1) ? groups[number - 1] : nil
        }
    }

    /// The first match that begins at `offset` or later, which is no beginning of a line for `^`.
    public func firstMatch(
        in text: UnsafeRawBufferPointer, from offset: Int = 0, _ anchor: Anchor = .anywhere
    ) -> Match? {
        let count = groupCount + 1
        return withUnsafeTemporaryAllocation(of: Int.self, capacity: 2 * count) { bounds in
            guard find(in: text, from: offset, anchor, bounds, count: count) else { return nil }
            func range(_ index: Int) -> Range<Int>? {
                bounds[2 * index] < 0 ? nil : bounds[2 * index]..<bounds[2 * index + 1]
            }
            return range(0).map { Match(range: $0, groups: (1..<count).map(range)) }
        }
    }

    /// The range of the first match, without its groups, which is quicker.
    public func firstRange(
        in text: UnsafeRawBufferPointer, from offset: Int = 0, _ anchor: Anchor = .anywhere
    ) -> Range<Int>? {
        withUnsafeTemporaryAllocation(of: Int.self, capacity: 2) { bounds in
            find(in: text, from: offset, anchor, bounds, count: 1) ? bounds[0]..<bounds[1] : nil
        }
    }

    /// Whether there is a match; the quickest question.
    public func matches(_ text: UnsafeRawBufferPointer, _ anchor: Anchor = .anywhere) -> Bool {
        withUnsafeTemporaryAllocation(of: Int.self, capacity: 1) { find(in: text, from: 0, anchor, $0, count: 0) }
    }

    private func find(
        in text: UnsafeRawBufferPointer, from offset: Int, _ anchor: Anchor,
        _ bounds: UnsafeMutableBufferPointer<Int>, count: Int
    ) -> Bool {
        guard offset >= 0, offset <= text.count else { return false }
        let kind =
            switch anchor {
            case .anywhere: SDLAB_RE2_ANYWHERE
            case .start: SDLAB_RE2_AT_START
            case .whole: SDLAB_RE2_WHOLE
            }
        // An empty text must have an address, or its matches would look like none.
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1) { nothing in
            sdlab_re2_match(
                handle, text.baseAddress?.assumingMemoryBound(to: CChar.self) ?? UnsafePointer(nothing.baseAddress!),
                text.count, offset, kind, bounds.baseAddress, Int32(count))
        }
    }

    // MARK: Text

    public func firstMatch(in text: String, from offset: Int = 0) -> Match? {
        withBytes(of: text) { firstMatch(in: $0, from: offset) }
    }

    public func firstRange(in text: String, from offset: Int = 0) -> Range<Int>? {
        withBytes(of: text) { firstRange(in: $0, from: offset) }
    }

    public func matches(_ text: String) -> Bool { withBytes(of: text) { matches($0) } }

    /// Whether the expression describes the whole of `text`.
    public func matchesWhole(_ text: String) -> Bool { withBytes(of: text) { matches($0, .whole) } }

    private func withBytes<R>(of text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        var text = text
        return text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}

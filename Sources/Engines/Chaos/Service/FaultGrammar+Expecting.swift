/// What may stand next in the words of a fault: for completion, which offers nothing that the grammar would refuse.
public struct FaultExpectation: Equatable {
    /// Words of the grammar.
    public var words: [String] = []
    /// The names of nodes.
    public var takesNode = false
    /// A link, which begins with the name of a node and an arrow.
    public var takesLink = false
    /// The sides of a partition: `{A,B}|{C}`.
    public var takesSides = false

    /// - Parameter words: those after `inject` that are finished.
    public init(after words: [String]) {
        guard let kind = words.first, FaultRequest.kinds.contains(kind) else {
            if words.isEmpty { self.words = FaultRequest.kinds }
            return
        }
        var rest = words.dropFirst()
        if kind == "partition" {
            if rest.isEmpty {
                self.words = ["on"]
                takesSides = true
                return
            }
            if rest.popFirst() == "on" {
                guard rest.popFirst() != nil else {
                    takesNode = true
                    return
                }
            }
        } else if kind == "fail" {
            guard let options = Self.failure(&rest, &self) else { return }
            self.words = options
        } else if Self.hasValue(kind) {
            // A time, a share, a rate: nobody can guess those.
            guard rest.popFirst() != nil else { return }
        } else if let word = rest.first, word.first?.isNumber == true {
            // `fail-sync 3`, `memory 5s`
            rest.removeFirst()
        }
        expectTail(rest, kind)
    }

    private static func hasValue(_ kind: String) -> Bool {
        ["latency", "loss", "corrupt", "duplicate", "reorder", "throttle", "cpu", "disk-slow"].contains(kind)
    }

    private static func isAboutNode(_ kind: String) -> Bool {
        ["disk-full", "disk-slow", "fail-sync", "torn-write", "cpu", "memory"].contains(kind)
    }

    /// `http 503 first 2 …`
    ///
    /// - Returns: the options that may still follow; nil if something is due before that.
    private static func failure(_ rest: inout ArraySlice<String>, _ expected: inout Self) -> [String]? {
        guard rest.popFirst() != nil else {
            expected.words = ["http"]
            return nil
        }
        guard rest.popFirst() != nil else {
            expected.words = ["429", "500", "502", "503", "504"]
            return nil
        }
        var options = ["first", "after", "with"]
        while let word = rest.first {
            if word.hasSuffix("%") {
                rest.removeFirst()
                continue
            }
            let isCount = word == "for" && rest.dropFirst().first.map { Int($0) != nil } == true
            guard options.contains(word) || isCount else { break }
            rest.removeFirst()
            options.removeAll { $0 == word }
            // Its number, or its field, is due.
            guard rest.popFirst() != nil else { return nil }
        }
        return options
    }

    /// `on NODE` or `A->B`, and `for TIME`, each at most once.
    private mutating func expectTail(_ words: ArraySlice<String>, _ kind: String) {
        var rest = words
        var hasLink = kind == "partition"
        var hasTime = false
        while let word = rest.popFirst() {
            // What belongs to the fault itself stands before the rest.
            self.words = []
            if word == "for", !hasTime {
                hasTime = true
                if rest.popFirst() == nil { return }
            } else if word == "on", !hasLink {
                hasLink = true
                if rest.popFirst() == nil {
                    takesNode = true
                    return
                }
            } else if !hasLink, word.contains("->") {
                hasLink = true
            } else {
                return
            }
        }
        if !hasLink {
            self.words.append("on")
            takesLink = !Self.isAboutNode(kind)
        }
        if !hasTime { self.words.append("for") }
    }
}

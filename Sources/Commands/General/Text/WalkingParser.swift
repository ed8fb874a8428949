import KernelRegularExpressions

/// Reads a pattern of `grep`, `grep -E` or `grep -P` (POSIX.1-2017 chapter 9 with GNU's additions; pcre2pattern).
struct WalkingParser {
    let text: [UnicodeScalar]
    let dialect: RegularExpression.Dialect
    var options: RegularExpression.Options
    var place = 0
    private var depth = 0
    private(set) var groupCount = 0
    private var groupNames: [String: Int] = [:]
    /// Groups that have ended: only those can be repeated.
    private var ended: Set<Int> = []

    private static let depthLimit = 100
    /// Repetitions of one thing, one in the other: with the groups that deep, what compiles them recurses.
    private static let repetitionLimit = 20
    private static let groupLimit = 100
    private static let countLimit = 1000
    private static let lengthLimit = 65_536

    init(_ pattern: String, _ dialect: RegularExpression.Dialect, _ options: RegularExpression.Options) {
        text = Array(pattern.unicodeScalars)
        self.dialect = dialect
        self.options = options
    }

    var isBasic: Bool { dialect == .basic }
    var isPerl: Bool { dialect == .perl }

    func error(_ problem: String) -> WalkingError {
        let pattern = String(String.UnicodeScalarView(text.prefix(200)))
        return WalkingError(description: "'\(pattern)': \(problem) at character \(min(place, text.count) + 1)")
    }

    mutating func parse() throws(WalkingError) -> WalkingNode {
        guard text.count <= Self.lengthLimit else { throw error("it is longer than \(Self.lengthLimit) characters") }
        let node = try choice()
        guard place == text.count else { throw error("unexpected )") }
        return node
    }

    // MARK: Words

    func peek(_ offset: Int = 0) -> UnicodeScalar? {
        text.indices.contains(place + offset) ? text[place + offset] : nil
    }

    private func follows(_ word: String, at offset: Int = 0) -> Bool {
        let scalars = Array(word.unicodeScalars)
        return place + offset + scalars.count <= text.count
            && scalars.indices.allSatisfy { text[place + offset + $0] == scalars[$0] }
    }

    mutating func take(_ word: String) -> Bool {
        guard follows(word) else { return false }
        place += word.unicodeScalars.count
        return true
    }

    /// The operator that stands here, and how long it is: of basic patterns with a backslash.
    private func sign() -> (UnicodeScalar, Int)? {
        guard let first = peek() else { return nil }
        if first == "*" { return ("*", 1) }
        if isBasic {
            guard first == "\\", let next = peek(1), "(){}|+?".unicodeScalars.contains(next) else { return nil }
            return (next, 2)
        }
        return "(){|+?".unicodeScalars.contains(first) ? (first, 1) : nil
    }

    // MARK: Parts

    private mutating func choice() throws(WalkingError) -> WalkingNode {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { throw error("groups more than \(Self.depthLimit) deep") }
        let before = options
        defer { options = before }
        var nodes = [try sequence()]
        while let (sign, length) = sign(), sign == "|" {
            place += length
            nodes.append(try sequence())
        }
        return nodes.count == 1 ? nodes[0] : .choice(nodes)
    }

    private mutating func sequence() throws(WalkingError) -> WalkingNode {
        var nodes: [WalkingNode] = []
        /// Nothing stands before that could be repeated.
        var isAtStart = true
        while place < text.count {
            if let (sign, length) = sign() {
                if sign == "|" { break }
                if sign == ")" {
                    if depth > 1 { break }
                    // Alone it is a character of an extended pattern.
                    guard dialect == .extended else { throw error("unexpected )") }
                    place += length
                    nodes.append(.character(WalkingSet(41)))
                    isAtStart = false
                    continue
                }
                if sign == "(" {
                    place += length
                    let group = try group()
                    nodes.append(try repeated(group))
                    isAtStart = false
                    continue
                }
                if isAtStart, "*+?{".unicodeScalars.contains(sign) {
                    if isPerl, sign != "{" { throw error("nothing to repeat") }
                    place += length
                    // It is itself in a basic pattern, and nothing in an extended one.
                    if isBasic || sign == "{" { nodes.append(.character(WalkingSet(sign.value))); isAtStart = false }
                    continue
                }
            }
            let isAnchor = peek() == "^"
            let node = try atom(isAtStart)
            if isBasic, isAnchor, case .check = node {
                nodes.append(node)
                continue
            }
            nodes.append(try repeated(node))
            isAtStart = false
        }
        return nodes.count == 1 ? nodes[0] : nodes.isEmpty ? .empty : .sequence(nodes)
    }

    private mutating func repeated(_ node: WalkingNode) throws(WalkingError) -> WalkingNode {
        var node = node
        var count = 0
        while let (sign, length) = sign(), "*+?{".unicodeScalars.contains(sign) {
            count += 1
            guard count <= Self.repetitionLimit else {
                throw error("more than \(Self.repetitionLimit) repetitions in one another")
            }
            let before = place
            place += length
            var bounds: (Int, Int?) = sign == "*" ? (0, nil) : sign == "+" ? (1, nil) : (0, 1)
            if sign == "{" {
                guard let counted = try interval() else {
                    // Without a number in it, a brace is itself.
                    guard !isBasic else { throw error("a number is missing in {}") }
                    place = before
                    return node
                }
                bounds = counted
            }
            let isLazy = isPerl && take("?")
            let isAtomic = isPerl && !isLazy && take("+")
            node = .repetition(node, bounds.0, bounds.1, isGreedy: !isLazy)
            if isAtomic { node = .look(node, .atomic, isNegated: false) }
        }
        return node
    }

    /// `3}`, `3,}`, `,5}`, `3,5}`
    private mutating func interval() throws(WalkingError) -> (Int, Int?)? {
        func number(_ parser: inout WalkingParser) -> Int? {
            var digits = ""
            while let next = parser.peek(), ("0"..."9").contains(next), digits.count < 6 {
                digits.unicodeScalars.append(next)
                parser.place += 1
            }
            return Int(digits)
        }
        let low = number(&self)
        var high = low
        if take(",") {
            high = number(&self)
            if low == nil, high == nil, isPerl { return nil }
        } else if low == nil {
            return nil
        }
        guard take(isBasic ? "\\}" : "}") else { return nil }
        guard (low ?? 0) <= high ?? .max, max(low ?? 0, high ?? 0) <= Self.countLimit else {
            throw error("a repetition of more than \(Self.countLimit), or from more to less")
        }
        return (low ?? 0, high)
    }

    private mutating func close() throws(WalkingError) {
        guard take(isBasic ? "\\)" : ")") else { throw error("missing )") }
    }

    private mutating func group() throws(WalkingError) -> WalkingNode {
        if isPerl, peek() == "?" { return try specialGroup() }
        return try numberedGroup()
    }

    private mutating func numberedGroup() throws(WalkingError) -> WalkingNode {
        groupCount += 1
        guard groupCount <= Self.groupLimit else { throw error("more than \(Self.groupLimit) groups") }
        let number = groupCount
        let inner = try choice()
        try close()
        ended.insert(number)
        return .group(inner, number)
    }

    private mutating func specialGroup() throws(WalkingError) -> WalkingNode {
        let looks: [(String, WalkingLook.Kind, Bool)] = [
            ("?=", .ahead, false), ("?!", .ahead, true), ("?<=", .behind, false), ("?<!", .behind, true),
            ("?>", .atomic, false),
        ]
        for (word, kind, isNegated) in looks where take(word) {
            let inner = try choice()
            try close()
            return .look(inner, kind, isNegated: isNegated)
        }
        if take("?:") {
            let inner = try choice()
            try close()
            return inner
        }
        if take("?#") {
            while let next = peek(), next != ")" { place += 1 }
            try close()
            return .empty
        }
        for word in ["?P<", "?<", "?'"] where take(word) {
            var name = ""
            while let next = peek(), next != ">", next != "'" {
                name.unicodeScalars.append(next)
                place += 1
            }
            place += 1
            groupNames[name] = groupCount + 1
            return try numberedGroup()
        }
        place += 1
        var isOn = true
        while let next = peek(), next != ")", next != ":" {
            switch next {
            case "-": isOn = false
            case "i": options.ignoresCase = isOn
            case "m": options.matchesLines = isOn
            case "s": options.dotMatchesNewline = isOn
            default: throw error("(?\(next) is not known here")
            }
            place += 1
        }
        // What is set within a group, or up to its end.
        if take(":") {
            let before = options
            let inner = try choice()
            options = before
            try close()
            return inner
        }
        try close()
        return .empty
    }

    private func character(_ scalar: UnicodeScalar) -> WalkingNode {
        var set = WalkingSet(scalar.value)
        if options.ignoresCase {
            for other in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping]
            where other.unicodeScalars.count == 1 {
                if let first = other.unicodeScalars.first { set.insert(first.value...first.value) }
            }
        }
        return .character(set)
    }

    private mutating func atom(_ isAtStart: Bool) throws(WalkingError) -> WalkingNode {
        let scalar = text[place]
        place += 1
        switch scalar {
        case "\\": return try escape()
        case "[": return .character(try brackets())
        case ".": return .character(.any(withNewline: !isPerl || options.dotMatchesNewline))
        case "^" where !isBasic || isAtStart: return .check(options.matchesLines ? .lineStart : .textStart)
        case "$" where !isBasic || place == text.count || follows("\\)") || follows("\\|"):
            return .check(options.matchesLines ? .lineEnd : .textEnd)
        default: return character(scalar)
        }
    }

    static let classes: [UnicodeScalar: (String, Bool)] = [
        "w": ("word", false), "W": ("word", true), "s": ("space", false), "S": ("space", true), "d": ("digit", false),
        "D": ("digit", true), "h": ("blank", false), "H": ("blank", true),
    ]
    static let controls: [UnicodeScalar: UInt32] = ["t": 9, "n": 10, "r": 13, "f": 12, "e": 27, "a": 7]

    private mutating func escape() throws(WalkingError) -> WalkingNode {
        guard let scalar = peek() else { throw error("a backslash at the end") }
        place += 1
        switch scalar {
        case "<" where !isPerl: return .check(.wordStart)
        case ">" where !isPerl: return .check(.wordEnd)
        case "`" where !isPerl: return .check(.textStart)
        case "'" where !isPerl: return .check(.textEnd)
        case "A" where isPerl: return .check(.textStart)
        case "z" where isPerl, "Z" where isPerl: return .check(.textEnd)
        case "b": return .check(.wordEdge)
        case "B": return .check(.noWordEdge)
        case "K" where isPerl: return .keep
        case "Q" where isPerl: return quoted()
        case "1"..."9":
            let number = Int(scalar.value) - 48
            guard ended.contains(number) else { throw error("there is no group \(number) before this") }
            return .backReference(number)
        case "k" where isPerl, "g" where isPerl: return try namedReference()
        case "x" where isPerl: return .character(WalkingSet(try hexadecimal()))
        default: break
        }
        if let (name, isNegated) = Self.classes[scalar], isPerl || scalar != "h" && scalar != "H" {
            return .character(WalkingSet(name, isNegated: isNegated))
        }
        if isPerl {
            if let control = Self.controls[scalar] { return .character(WalkingSet(control)) }
            if WalkingSet.isIn("alnum", scalar.value), scalar.isASCII { throw error("\\\(scalar) is not known here") }
        }
        return character(scalar)
    }

    /// `\Q…\E`
    private mutating func quoted() -> WalkingNode {
        var nodes: [WalkingNode] = []
        while let next = peek() {
            if take("\\E") { break }
            nodes.append(character(next))
            place += 1
        }
        return .sequence(nodes)
    }

    /// `\k<name>`, `\g{1}`, `\g1`
    private mutating func namedReference() throws(WalkingError) -> WalkingNode {
        let ends: [UnicodeScalar: UnicodeScalar] = ["<": ">", "{": "}", "'": "'"]
        let end = peek().flatMap { ends[$0] }
        if end != nil { place += 1 }
        var name = ""
        while let next = peek(), end == nil ? ("0"..."9").contains(next) : next != end {
            name.unicodeScalars.append(next)
            place += 1
        }
        if end != nil { place += 1 }
        guard let number = groupNames[name] ?? Int(name), ended.contains(number) else {
            throw error("there is no group '\(name)' before this")
        }
        return .backReference(number)
    }

    /// `\x41`, `\x{1F600}`
    mutating func hexadecimal() throws(WalkingError) -> UInt32 {
        let isLong = take("{")
        var digits = ""
        while let next = peek(), WalkingSet.isIn("xdigit", next.value), digits.count < (isLong ? 6 : 2) {
            digits.unicodeScalars.append(next)
            place += 1
        }
        if isLong, !take("}") { throw error("missing }") }
        return UInt32(digits, radix: 16) ?? 0
    }
}

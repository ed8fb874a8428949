/// The characters that a place in a pattern may have.
struct WalkingSet {
    private(set) var ranges: [ClosedRange<UInt32>] = []
    private var classes: [(name: String, isNegated: Bool)] = []
    var isNegated = false

    init() {}
    init(_ scalar: UInt32) { ranges = [scalar...scalar] }
    init(_ name: String, isNegated: Bool = false) { classes = [(name, isNegated)] }

    /// Any character, or any but a newline.
    static func any(withNewline: Bool) -> WalkingSet {
        var set = WalkingSet()
        if !withNewline { set.insert(10...10) }
        set.isNegated = true
        return set
    }

    mutating func insert(_ range: ClosedRange<UInt32>) { ranges.append(range) }
    mutating func insert(_ name: String, isNegated: Bool = false) { classes.append((name, isNegated)) }

    func contains(_ scalar: UInt32) -> Bool { isIn(scalar) != isNegated }

    /// Whether it is among those that are named, whether they are meant or all others.
    func isIn(_ scalar: UInt32) -> Bool {
        ranges.contains { $0.contains(scalar) } || classes.contains { Self.isIn($0.name, scalar) != $0.isNegated }
    }

    static let names: Set<String> = [
        "alpha", "digit", "alnum", "upper", "lower", "space", "blank", "punct", "print", "graph", "cntrl", "xdigit",
        "word",
    ]

    /// Whether a character is of a class of POSIX, or a letter of a word.
    static func isIn(_ name: String, _ scalar: UInt32) -> Bool {
        if scalar >= 128 {
            guard let properties = UnicodeScalar(scalar)?.properties else { return false }
            switch name {
            case "alpha", "alnum", "word": return properties.isAlphabetic
            case "upper": return properties.isUppercase
            case "lower": return properties.isLowercase
            case "print", "graph": return scalar >= 160
            case "punct": return scalar >= 160 && !properties.isAlphabetic && !properties.isWhitespace
            case "space": return properties.isWhitespace && scalar != 160
            default: return false
            }
        }
        let isUpper = (65...90).contains(scalar)
        let isLower = (97...122).contains(scalar)
        let isDigit = (48...57).contains(scalar)
        switch name {
        case "alpha": return isUpper || isLower
        case "digit": return isDigit
        case "alnum": return isUpper || isLower || isDigit
        case "word": return isUpper || isLower || isDigit || scalar == 95
        case "upper": return isUpper
        case "lower": return isLower
        case "space": return scalar == 32 || (9...13).contains(scalar)
        case "blank": return scalar == 32 || scalar == 9
        case "cntrl": return scalar < 32 || scalar == 127
        case "xdigit": return isDigit || (65...70).contains(scalar & 0xDF)
        case "print": return (32...126).contains(scalar)
        case "graph": return (33...126).contains(scalar)
        case "punct": return (33...126).contains(scalar) && !(isUpper || isLower || isDigit)
        default: return false
        }
    }
}

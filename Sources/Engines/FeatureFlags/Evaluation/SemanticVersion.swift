/// A version with three numbers, and perhaps a name of what comes before it: Semantic Versioning 2.0.0.
///
/// ```
/// version    = number "." number "." number [ "-" names ] [ "+" names ]
/// names      = name *( "." name )               ; letters, digits and "-"
/// ```
///
/// `2.0.0-alpha < 2.0.0-alpha.1 < 2.0.0-beta < 2.0.0` (§11); what follows a `+` does not count.
public struct SemanticVersion: Sendable {
    private let numbers: [Substring]
    private let names: [Substring]

    /// Nil for what is no version, `v1.2.3` among it.
    public init?(parsing text: String) {
        guard text.utf8.count <= 256 else { return nil }
        let parts = text.split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false)
        let main = parts[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        numbers = main[0].split(separator: ".", omittingEmptySubsequences: false)
        names = main.count > 1 ? main[1].split(separator: ".", omittingEmptySubsequences: false) : []
        let build = parts.count > 1 ? parts[1].split(separator: ".", omittingEmptySubsequences: false) : []
        guard numbers.count == 3, numbers.allSatisfy(Self.isNumber),
            names.allSatisfy({ Self.isName($0) && (!Self.isDigits($0) || Self.isNumber($0)) }),
            build.allSatisfy(Self.isName)
        else { return nil }
    }

    private static func isDigits(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) }
    }

    /// Digits without a zero in front.
    private static func isNumber(_ text: Substring) -> Bool {
        isDigits(text) && (text.utf8.count == 1 || text.utf8.first != 48)
    }

    private static func isName(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45
            }
    }

    /// Below 0, 0 or above 0, as this one comes before the other, with it, or after it.
    public func compared(to other: SemanticVersion) -> Int {
        for (a, b) in zip(numbers, other.numbers) {
            let order = Self.compare(numbers: a, b)
            if order != 0 { return order }
        }
        // One without a name is the release itself, after all that led to it.
        if names.isEmpty || other.names.isEmpty { return (names.isEmpty ? 1 : 0) - (other.names.isEmpty ? 1 : 0) }
        for (a, b) in zip(names, other.names) {
            let order = Self.compare(names: a, b)
            if order != 0 { return order }
        }
        return names.count - other.names.count
    }

    private static func compare(names a: Substring, _ b: Substring) -> Int {
        switch (isDigits(a), isDigits(b)) {
        case (true, true): compare(numbers: a, b)
        case (true, false): -1
        case (false, true): 1
        case (false, false): a.utf8.elementsEqual(b.utf8) ? 0 : a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
        }
    }

    /// Numbers of any length.
    private static func compare(numbers a: Substring, _ b: Substring) -> Int {
        if a.utf8.count != b.utf8.count { return a.utf8.count - b.utf8.count }
        return a.utf8.elementsEqual(b.utf8) ? 0 : a.utf8.lexicographicallyPrecedes(b.utf8) ? -1 : 1
    }
}

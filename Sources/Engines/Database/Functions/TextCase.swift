/// Upper and lower case as C's `towupper` and `towlower` have it: one character becomes one character, so `ß` stays.
enum TextCase {
    static func upper(_ text: String) -> String { mapped(text, upper) }
    static func lower(_ text: String) -> String { mapped(text, lower) }

    /// `initcap`: each word begins with a capital, and has no other.
    static func initial(_ text: String) -> String {
        var isInside = false
        return mapped(text) { (scalar: Unicode.Scalar) -> Unicode.Scalar in
            let isOfWord = scalar.properties.isAlphabetic || scalar.properties.numericType != nil
            defer { isInside = isOfWord }
            return isOfWord && !isInside ? upper(scalar) : lower(scalar)
        }
    }

    private static func mapped(_ text: String, _ change: (Unicode.Scalar) -> Unicode.Scalar) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(change(scalar)) }
        return String(result)
    }

    private static func upper(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        if scalar.isASCII { return (97...122).contains(scalar.value) ? ascii(scalar.value - 32) : scalar }
        return single(scalar.properties.uppercaseMapping) ?? scalar
    }

    private static func lower(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        if scalar.isASCII { return (65...90).contains(scalar.value) ? ascii(scalar.value + 32) : scalar }
        // A capital I with a dot.
        if scalar.value == 0x130 { return "i" }
        return single(scalar.properties.lowercaseMapping) ?? scalar
    }

    private static func ascii(_ value: UInt32) -> Unicode.Scalar { Unicode.Scalar(UInt8(truncatingIfNeeded: value)) }

    private static func single(_ text: String) -> Unicode.Scalar? {
        text.unicodeScalars.count == 1 ? text.unicodeScalars.first : nil
    }
}

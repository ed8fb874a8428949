import KernelStructures
import ShellLanguage

/// Texts as words that the shell reads as these texts.
package enum ShellQuoting {
    private static let escapes: [Unicode.Scalar: String] = [
        "\n": "\\n", "\t": "\\t", "\r": "\\r", "\u{7}": "\\a", "\u{8}": "\\b", "\u{B}": "\\v",
        "\u{C}": "\\f",
        "\u{1B}": "\\E", "\\": "\\\\", "'": "\\'",
    ]

    /// `$'…'` where something cannot be seen; nil where all can.
    package static func escaped(_ text: String) -> String? {
        guard text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) else {
            return nil
        }
        let letters = text.unicodeScalars.map { scalar -> String in
            if let known = escapes[scalar] { return known }
            guard scalar.value < 32 || scalar.value == 127 else { return String(scalar) }
            return "\\" + String(scalar.value, radix: 8).leftPadded(to: 3, with: "0")
        }
        return "$'" + letters.joined() + "'"
    }

    /// In single quotes, whatever is in it.
    package static func singleQuoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }

    /// In single quotes where all can be seen: `${x@Q}`.
    static func quoted(_ text: String) -> String { escaped(text) ?? singleQuoted(text) }

    /// In double quotes: `declare -p`.
    static func declared(_ text: String) -> String {
        if let escaped = escaped(text) { return escaped }
        return "\"" + text.map { "\"\\$`".contains($0) ? "\\\($0)" : String($0) }.joined() + "\""
    }

    /// Whether a shell would read anything in it as more than itself.
    static func isSpecial(_ text: String) -> Bool {
        var before: Character?
        for character in text {
            if " \t\n'\"\\|&;()<>!{}*[?]^$`".contains(character) { return true }
            if character == "~", before == nil || before == "=" || before == ":" { return true }
            if character == "#", before == nil { return true }
            before = character
        }
        return false
    }

    /// What `set` lists of a value.
    static func listed(_ text: String) -> String { escaped(text) ?? (isSpecial(text) ? quoted(text) : text) }

    /// A word as `set -x` shows it.
    static func traced(_ text: String) -> String {
        if text.isEmpty { return "''" }
        return isSpecial(text) ? singleQuoted(text) : escaped(text) ?? text
    }

    /// A subscript of an array that is listed.
    static func subscripted(_ key: String) -> String {
        escaped(key) ?? (isSpecial(key) || key == "@" || key == "*" ? declared(key) : key)
    }

    /// `([0]="a" [1]="b")`
    static func declared(_ array: ShellArray) -> String {
        let elements = array.keys.map { "[\(subscripted($0))]=\(declared(array[$0] ?? ""))" }
        return "(" + elements.joined(separator: " ") + (array.isAssociative && array.count > 0 ? " " : "") + ")"
    }

    /// The letters of a name's attributes, in bash's order.
    static func flags(_ attributes: VariableAttributes, _ array: ShellArray?) -> String {
        var flags = array.map { $0.isAssociative ? "A" : "a" } ?? ""
        for (attribute, letter) in [
            (VariableAttributes.integer, "i"), (.readOnly, "r"), (.exported, "x"), (.lower, "l"),
            (.upper, "u"),
        ] where attributes.contains(attribute) { flags += letter }
        return flags
    }
}

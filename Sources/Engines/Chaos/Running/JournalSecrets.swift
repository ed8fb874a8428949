import KernelJSON

/// What a journal does not tell: it is shown to others, and kept.
///
/// Hidden are the values of fields that carry credentials (`Authorization`, `Cookie` …), wherever headers stand, and
/// tokens behind `Bearer` and `Basic` in the text of commands. What is said by a reference (`${token}`, a secret of the
/// configuration) is no secret, and stays.
enum JournalSecrets {
    private static let fields: Set<String> = [
        "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token",
    ]
    static let replacement = "(hidden)"

    /// A document with everything hidden that has to be. Documents come from the readers, which bound their depth.
    static func hidden(_ document: JSONValue) -> JSONValue {
        switch document {
        case .object(let members):
            .object(
                members.map { key, value in
                    guard fields.contains(key.lowercased()), case .string(let text) = value else {
                        return (key, hidden(value))
                    }
                    return (key, .string(hiddenCredentials(text)))
                })
        case .array(let elements): .array(elements.map(hidden))
        case .string(let text): .string(hiddenTokens(text))
        default: document
        }
    }

    /// The value of such a field; its scheme may be known.
    private static func hiddenCredentials(_ text: String) -> String {
        if text.contains("${") { return text }
        let words = text.split(separator: " ", maxSplits: 1)
        return words.count > 1 ? "\(words[0]) \(replacement)" : replacement
    }

    /// `curl -H 'Authorization: Bearer eyJ…'`: the word behind the scheme.
    private static func hiddenTokens(_ text: String) -> String {
        guard text.contains("Bearer ") || text.contains("Basic ") else { return text }
        var result = ""
        var rest = text[...]
        while let scheme = ["Bearer ", "Basic "].compactMap({ rest.firstRange(of: $0) }).min(by: {
            $0.lowerBound < $1.lowerBound
        }) {
            result += rest[..<scheme.upperBound]
            let token = rest[scheme.upperBound...].prefix { !$0.isWhitespace && !"'\"".contains($0) }
            result += token.hasPrefix("$") || token.isEmpty ? String(token) : replacement
            rest = rest[token.endIndex...]
        }
        return result + rest
    }
}

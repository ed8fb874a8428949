extension Word {
    /// About as it was written: what `set -x` shows of a loop's words.
    ///
    /// - Parameter isQuoted: whether quotes are shown.
    package func source(isQuoted showsQuotes: Bool = true) -> String {
        parts.map { part in
            func quoted(_ text: String, _ isQuoted: Bool) -> String { isQuoted && showsQuotes ? "\"\(text)\"" : text }
            switch part {
            case .text(let text, let isQuoted): return quoted(text, isQuoted)
            case .variable(let name, let isQuoted):
                let isPlain = name.allSatisfy { $0 == "_" || $0.isLetter || $0.isNumber }
                return quoted(isPlain || name.count == 1 ? "$\(name)" : "${\(name)}", isQuoted)
            case .parameter(let parameter, let isQuoted): return quoted("${\(parameter.name)…}", isQuoted)
            case .status: return "$?"
            case .output(_, let isQuoted): return quoted("$(…)", isQuoted)
            case .file: return "<(…)"
            case .arithmetic(.parsed(let sum)): return "$((\(sum.source)))"
            case .arithmetic(.word(let word)): return "$((\(word.source(isQuoted: false))))"
            case .group(let parts): return Word(parts: parts, position: position).source(isQuoted: showsQuotes)
            }
        }.joined()
    }
}

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
            case .sink: return ">(…)"
            case .arithmetic(.parsed(let sum)): return "$((\(sum.source)))"
            case .arithmetic(.word(let word)): return "$((\(word.source(isQuoted: false))))"
            case .group(let parts): return Word(parts: parts, position: position).source(isQuoted: showsQuotes)
            }
        }.joined()
    }
}

extension Redirection {
    /// `2> /dev/null`, as bash writes it.
    package var source: String {
        let before = variable.map { "{\($0)}" } ?? ""
        func numbered(_ usual: Int) -> String { variable == nil && number != usual ? String(number) : before }
        switch kind {
        case .write(let appends, let isForced):
            return numbered(1) + (appends ? ">> " : isForced ? ">| " : "> ") + target.source()
        case .writeBoth(let appends): return (appends ? "&>> " : "&> ") + target.source()
        case .read: return numbered(0) + "< " + target.source()
        case .readWrite: return numbered(0) + "<> " + target.source()
        case .duplicate: return (variable == nil ? String(number) : before) + ">&" + target.source()
        case .hereDocument: return numbered(0) + "<<…"
        case .hereString: return numbered(0) + "<<< " + target.source()
        }
    }
}

extension SimpleCommand {
    /// About as it was written, as bash would write it: `$BASH_COMMAND`.
    package var source: String {
        var pieces = assignments.map { assignment -> String in
            let key = assignment.key.map { "[\($0.source())]" } ?? ""
            let value = assignment.elements.map { "(" + $0.map { $0.value.source() }.joined(separator: " ") + ")" }
            return assignment.name + key + (assignment.appends ? "+=" : "=") + (value ?? assignment.value.source())
        }
        pieces += words.map { $0.source() } + redirections.map(\.source)
        return pieces.joined(separator: " ")
    }
}

extension Sequence<Word> {
    package var source: String { map { $0.source() }.joined(separator: " ") }
}

extension ArithmeticText {
    package var source: String {
        switch self {
        case .parsed(let sum): sum.source
        case .word(let word): word.source(isQuoted: false)
        }
    }
}

extension Conditional {
    package var source: String {
        switch self {
        case .word(let word): "-n " + word.source()
        case .unary(let name, let word): "\(name) \(word.source())"
        case .binary(let a, let sign, let b): "\(a.source()) \(sign) \(b.source())"
        case .pattern(let a, let isNegated, let b): "\(a.source()) \(isNegated ? "!=" : "==") \(b.source())"
        case .expression(let a, let b): "\(a.source()) =~ \(b.source())"
        case .not(let inner): "! " + inner.source
        case .and(let a, let b): "\(a.source) && \(b.source)"
        case .or(let a, let b): "\(a.source) || \(b.source)"
        }
    }
}

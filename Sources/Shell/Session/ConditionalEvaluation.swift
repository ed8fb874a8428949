import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellLanguage

/// Decides what stands between `[[` and `]]`.
struct ConditionalEvaluation {
    let files: LabFiles
    let isTerminal: (Int) -> Bool
    /// Hears what is tested, with all in it expanded: `set -x`.
    var onTest: ((String) -> Void)?

    /// As bash shows a word there: without quotes, unless there is nothing else to see.
    private static func shown(_ text: String) -> String { text.isEmpty ? "''" : text }

    /// - Parameter isNegated: whether a `!` stands before it.
    func holds(
        _ condition: Conditional, _ expansion: inout Expansion, isNegated: Bool = false
    ) throws(Expansion.Stop) -> Bool {
        func tell(_ text: @autoclosure () -> String) { if let onTest { onTest((isNegated ? "! " : "") + text()) } }
        switch condition {
        case .word(let word):
            let value = try expansion.single(word)
            tell("-n \(Self.shown(value))")
            return !value.isEmpty
        case .not(let inner): return try !holds(inner, &expansion, isNegated: !isNegated)
        case .and(let a, let b):
            guard try holds(a, &expansion) else { return false }
            return try holds(b, &expansion)
        case .or(let a, let b):
            if try holds(a, &expansion) { return true }
            return try holds(b, &expansion)
        case .unary(let name, let word):
            let value = try expansion.single(word)
            tell("\(name) \(Self.shown(value))")
            if name == "-v" { return expansion.value(value) != nil || expansion.scope.holdsValue(value) }
            if name == "-o" { return expansion.scope.options.holds(value) }
            if name == "-t" { return isTerminal(Int(value) ?? -1) }
            return FileTest.unary(name, value, files) ?? false
        case .pattern(let word, let differs, let pattern):
            let value = try expansion.single(word)
            let pieces = try expansion.pattern(pattern)
            tell(
                "\(Self.shown(value)) \(differs ? "!=" : "==") "
                    + (pieces.isEmpty
                        ? "''" : String(pieces.flatMap { $0.isQuoted ? ["\\", $0.character] : [$0.character] })))
            return expansion.fits(value, pieces) != differs
        case .expression(let word, let text):
            let value = try expansion.single(word)
            let source = try expansion.expression(text)
            tell("\(Self.shown(value)) =~ \(source)")
            let match: RegularExpression.Match?
            do throws(RegularExpressionError) {
                match = try RegularExpression(source, .extended).firstMatch(in: value)
            } catch {
                throw Expansion.failure("[[ =~: \(error)")
            }
            return try remember(match, of: value, expansion.scope)
        case .binary(let left, let sign, let right):
            let a = try expansion.single(left)
            let b = try expansion.single(right)
            tell("\(Self.shown(a)) \(sign) \(Self.shown(b))")
            switch sign {
            case "<": return a < b
            case ">": return a > b
            case "-ef": return files.exists(a) && files.absolute(a) == files.absolute(b)
            default: break
            }
            let x = try number(a, expansion)
            return FileTest.compare(x, sign, try number(b, expansion)) ?? false
        }
    }

    /// `${BASH_REMATCH[n]}`: the match and its groups; after a text that does not match there are none.
    private func remember(
        _ match: RegularExpression.Match?, of value: String, _ scope: VariableScope
    ) throws(Expansion.Stop) -> Bool {
        var stale = 0
        while scope.value(of: "BASH_REMATCH[\(stale)]") != nil {
            scope.unset("BASH_REMATCH[\(stale)]")
            stale += 1
        }
        scope.unset("BASH_REMATCH")
        guard let match else { return false }
        let bytes = Array(value.utf8)
        do throws(CommandFailure) {
            for number in 0...match.groups.count {
                let text = match[number].map { String(decoding: bytes[$0], as: UTF8.self) } ?? ""
                try scope.set("BASH_REMATCH[\(number)]", text)
                if number == 0 { try scope.set("BASH_REMATCH", text) }
            }
        } catch {
            throw Expansion.failure(error.description)
        }
        return true
    }

    /// As in bash, a sum is allowed where a number is meant. A word alone is more likely a mistake than a variable that
    /// nobody has given a value.
    private func number(_ text: String, _ expansion: Expansion) throws(Expansion.Stop) -> Int {
        let isName = text.first.map { $0 == "_" || $0.isLetter } ?? false
        if isName, text.allSatisfy({ $0 == "_" || $0.isLetter || $0.isNumber }), text != "RANDOM",
            expansion.scope.value(of: text) == nil, expansion.scope.options.refusesUnset
        {
            throw Expansion.failure("[[: '\(Arithmetic.quoted(text))' is not a number, and no variable that has one")
        }
        do throws(Arithmetic.Failure) { return try Arithmetic(text).value(in: expansion.changes) } catch {
            throw Expansion.failure("[[: '\(Arithmetic.quoted(text))' is not a number: \(error.text)")
        }
    }
}

/// Tests of files and numbers: what `test`, `[` and `[[` have in common.
public enum FileTest {
    /// nil if there is no such test.
    public static func unary(_ name: String, _ value: String, _ files: LabFiles) -> Bool? {
        switch name {
        case "-n": return !value.isEmpty
        case "-z": return value.isEmpty
        // Whoever is at a terminal of the lab may do everything with its files.
        case "-e", "-a", "-r", "-w", "-x": return !value.isEmpty && files.exists(value)
        case "-f": return !value.isEmpty && files.exists(value) && !files.isDirectory(value)
        case "-d": return !value.isEmpty && files.isDirectory(value)
        // There are no links, pipes, sockets, devices or owners.
        case "-h", "-L", "-p", "-S", "-b", "-u", "-g", "-k": return false
        case "-c": return files.absolute(value) == "/dev/null"
        case "-O", "-G", "-N": return !value.isEmpty && files.exists(value)
        case "-s": return !value.isEmpty && files.size(value).map { $0 > 0 } ?? false
        default: return nil
        }
    }

    /// nil if `sign` does not compare numbers.
    public static func compare(_ a: Int, _ sign: String, _ b: Int) -> Bool? {
        switch sign {
        case "-eq": a == b
        case "-ne": a != b
        case "-lt": a < b
        case "-le": a <= b
        case "-gt": a > b
        case "-ge": a >= b
        default: nil
        }
    }
}

import KernelStructures
import ShellLanguage

/// Turns the words of a command into its arguments: variables, `$(…)` results, splitting, file names (POSIX 2.6).
///
/// What `$(…)` gives takes lab time, so an expansion that meets one whose output it has not been given stops and names
/// its script; once that has run, the whole is expanded again with one output more. So only what is needed is run:
/// in `${x:-$(slow)}` nothing, if `x` has a value.
struct Expansion {
    let session: Session
    let scope: VariableScope
    let status: Int
    /// The line of the script where the command stands.
    var line = 1
    /// Outputs of `$(…)`, in the order in which they are met.
    var outputs: ArraySlice<String>
    /// What was assigned on the way, `$((x++))`, so that it can be taken back before everything is expanded again.
    let changes: Changes
    /// Bytes of the arguments so far.
    private var size = 0

    /// Why an expansion did not come to its end.
    enum Stop: Error {
        case failure(CommandFailure)
        /// As in bash, the rest of the line is given up: a sum that cannot be computed, a variable only to be read.
        case line(CommandFailure)
        /// The shell ends with it: `${x:?}`, or what would be larger than anything may be, which must not go on in a
        /// loop.
        case fatal(CommandFailure)
        /// It needs what this script writes.
        case output(Script)
        /// It needs the name of a file that this script reads.
        case sink(Script)
    }

    /// A piece of a word: text, or the edge between two arguments in `$@`.
    enum Piece {
        case text(String, isQuoted: Bool, splits: Bool)
        case edge
    }

    /// Arguments that one command may have.
    static let argumentLimit = 100_000
    /// Bytes of them together.
    static let sizeLimitBytes = 16 << 20

    init(session: Session, scope: VariableScope, status: Int, outputs: ArraySlice<String>) {
        self.session = session
        self.scope = scope
        self.status = status
        self.outputs = outputs
        changes = Changes(scope, session)
    }

    /// Variables as an expansion sees and changes them.
    final class Changes: ArithmeticVariables {
        private let scope: VariableScope
        private let session: Session
        private var before: [(name: String, value: ShellValue?)] = []
        init(_ scope: VariableScope, _ session: Session) {
            self.scope = scope
            self.session = session
        }
        func value(of name: String) -> String? {
            Expansion.dynamic(name, scope, session) ?? scope.value(of: name)
        }
        func assign(_ given: String, _ value: String) throws(Arithmetic.Failure) {
            let name = scope.target(given)
            // Of an element that makes a variable an array, the variable comes back.
            let base = VariableScope.element(name)?.base ?? name
            let isOwn = base == name || scope.arrays[base] != nil
            before.append(
                isOwn
                    ? (name, base == name ? scope.whole(name) : scope.value(of: name).map { .text($0) })
                    : (base, scope.whole(base)))
            try scope.assign(name, value)
            if name == "SECONDS" { session.secondsVariable.begin(value, session.world.now) }
        }
        func isAssociative(_ name: String) -> Bool { scope.isAssociative(name) }
        func index(_ index: Int, of name: String) throws(Arithmetic.Failure) -> Int {
            try scope.index(index, of: name)
        }
        func assign(_ given: String, _ elements: ArrayElements, appends: Bool) throws(CommandFailure) {
            let name = scope.target(given)
            before.append((name, scope.whole(name)))
            try scope.setArray(name, elements, appends: appends)
        }
        /// What was assigned, with the values that stand now, in the order in which it was.
        var all: [(name: String, value: String)] {
            before.map { ($0.name, scope.value(of: $0.name) ?? "") }
        }
        /// Whether only texts were assigned, and no arrays.
        var areTexts: Bool {
            before.allSatisfy { scope.arrays[$0.name] == nil }
        }
        func takeBack() {
            scope.restore(before)
            before = []
        }
    }

    // MARK: Whole words

    mutating func arguments(_ words: [Word]) throws(Stop) -> [String] {
        var result: [String] = []
        for word in words {
            result += try arguments(word)
            if result.count > Self.argumentLimit { throw Self.excess("more than \(Self.argumentLimit) arguments") }
        }
        return result
    }

    /// A word that must be one argument: the target of a redirection, a value.
    mutating func single(_ word: Word) throws(Stop) -> String {
        var text = ""
        for piece in try pieces(word) {
            switch piece {
            case .text(let more, _, _): text += more
            case .edge: text += " "
            }
        }
        return text
    }

    /// What a redirection leads to: a file's name is one word, whatever is split in it, and found.
    mutating func target(_ redirection: Redirection) throws(Stop) -> String {
        switch redirection.kind {
        case .duplicate, .hereDocument, .hereString: return try single(redirection.target)
        case .read, .write, .writeBoth, .readWrite:
            let words = try arguments(redirection.target)
            guard words.count == 1 else {
                throw .failure(CommandFailure("\(redirection.target.source()): ambiguous redirect", status: 1))
            }
            return words[0]
        }
    }

    /// A word as a pattern: what is quoted in it stands for itself.
    mutating func pattern(_ word: Word) throws(Stop) -> [GlobPattern.Piece] {
        var result: [GlobPattern.Piece] = []
        for piece in try pieces(word) {
            if case .text(let text, let isQuoted, _) = piece { result += text.map { ($0, isQuoted) } }
        }
        return result
    }

    /// A word as a regular expression: what is quoted in it stands for itself.
    mutating func expression(_ word: Word) throws(Stop) -> String {
        String(
            try pattern(word).flatMap { character, isQuoted -> [Character] in
                isQuoted && "\\.[]*^$+?(){}|".contains(character) ? ["\\", character] : [character]
            })
    }

    mutating func number(_ text: ArithmeticText) throws(Stop) -> Int {
        let sum: Arithmetic
        switch text {
        case .parsed(let known): sum = known
        case .word(let word):
            let source = try single(word)
            do throws(Arithmetic.Failure) { sum = try Arithmetic(source) } catch {
                throw Self.lineFailure("((\(Arithmetic.quoted(source)))): \(error.text)")
            }
        }
        do throws(Arithmetic.Failure) { return try sum.value(in: changes) } catch {
            throw Self.lineFailure("((\(Arithmetic.quoted(sum.source.trimmingBlanks)))): \(error.text)")
        }
    }

    static func excess(_ text: String) -> Stop { .fatal(CommandFailure(text, status: 2)) }

    static func failure(_ text: String) -> Stop { .failure(CommandFailure(text, status: 2)) }

    static func lineFailure(_ text: String) -> Stop { .line(CommandFailure(text, status: 1)) }

    mutating func count(_ text: String) throws(Stop) {
        size += text.utf8.count
        if size > Self.sizeLimitBytes {
            throw Self.excess("the words of one command hold at most \(byteCountText(Self.sizeLimitBytes))")
        }
    }

    // MARK: Pieces

    mutating func pieces(_ word: Word) throws(Stop) -> [Piece] {
        var result: [Piece] = []
        var parts = word.parts[...]
        if let rest = Self.behindTilde(word) {
            result.append(.text(value("HOME") ?? "/", isQuoted: true, splits: false))
            parts = parts.dropFirst()
            if !rest.isEmpty { result.append(.text(rest, isQuoted: false, splits: false)) }
        }
        for part in parts { result += try pieces(part) }
        return result
    }

    /// What follows a `~` that stands for the home directory: alone, or before a slash; nil if there is none.
    private static func behindTilde(_ word: Word) -> String? {
        guard case .text(let text, isQuoted: false)? = word.parts.first, text.first == "~" else { return nil }
        let rest = text.dropFirst()
        return rest.first == "/" || rest.isEmpty && word.parts.count == 1 ? String(rest) : nil
    }

    mutating func pieces(_ part: Word.Part) throws(Stop) -> [Piece] {
        switch part {
        case .text(let text, let isQuoted):
            return [.text(session.replacingTokens(text), isQuoted: isQuoted, splits: false)]
        case .variable(let name, let isQuoted):
            if let list = list(name) { return try pieces(list, name, isQuoted: isQuoted) }
            return try expanded(try requiredValue(name), isQuoted: isQuoted)
        case .parameter(let parameter, let isQuoted): return try pieces(parameter, isQuoted: isQuoted)
        case .status: return [.text(String(status), isQuoted: true, splits: false)]
        case .output(let script, let isQuoted):
            guard let output = outputs.popFirst() else { throw .output(script) }
            var text = output
            while text.hasSuffix("\n") || text.hasSuffix("\r\n") { text.removeLast() }
            return try expanded(text, isQuoted: isQuoted)
        case .file(let script):
            guard let output = outputs.popFirst() else { throw .output(script) }
            return [.text(session.files.keep(Array(output.utf8)), isQuoted: true, splits: false)]
        case .sink(let script):
            guard let name = outputs.popFirst() else { throw .sink(script) }
            return [.text(name, isQuoted: true, splits: false)]
        case .arithmetic(let text): return [.text(String(try number(text)), isQuoted: true, splits: false)]
        case .group(let parts):
            var result: [Piece] = []
            for part in parts { result += try pieces(part) }
            return result
        }
    }

    func expanded(_ value: String, isQuoted: Bool) throws(Stop) -> [Piece] {
        [.text(value, isQuoted: isQuoted, splits: !isQuoted)]
    }

    /// What `$@`, `$*`, `${a[@]}` and `${a[*]}` stand for; nil for all other names.
    func list(_ name: String) -> [String]? {
        if name == "@" || name == "*" { return scope.positional }
        guard name.hasSuffix("[@]") || name.hasSuffix("[*]") else { return nil }
        let base = String(name.dropLast(3))
        return base == "FUNCNAME" ? scope.callNames : scope.elements(of: base)
    }

    /// Several values; only `"$*"` and `"${a[*]}"` are one word.
    private func pieces(_ list: [String], _ name: String, isQuoted: Bool) throws(Stop) -> [Piece] {
        if name.hasSuffix("*") || name.hasSuffix("[*]"), isQuoted {
            return try expanded(joined(list), isQuoted: true)
        }
        var result: [Piece] = []
        for value in list {
            if !result.isEmpty { result.append(.edge) }
            result += try expanded(value, isQuoted: isQuoted)
        }
        return result
    }

    func joined(_ list: [String]) -> String {
        list.joined(separator: String((scope.value(of: "IFS") ?? " ").prefix(1)))
    }

    /// An element's name with its subscript computed: `a[i+1]` to `a[3]`.
    mutating func element(_ name: String, _ key: Word) throws(Stop) -> String {
        let text = try single(key)
        if scope.isAssociative(name) || text == "@" || text == "*" { return "\(name)[\(text)]" }
        do throws(Arithmetic.Failure) {
            let number = try Arithmetic(text).value(in: changes)
            return "\(name)[\(try scope.index(number, of: name))]"
        } catch {
            throw Self.lineFailure("\(name)[\(Arithmetic.quoted(text))]: \(error.text)")
        }
    }

    // MARK: Values

    /// A variable's value, or that of a positional parameter; nil if it has none.
    func value(_ name: String) -> String? {
        if let value = Self.dynamic(name, scope, session) { return value }
        if let value = scope.value(of: name) { return value }
        switch name {
        case "#": return String(scope.positional.count)
        case "0": return scope.scriptName
        case "!": return session.jobs.all.last.map { "%\($0.number)" }
        case "@", "*": return scope.positional.isEmpty ? nil : scope.positional.joined(separator: " ")
        // A number as elsewhere, and always the same: runs can be repeated.
        case "$": return "1000"
        case "BASHPID": return String(1000 + scope.subshellDepth)
        case "_": return scope.lastWord
        case "-": return scope.options.letters
        case "BASH_COMMAND":
            return scope.currentCommand?.source
        case "BASH", "SHELL": return "/bin/bash"
        case "OSTYPE": return "linux-gnu"
        case "HOSTTYPE": return "x86_64"
        case "MACHTYPE": return "x86_64-pc-linux-gnu"
        case "PATH": return "/usr/bin:/bin"
        case "DIRSTACK": return session.files.directory
        case "EPOCHREALTIME":
            let micros = String(session.world.now.nanoseconds / 1000)
            return "\(micros.dropLast(6)).\(micros.suffix(6))"
        case "PPID": return "1"
        case "LINENO": return String(line)
        case "BASH_VERSION": return "5.2.15(1)-sdlab"
        case "EPOCHSECONDS": return String(session.world.now.unixSeconds)
        case "OLDPWD": return session.files.previousDirectory
        case "HOSTNAME": return "lab"
        case "UID", "EUID": return "1000"
        case "SHLVL": return "1"
        case "PWD": return session.files.directory
        case "HOME": return "/"
        default:
            guard let number = Int(name), number > 0, number <= scope.positional.count else { return nil }
            return scope.positional[number - 1]
        }
    }

    /// Variables that have another value each time.
    static func dynamic(_ name: String, _ scope: VariableScope, _ session: Session) -> String? {
        switch name {
        case "RANDOM": return session.randomVariable.next(scope)
        case "SECONDS": return session.secondsVariable.text(session.world.now)
        case "FUNCNAME", "FUNCNAME[0]": return scope.callNames.first
        default:
            guard name.hasPrefix("FUNCNAME["), let index = Int(name.dropFirst(9).dropLast()) else {
                return nil
            }
            let names = scope.callNames
            return names.indices.contains(index) ? names[index] : nil
        }
    }

    private func requiredValue(_ name: String) throws(Stop) -> String {
        if let value = value(name) { return value }
        // A name that was never given a value is most likely a mistake, and an empty word would hide it.
        guard scope.options.refusesUnset, name != "!" else { return "" }
        let text = "$\(name) has no value\(didYouMean(name, among: scope.values.keys.sorted()))"
        throw scope.options.endsAtUnset ? .fatal(CommandFailure(text, status: 1)) : Self.failure(text)
    }

    /// What a parameter's operation works on.
    func operand(_ name: String) throws(Stop) -> String { try requiredValue(name) }
}

import CommandKit
import KernelStructures
import ShellLanguage
import ShellSession

/// What `find` looks for, and does with it.
indirect enum FindExpression {
    case test(FindTest)
    case not(FindExpression)
    case and(FindExpression, FindExpression)
    case or(FindExpression, FindExpression)
    case print(String)
    case format(String)
    case prune, quit, delete
    case execute([String])
    /// `-exec … +`, by its number: once, with all files.
    case executeAll(Int, [String])

    /// Whether it does something by itself; otherwise what it fits is printed.
    var acts: Bool {
        switch self {
        case .test, .prune: false
        case .not(let inner): inner.acts
        case .and(let a, let b), .or(let a, let b): a.acts || b.acts
        default: true
        }
    }

    var deletes: Bool {
        switch self {
        case .delete: true
        case .not(let inner): inner.deletes
        case .and(let a, let b), .or(let a, let b): a.deletes || b.deletes
        default: false
        }
    }
}

/// One condition of `find`.
struct FindTest {
    let holds: (FoundFile, LabFiles) -> Bool
    init(_ holds: @escaping (FoundFile, LabFiles) -> Bool) { self.holds = holds }
    func holds(_ file: FoundFile, _ files: LabFiles) -> Bool { holds(file, files) }
}

/// Reads the words of an expression; `-o` binds weaker than what stands side by side.
struct FindParser {
    private var rest: ArraySlice<String>
    private var depth = 0
    private var batchCount = 0
    /// In which dialect `-regex` is written.
    private var dialect = "emacs"
    /// Of directories below the first ones.
    private(set) var depths = 0...Int.max

    private static let depthLimit = 50

    init(_ words: ArraySlice<String>) { rest = words }

    mutating func parse() throws -> FindExpression {
        if rest.isEmpty { return .print("\n") }
        let expression = try alternatives()
        if let word = rest.first { throw UsageError("find: '\(word)' fits nowhere; see help find") }
        return expression.acts ? expression : .and(expression, .print("\n"))
    }

    private mutating func alternatives() throws -> FindExpression {
        var left = try sequence()
        while rest.first == "-o" || rest.first == "-or" {
            rest.removeFirst()
            left = .or(left, try sequence())
        }
        return left
    }

    private mutating func sequence() throws -> FindExpression {
        var left = try negation()
        while let word = rest.first, word != "-o", word != "-or", word != ")" {
            if word == "-a" || word == "-and" { rest.removeFirst() }
            left = .and(left, try negation())
        }
        return left
    }

    private mutating func negation() throws -> FindExpression {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { throw UsageError("find: nested more than \(Self.depthLimit) deep") }
        switch rest.first {
        case "!", "-not":
            rest.removeFirst()
            return .not(try negation())
        case "(":
            rest.removeFirst()
            let inner = try alternatives()
            guard rest.popFirst() == ")" else { throw UsageError("find: an open (") }
            return inner
        default: return try primary()
        }
    }

    private mutating func value(_ name: String) throws -> String {
        guard let word = rest.popFirst() else { throw UsageError("find: \(name) needs a value") }
        return word
    }

    private mutating func primary() throws -> FindExpression {
        guard let name = rest.popFirst() else { throw UsageError("find: the expression ends too early") }
        switch name {
        case "-name", "-iname":
            let pattern = Self.glob(try value(name), ignoresCase: name == "-iname")
            return .test(FindTest { file, _ in pattern(file.name) })
        case "-path", "-wholename", "-ipath":
            let pattern = Self.glob(try value(name), ignoresCase: name == "-ipath", crossesSlashes: true)
            return .test(FindTest { file, _ in pattern(file.path) })
        case "-regex", "-iregex": return .test(try expression(try value(name), ignoresCase: name == "-iregex"))
        case "-regextype":
            dialect = try value(name)
            guard
                ["emacs", "posix-basic", "posix-extended", "egrep", "grep", "sed", "findutils-default"].contains(
                    dialect)
            else { throw UsageError("find: -regextype: there are emacs, posix-basic and posix-extended here") }
            return .test(FindTest { _, _ in true })
        case "-type":
            let type = try value(name)
            guard type.split(separator: ",").allSatisfy({ "fdlpsbc".contains($0) && $0.count == 1 }) else {
                throw UsageError("find: -type: '\(type)' is none of f and d")
            }
            return .test(FindTest { file, _ in type.contains(file.isDirectory ? "d" : "f") })
        case "-empty":
            return .test(
                FindTest { file, files in
                    file.isDirectory ? (try? files.list(file.path).isEmpty) ?? false : files.size(file.path) == 0
                })
        case "-size": return .test(try size(try value(name)))
        case "-maxdepth", "-mindepth":
            let text = try value(name)
            guard let number = Int(text), number >= 0 else {
                throw UsageError("find: \(name): '\(text)' is not a number")
            }
            if name == "-maxdepth" {
                depths = min(depths.lowerBound, number)...number
            } else {
                depths = number...max(number, depths.upperBound)
            }
            return .test(FindTest { _, _ in true })
        case "-true", "-depth", "-readable", "-writable", "-executable", "-xdev", "-mount", "-noleaf":
            return .test(FindTest { _, _ in true })
        case "-false": return .test(FindTest { _, _ in false })
        case "-print": return .print("\n")
        case "-print0": return .print("\0")
        case "-printf": return .format(try value(name))
        case "-delete": return .delete
        case "-prune": return .prune
        case "-quit": return .quit
        case "-exec", "-execdir", "-ok":
            guard name == "-exec" else { throw UsageError("find: \(name) is not known here; there is -exec") }
            return try execute()
        case "-mtime", "-mmin", "-newer", "-atime", "-ctime", "-amin", "-cmin", "-newermt":
            throw UsageError("find: \(name): files have no times here")
        case "-user", "-group", "-perm", "-uid", "-gid", "-nouser":
            throw UsageError("find: \(name): files have no owners and modes here")
        default: throw UsageError("find: '\(name)' is not known here; see help find")
        }
    }

    /// Of the whole path. As Emacs has them, `+` and `?` repeat in a basic pattern.
    private func expression(_ pattern: String, ignoresCase: Bool) throws -> FindTest {
        let isExtended = dialect == "posix-extended" || dialect == "egrep"
        var source = pattern
        if dialect == "emacs" || dialect == "findutils-default" {
            source = ""
            var isEscaped = false
            for character in pattern {
                if !isEscaped, character == "+" || character == "?" { source.append("\\") }
                isEscaped = !isEscaped && character == "\\"
                source.append(character)
            }
        }
        do {
            let expression = try LineExpression(
                source, isExtended ? .extended : .basic, .init(ignoresCase: ignoresCase))
            return FindTest { file, _ in
                Array(file.path.utf8).withUnsafeBytes { expression.firstRange(in: $0, isWhole: true) != nil }
            }
        } catch { throw UsageError("find: -regex: \(error)") }
    }

    private mutating func execute() throws -> FindExpression {
        var words: [String] = []
        while let word = rest.popFirst() {
            if word == ";" { break }
            if word == "+", words.last == "{}" {
                batchCount += 1
                return .executeAll(batchCount, words.dropLast())
            }
            words.append(word)
            if rest.isEmpty { throw UsageError("find: -exec: its end is missing, \\; or {} +") }
        }
        guard !words.isEmpty else { throw UsageError("find: -exec: which command?") }
        return .execute(words)
    }

    private static func glob(
        _ text: String, ignoresCase: Bool, crossesSlashes: Bool = false
    ) -> (String) -> Bool {
        let pattern = GlobPattern(ignoresCase ? text.lowercased() : text)
        return { pattern.matches(ignoresCase ? $0.lowercased() : $0) }
    }

    /// `+1k`: more than, `-1k`: less than, in units that are rounded up.
    private func size(_ text: String) throws -> FindTest {
        let sign = text.first.flatMap { "+-".contains($0) ? $0 : nil }
        let rest = sign == nil ? text[...] : text.dropFirst()
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        let units: [Substring: Int] = ["": 512, "b": 512, "c": 1, "w": 2, "k": 1024, "M": 1 << 20, "G": 1 << 30]
        guard let number = Int(digits), let unit = units[rest.dropFirst(digits.count)] else {
            throw UsageError("find: -size: '\(text)' is not such as 10k, +1M or -100c")
        }
        return FindTest { file, files in
            // A directory has a size, too, as elsewhere that of one block.
            let count = ((file.isDirectory ? 4096 : files.size(file.path) ?? 0) + unit - 1) / unit
            return sign == "+" ? count > number : sign == "-" ? count < number : count == number
        }
    }
}

/// Texts with backslashes as tools take them in their words.
enum ShellText {
    static func escaped(_ text: String) -> [UInt8] { EscapeSequences.resolve(text, .format) }
}

import CommandKit
import KernelStructures

/// What was typed after `jq`, sorted into what the program gets and what the lab does itself: files are the lab's.
struct JQArguments {
    /// Flags and their values, for the program.
    private(set) var flags: [String] = []
    private(set) var filter: String?
    /// `-f`
    private(set) var filterFile: String?
    private(set) var files: [String] = []
    /// `--args` or `--jsonargs`, and the words behind it.
    private(set) var positional: [String] = []
    private(set) var readsNoInput = false

    private static let letters: [Character: String] = [
        "c": "compact-output", "n": "null-input", "r": "raw-output", "j": "join-output", "a": "ascii-output",
        "s": "slurp", "S": "sort-keys", "C": "color-output", "M": "monochrome-output", "e": "exit-status",
        "R": "raw-input", "f": "from-file",
    ]
    private static let switches = Set(letters.values).subtracting(["from-file"]).union(["tab", "seq", "stream"])

    init(_ words: [String]) throws(UsageError) {
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                for word in rest { takeWord(word) }
                break
            } else if word.hasPrefix("--") {
                try takeLong(String(word.dropFirst(2)), &rest)
            } else if word.hasPrefix("-"), word.count > 1 {
                for letter in word.dropFirst() {
                    guard let name = Self.letters[letter] else {
                        throw UsageError("jq: unknown flag -\(letter); see help jq")
                    }
                    try takeLong(name, &rest)
                }
            } else {
                takeWord(word)
            }
        }
    }

    private mutating func takeWord(_ word: String) {
        if filter == nil, filterFile == nil {
            filter = word
        } else if positional.isEmpty {
            files.append(word)
        } else {
            positional.append(word)
        }
    }

    private mutating func takeLong(_ name: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
        func value(_ usage: String) throws(UsageError) -> String {
            guard let value = rest.popFirst() else { throw UsageError("jq: --\(name) needs \(usage)") }
            return value
        }
        switch name {
        case "arg", "argjson": flags += ["--\(name)", try value("NAME VALUE"), try value("NAME VALUE")]
        case "indent": flags += ["--indent", try value("N")]
        case "args", "jsonargs": positional.append("--\(name)")
        case "from-file":
            filterFile = try value("FILE")
            // What looked like the filter before was a file.
            if let filter { files.insert(filter, at: 0) }
            filter = nil
        case "slurpfile", "rawfile", "argfile":
            throw UsageError(
                "jq: --\(name) would read a file of the machine; write --\(name == "rawfile" ? "arg" : "argjson") NAME \"$(cat FILE)\" instead"
            )
        case _ where Self.switches.contains(name):
            if name == "null-input" { readsNoInput = true }
            flags.append("--\(name)")
        default:
            throw UsageError(
                "jq: unknown flag --\(name)\(didYouMean(name, among: Self.switches.sorted())); see help jq")
        }
    }
}

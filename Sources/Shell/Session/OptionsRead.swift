import CommandKit
import KernelStructures
import ShellLanguage

/// `getopts`.
extension Builtins {
    static var getopts: Command {
        let description = describe(
            "getopts", "takes the next option from the positional parameters", usage: "LETTERS NAME [WORD…]",
            examples: [
                "set -- -p 80 -v x; while getopts p:v o; do echo $o ${OPTARG:-}; done",
                "shift $((OPTIND - 1)); echo $1",
            ],
            details: """
                A letter with : behind it takes a value, which is $OPTARG. $OPTIND is the place
                of the next word; set it to 1 to begin anew. NAME becomes ? for what is not
                known; a : before the letters says that nothing is complained of, and that a
                missing value makes NAME a :. Status 1 at the end of the options.
                """)
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            guard words.count >= 2 else { throw UsageError("getopts: which letters, and which name?") }
            let scope = try shell(invocation).scope
            let name = try variableName(words[1])
            let reading = OptionsRead(words[0], words.count > 2 ? Array(words[2...]) : scope.positional, scope)
            return .done(try reading.next(into: name, invocation.process))
        }
    }
}

/// One step of `getopts` (POSIX, its description).
private struct OptionsRead {
    let letters: [Character]
    let isSilent: Bool
    let words: [String]
    let scope: VariableScope

    init(_ letters: String, _ words: [String], _ scope: VariableScope) {
        isSilent = letters.hasPrefix(":")
        self.letters = Array(isSilent ? letters.dropFirst() : letters[...])
        self.words = words
        self.scope = scope
    }

    /// - Returns: the status.
    func next(into name: String, _ process: Process) throws -> Int {
        var index = max(1, Int(scope.value(of: "OPTIND") ?? "") ?? 1)
        var taken = scope.optionLetters
        guard index <= words.count, words[index - 1].hasPrefix("-"), words[index - 1].count > 1,
            words[index - 1] != "--"
        else {
            if index <= words.count, words[index - 1] == "--" { index += 1 }
            scope.unset("OPTARG")
            try go(to: index, taken: 0)
            try scope.set(name, "?")
            return 1
        }
        let word = Array(words[index - 1])
        taken = max(1, taken) < word.count ? max(1, taken) : 1
        let letter = word[taken]
        taken += 1
        func passOver() {
            if taken == word.count { (index, taken) = (index + 1, 0) }
        }
        guard letter != ":", let place = letters.firstIndex(of: letter) else {
            passOver()
            return try refuse(letter, "?", "illegal option", name, index, taken, process)
        }
        guard place + 1 < letters.count, letters[place + 1] == ":" else {
            passOver()
            scope.unset("OPTARG")
            try go(to: index, taken: taken)
            try scope.set(name, String(letter))
            return 0
        }
        if taken < word.count {
            try scope.set("OPTARG", String(word[taken...]))
        } else if index < words.count {
            try scope.set("OPTARG", words[index])
            index += 1
        } else {
            return try refuse(letter, ":", "option requires an argument", name, index + 1, 0, process)
        }
        try go(to: index + 1, taken: 0)
        try scope.set(name, String(letter))
        return 0
    }

    private func refuse(
        _ letter: Character, _ sign: String, _ complaint: String, _ name: String, _ index: Int, _ taken: Int,
        _ process: Process
    ) throws -> Int {
        if isSilent {
            try scope.set("OPTARG", String(letter))
        } else {
            scope.unset("OPTARG")
            if scope.value(of: "OPTERR") != "0" {
                process.errorOutput.write(printable("\(scope.scriptName): \(complaint) -- \(letter)") + "\n")
            }
        }
        try go(to: index, taken: taken)
        try scope.set(name, isSilent ? sign : "?")
        return 0
    }

    private func go(to index: Int, taken: Int) throws {
        try scope.set("OPTIND", String(index))
        scope.optionLetters = taken
    }
}

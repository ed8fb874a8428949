import ChaosService
import CommandKit
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellSession

/// What can stand where somebody pressed Tab. It knows nothing of terminals: text in, candidates out.
package struct Completer {
    package struct Candidate: Equatable {
        /// The whole word, without quotes.
        package let text: String
        /// Another word may follow; otherwise this one goes on: a directory, a URL.
        package let isWhole: Bool
        /// What is said of it; empty for nothing.
        package let summary: String

        package init(_ text: String, isWhole: Bool = true, _ summary: String = "") {
            self.text = text
            self.isWhole = isWhole
            self.summary = summary
        }
    }

    /// The candidates, and how to put them into the line.
    package struct Completion {
        /// Scalars before the cursor that the chosen text replaces.
        package let replacedScalars: Int
        package let candidates: [Candidate]
        let partial: String
        let quote: Character?
        /// Characters that mean something to the shell are escaped. Not in the words of a fault, whose arrows and
        /// braces are its own.
        var escapes = true

        /// What to replace the word with: the only candidate, or what all of them begin with; nil if that is no more
        /// than what stands there.
        package var replacement: String? {
            if candidates.count == 1 {
                let only = candidates[0]
                return written(only.text) + (only.isWhole ? (quote.map(String.init) ?? "") + " " : "")
            }
            guard let first = candidates.first else { return nil }
            var common = first.text
            // Of ten thousand keys nearly all begin so, which is seen at once.
            for candidate in candidates.dropFirst() where !candidate.text.hasPrefix(common) {
                common = String(zip(common, candidate.text).prefix { $0.lowercased() == $1.lowercased() }.map(\.0))
            }
            return common.count > partial.count ? written(common) : nil
        }

        /// A candidate as it is to stand in the line: with the quote that was begun, or what needs it escaped.
        package func written(_ text: String) -> String {
            if let quote { return String(quote) + text }
            if !escapes { return text }
            return text.reduce(into: "") { result, character in
                if " \t'\"\\$;&|<>(){}*?[]!".contains(character) { result.append("\\") }
                result.append(character)
            }
        }
    }

    let session: Session
    /// The names in a directory of the host.
    let hostList: (String) -> [(name: String, isDirectory: Bool)]

    package init(
        _ session: Session, hostList: @escaping (String) -> [(name: String, isDirectory: Bool)] = Completer.hostFiles
    ) {
        self.session = session
        self.hostList = hostList
    }

    /// - Parameter text: the command line up to the cursor.
    package func complete(_ text: String) -> Completion {
        let scan = CommandLineScan(text)
        var found = scan.isOpaque || scan.isComputed ? [] : candidates(scan)
        // The same word may come from two sources.
        var seen: Set<String> = []
        found = found.filter { seen.insert($0.text).inserted }
        return Completion(
            replacedScalars: scan.partialScalars, candidates: found, partial: scan.partial, quote: scan.quote,
            escapes: scan.words.first.flatMap { session.commands[$0] }?.description.arguments.kinds.first != .fault)
    }

    private func candidates(_ scan: CommandLineScan) -> [Candidate] {
        if scan.isRedirection { return labFiles(scan.partial) }
        guard let name = scan.words.first else { return programNames(scan.partial) }
        if let alias = session.aliases[name] {
            // Behind an alias stands what may stand behind its words.
            let words = alias.leadingWords + scan.words.dropFirst()
            guard let command = words.first.flatMap({ session.commands[$0] }) else { return [] }
            return candidates(command.description, words.dropFirst(), scan.partial)
        }
        guard let command = session.commands[name] else { return [] }
        return candidates(command.description, scan.words.dropFirst(), scan.partial)
    }

    private func candidates(_ command: CommandDescription, _ words: ArraySlice<String>, _ partial: String)
        -> [Candidate]
    {
        if !command.subcommands.isEmpty { return subcommands(command, words, partial) }
        if command.arguments.isRaw, command.arguments.kinds.last == .command { return nested(command, words, partial) }
        if command.arguments.kinds.first == .fault { return faults(Array(words), partial) }
        if !words.contains("--") {
            if let flag = words.last.flatMap({ Self.flagAwaitingValue($0, command) }) {
                return values(flag, command, partial)
            }
            if partial.hasPrefix("-") { return flags(command, words, partial) }
        }
        var positional: [String] = []
        var previous: String?
        for word in words {
            let isValue = previous.map { Self.flagAwaitingValue($0, command) != nil } ?? false
            if !isValue, !word.hasPrefix("-") { positional.append(word) }
            previous = word
        }
        return kinds(command, at: positional.count).flatMap { arguments($0, command, positional, partial) }
    }

    /// `connpool evi`, `connpool pool-test evict --no`: the verb, or what may stand behind it.
    private func subcommands(_ command: CommandDescription, _ words: ArraySlice<String>, _ partial: String)
        -> [Candidate]
    {
        for (index, word) in words.enumerated().prefix(command.operates ? 2 : 1) {
            if let found = command.subcommand(word) { return candidates(found, words.dropFirst(index + 1), partial) }
        }
        let verbs = matching(command.subcommands.map { ($0.verb, $0.summary) }, partial)
        guard command.operates, words.isEmpty else { return words.count <= 1 ? verbs : [] }
        return verbs + nodes(partial)
    }

    /// `spawn 3 backend --po`, `watch 1s po`: the words of a command inside those of another.
    private func nested(_ command: CommandDescription, _ words: ArraySlice<String>, _ partial: String) -> [Candidate] {
        let inner = words.drop { LabDuration(parsing: $0, bareUnit: .seconds(1)) != nil }
        let role = command.arguments.kinds.contains(.duration) ? CommandDescription.Role.view : .service
        guard let name = inner.first else {
            return matching(
                session.commands.commands.map(\.description).filter { $0.role == role }.map { ($0.name, $0.summary) },
                partial)
        }
        guard let command = session.commands[name] else { return [] }
        return candidates(command.description, inner.dropFirst(), partial)
    }

    /// What may stand at a place among the arguments: where there is a kind for each place, that; otherwise any.
    private func kinds(_ command: CommandDescription, at index: Int) -> [CommandDescription.ArgumentKind] {
        let arguments = command.arguments
        guard index < arguments.count.upperBound else { return [] }
        if arguments.kinds.count == arguments.count.upperBound { return [arguments.kinds[index]] }
        return arguments.kinds.enumerated().filter { position, kind in
            switch kind {
            case .word, .fault: position == index
            case .key: position <= index
            default: true
            }
        }.map(\.element)
    }

    // MARK: Flags

    private static func flagAwaitingValue(_ word: String, _ command: CommandDescription) -> CommandDescription.Flag? {
        let flag: CommandDescription.Flag?
        if word.hasPrefix("--") {
            flag = command.flag(named: String(word.dropFirst(2)))
        } else if word.hasPrefix("-"), let letter = word.last {
            flag = command.flag(lettered: letter)
        } else {
            flag = nil
        }
        return flag.flatMap { $0.value == .none ? nil : $0 }
    }

    private func flags(_ command: CommandDescription, _ words: ArraySlice<String>, _ partial: String) -> [Candidate] {
        if let equals = partial.firstIndex(of: "="), partial.hasPrefix("--") {
            let name = partial[..<equals].dropFirst(2)
            guard let flag = command.flag(named: String(name)) else { return [] }
            return values(flag, command, String(partial[equals...].dropFirst())).map {
                Candidate("--\(name)=\($0.text)", isWhole: $0.isWhole, $0.summary)
            }
        }
        if command.name == "kill" { return matching(Signal.allCases.map { "-\($0.rawValue)" } + ["-9"], partial) }
        let names = command.flags.filter { flag in
            !flag.name.isEmpty
                && (flag.isRepeatable || !words.contains { $0 == flag.display || $0.hasPrefix(flag.display + "=") })
        }
        return matching(names.map { ($0.display, $0.help) }, partial)
    }
}

/// Words in columns, as wide as the terminal allows, read downwards.
package func columnList(_ words: [String], columns: Int) -> String {
    let width = (words.map(displayWidth).max() ?? 0) + 2
    let perRow = max(1, columns / max(1, width))
    let rows = (words.count + perRow - 1) / perRow
    return (0..<rows).map { row in
        var line = ""
        for index in stride(from: row, to: words.count, by: rows) {
            line +=
                words[index]
                + (index + rows < words.count ? String(repeating: " ", count: width - displayWidth(words[index])) : "")
        }
        return line + "\n"
    }.joined()
}

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

        package init(_ text: String, isWhole: Bool = true) {
            self.text = text
            self.isWhole = isWhole
        }
    }

    /// The candidates, and how to put them into the line.
    package struct Completion {
        /// Scalars before the cursor that the chosen text replaces.
        package let replacedScalars: Int
        package let candidates: [Candidate]
        let partial: String
        let quote: Character?

        /// What to replace the word with: the only candidate, or what all of them begin with; nil if that is no more
        /// than what stands there.
        package var replacement: String? {
            if candidates.count == 1 {
                let only = candidates[0]
                return written(only.text) + (only.isWhole ? (quote.map(String.init) ?? "") + " " : "")
            }
            guard let first = candidates.first else { return nil }
            let common = candidates.dropFirst().reduce(first.text) { common, candidate in
                String(zip(common, candidate.text).prefix { $0.lowercased() == $1.lowercased() }.map(\.0))
            }
            return common.count > partial.count ? written(common) : nil
        }

        private func written(_ text: String) -> String {
            if let quote { return String(quote) + text }
            return text.reduce(into: "") { result, character in
                if " \t'\"\\$;&|<>(){}*?[]!".contains(character) { result.append("\\") }
                result.append(character)
            }
        }
    }

    private let session: Session
    /// The names in a directory of the host.
    private let hostList: (String) -> [(name: String, isDirectory: Bool)]

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
        found = found.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        return Completion(
            replacedScalars: scan.partialScalars, candidates: found, partial: scan.partial, quote: scan.quote)
    }

    private func candidates(_ scan: CommandLineScan) -> [Candidate] {
        if scan.isRedirection { return labFiles(scan.partial) }
        guard let name = scan.words.first else { return commandNames(scan.partial) }
        guard let command = session.commands[name] else { return [] }
        return candidates(command.description, scan.words.dropFirst(), scan.partial)
    }

    private func candidates(_ command: CommandDescription, _ words: ArraySlice<String>, _ partial: String)
        -> [Candidate]
    {
        if !command.subcommands.isEmpty { return subcommands(command, words, partial) }
        if command.arguments.isRaw, command.arguments.kinds.last == .command { return nested(command, words, partial) }
        if !words.contains("--") {
            if let flag = words.last.flatMap({ Self.flagAwaitingValue($0, command) }) { return values(flag, partial) }
            if partial.hasPrefix("-") { return flags(command, words, partial) }
        }
        var index = 0
        var previous: String?
        for word in words {
            let isValue = previous.map { Self.flagAwaitingValue($0, command) != nil } ?? false
            if !isValue, !word.hasPrefix("-") { index += 1 }
            previous = word
        }
        return kinds(command, at: index).flatMap { arguments($0, command, partial) }
    }

    /// `connpool evi`, `connpool pool-test evict --no`: the verb, or what may stand behind it.
    private func subcommands(_ command: CommandDescription, _ words: ArraySlice<String>, _ partial: String)
        -> [Candidate]
    {
        for (index, word) in words.enumerated().prefix(command.operates ? 2 : 1) {
            if let found = command.subcommand(word) { return candidates(found, words.dropFirst(index + 1), partial) }
        }
        let verbs = matching(command.subcommands.map(\.verb), partial)
        guard command.operates, words.isEmpty else { return words.count <= 1 ? verbs : [] }
        return verbs + matching(session.world.nodes.allServices.map(\.name), partial)
    }

    /// `spawn 3 backend --po`, `watch 1s po`: the words of a command inside those of another.
    private func nested(_ command: CommandDescription, _ words: ArraySlice<String>, _ partial: String) -> [Candidate] {
        let inner = words.drop { LabDuration(parsing: $0, bareUnit: .seconds(1)) != nil }
        let role = command.arguments.kinds.contains(.duration) ? CommandDescription.Role.view : .service
        guard let name = inner.first else {
            return matching(
                session.commands.commands.filter { $0.description.role == role }.map(\.description.name),
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
            return values(flag, String(partial[equals...].dropFirst())).map {
                Candidate("--\(name)=\($0.text)", isWhole: $0.isWhole)
            }
        }
        if command.name == "kill" { return matching(Signal.allCases.map { "-\($0.rawValue)" } + ["-9"], partial) }
        let names = command.flags.filter { flag in
            !flag.name.isEmpty
                && (flag.isRepeatable || !words.contains { $0 == flag.display || $0.hasPrefix(flag.display + "=") })
        }
        return matching(names.map(\.display), partial)
    }

    private func values(_ flag: CommandDescription.Flag, _ partial: String) -> [Candidate] {
        switch flag.value {
        case .choice(let choices): matching(choices, partial)
        case .file: labFiles(partial)
        case .endpoint: endpoints(partial)
        default: []
        }
    }

    // MARK: Arguments

    private func arguments(_ kind: CommandDescription.ArgumentKind, _ command: CommandDescription, _ partial: String)
        -> [Candidate]
    {
        switch kind {
        case .job: matching(session.jobs.running.map { "%\($0.number)" }, partial)
        case .node: matching(session.world.nodes.allServices.map(\.name), partial)
        case .file: labFiles(partial)
        case .hostFile: files(partial) { hostList($0) }
        case .url: urls(partial)
        case .endpoint: endpoints(partial)
        case .command: commandNames(partial)
        case .tag: matching(session.commands.tags, partial)
        case .terminal: matching(session.terminals.keys.sorted().map(String.init), partial)
        case .fault: matching(FaultRequest.kinds, partial)
        case .word(let words): matching(words, partial)
        case .duration, .text: []
        }
    }

    private func matching(_ names: [String], _ partial: String) -> [Candidate] {
        let wanted = partial.lowercased()
        return names.filter { $0.lowercased().hasPrefix(wanted) }.map { Candidate($0) }
    }

    /// `./ba` names `backend` as well: what leads to it stays.
    private func commandNames(_ partial: String) -> [Candidate] {
        let directory = partial.lastIndex(of: "/").map { String(partial[...$0]) } ?? ""
        return matching(session.commands.names.sorted().map { directory + $0 }, partial)
    }

    private func labFiles(_ partial: String) -> [Candidate] {
        files(partial) { directory in
            let found = try? session.files.list(directory.isEmpty ? "." : directory)
            return (found ?? []).map { ($0.name, $0.attributes.isDirectory) }
        }
    }

    /// Names that begin with a dot only where one was typed.
    private func files(_ partial: String, _ list: (String) -> [(name: String, isDirectory: Bool)]) -> [Candidate] {
        let directory = partial.lastIndex(of: "/").map { String(partial[...$0]) } ?? ""
        let name = partial.dropFirst(directory.count)
        return list(directory).filter { $0.name.hasPrefix(name) && ($0.name.hasPrefix(".") == name.hasPrefix(".")) }
            .map { Candidate(directory + $0.name + ($0.isDirectory ? "/" : ""), isWhole: !$0.isDirectory) }
    }

    /// `localhost:8080` and `lb:8080` for whatever listens.
    private func endpoints(_ partial: String) -> [Candidate] {
        let listeners = session.world.nodes.allServices.flatMap(\.listeners)
        let local = listeners.filter(\.ownsLocalhost).map(\.port).sorted().map { "localhost:\($0)" }
        return matching(local + listeners.map { "\($0.node.name):\($0.port)" }, partial)
    }

    /// Where something listens: as localhost, and, once it is clear that this is not meant, by the node's name.
    private func urls(_ partial: String) -> [Candidate] {
        let listeners = session.world.nodes.allServices.flatMap(\.listeners)
        func url(_ host: String, _ port: UInt16) -> String { "http://\(host)\(port == 80 ? "" : ":\(port)")/" }
        let local = listeners.filter(\.ownsLocalhost).map(\.port).sorted().map { url("localhost", $0) }
        let named = listeners.map { url($0.node.name, $0.port) }
        for choices in [local, named] {
            let found = matching(choices, partial)
            if !found.isEmpty { return found.map { Candidate($0.text, isWhole: false) } }
        }
        return matching((local + named).map { String($0.dropFirst("http://".count)) }, partial)
            .map { Candidate($0.text, isWhole: false) }
    }

    /// The host's files, where an empty name is the current directory.
    package static func hostFiles(_ directory: String) -> [(name: String, isDirectory: Bool)] {
        HostFile.list(directory.isEmpty ? "." : directory).map { ($0, HostFile.isDirectory(directory + $0)) }
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

import ChaosService
import CommandKit
import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLanguage
import ShellSession

/// What the living lab and its commands have names for, as candidates.
extension Completer {
    /// How many keys and routes are looked for, at most, in each component.
    static let nameLimit = 10_000

    func matching(_ names: [String], _ partial: String) -> [Candidate] { matching(names.map { ($0, "") }, partial) }

    func matching(_ names: [(name: String, summary: String)], _ partial: String) -> [Candidate] {
        let wanted = partial.lowercased()
        return names.filter { $0.name.lowercased().hasPrefix(wanted) }.map { Candidate($0.name, $0.summary) }
    }

    // MARK: Values of flags

    func values(_ flag: CommandDescription.Flag, _ command: CommandDescription, _ partial: String) -> [Candidate] {
        switch flag.value {
        case .choice(let choices): matching(choices, partial)
        case .file: labFiles(partial)
        case .endpoint: endpoints(partial)
        // A service wants a port that nobody has, everybody else one where somebody listens.
        case .port where command.role != .service: ports(partial)
        case .text("NODE"), .text("HOST"): nodes(partial)
        default: []
        }
    }

    private func ports(_ partial: String) -> [Candidate] {
        let listeners = session.world.nodes.allServices.flatMap(\.listeners).sorted { $0.port < $1.port }
        return matching(listeners.map { ("\($0.port)", $0.node.name) }, partial)
    }

    // MARK: Arguments

    /// - Parameter positional: the words that stand before it and are no flags.
    func arguments(
        _ kind: CommandDescription.ArgumentKind, _ command: CommandDescription, _ positional: [String],
        _ partial: String
    ) -> [Candidate] {
        switch kind {
        case .job: matching(session.jobs.running.map { ("%\($0.number)", $0.text) }, partial)
        case .node: nodes(partial)
        case .file: labFiles(partial)
        case .hostFile: files(partial) { hostList($0).map { ($0.name, $0.isDirectory, "") } }
        case .url: urls(partial)
        case .endpoint: endpoints(partial)
        case .command: commandNames(partial)
        case .tag: matching(session.commands.tags, partial)
        case .terminal: matching(session.terminals.keys.sorted().map(String.init), partial)
        case .fault: matching(FaultRequest.kinds, partial)
        case .word(let words): matching(words, partial)
        case .alias: matching(session.aliases.sorted { $0.key < $1.key }.map { ($0.key, $0.value.text) }, partial)
        case .key:
            Self.takesKey(command, positional) ? keys(partial) : []
        case .duration, .text: []
        }
    }

    func nodes(_ partial: String) -> [Candidate] {
        matching(
            session.world.nodes.allServices.map { node in
                (node.name, node.state.rawValue + node.listeners.map { " :\($0.port)" }.joined())
            }, partial)
    }

    /// `./ba` names `backend` as well: what leads to it stays.
    func commandNames(_ partial: String) -> [Candidate] {
        let directory = partial.lastIndex(of: "/").map { String(partial[...$0]) } ?? ""
        return matching(
            session.commands.commands.map { (directory + $0.description.name, $0.description.summary) }
                .sorted { $0.0 < $1.0 }, partial)
    }

    /// What can be run: commands, aliases, functions.
    func programNames(_ partial: String) -> [Candidate] {
        if partial.hasPrefix("@") { return matching(Directives.all.map { ("@" + $0.name, $0.summary) }, partial) }
        let own =
            session.aliases.sorted { $0.key < $1.key }.map { ($0.key, $0.value.text) }
            + session.functionNames.map { ($0, "a function") }
        return matching(own, partial) + commandNames(partial)
    }

    // MARK: Files

    func labFiles(_ partial: String) -> [Candidate] {
        files(partial) { directory in
            let found = try? session.files.list(directory.isEmpty ? "." : directory)
            return (found ?? []).map { name, attributes in
                (name, attributes.isDirectory, attributes.isDirectory ? "" : byteCountText(attributes.size))
            }
        }
    }

    /// Names that begin with a dot only where one was typed.
    func files(
        _ partial: String, _ list: (String) -> [(name: String, isDirectory: Bool, summary: String)]
    ) -> [Candidate] {
        let directory = partial.lastIndex(of: "/").map { String(partial[...$0]) } ?? ""
        let name = partial.dropFirst(directory.count)
        return list(directory).filter { $0.name.hasPrefix(name) && ($0.name.hasPrefix(".") == name.hasPrefix(".")) }
            .map { Candidate(directory + $0.name + ($0.isDirectory ? "/" : ""), isWhole: !$0.isDirectory, $0.summary) }
    }

    /// The host's files, where an empty name is the current directory.
    package static func hostFiles(_ directory: String) -> [(name: String, isDirectory: Bool)] {
        HostFile.list(directory.isEmpty ? "." : directory).map { ($0, HostFile.isDirectory(directory + $0)) }
    }

    // MARK: Addresses

    /// `localhost:8080` and `lb:8080` for whatever listens.
    private func endpoints(_ partial: String) -> [Candidate] {
        let listeners = session.world.nodes.allServices.flatMap(\.listeners)
        let local = listeners.filter(\.ownsLocalhost).sorted { $0.port < $1.port }
        return matching(
            local.map { ("localhost:\($0.port)", $0.node.name) } + listeners.map { ("\($0.node.name):\($0.port)", "") },
            partial)
    }

    /// Where something listens: as localhost, and, once it is clear that this is not meant, by the node's name. Behind
    /// a gateway's address stand the paths that it knows.
    private func urls(_ partial: String) -> [Candidate] {
        let listeners = session.world.nodes.allServices.flatMap(\.listeners)
        func url(_ host: String, _ port: UInt16) -> String { "http://\(host)\(port == 80 ? "" : ":\(port)")/" }
        let local = listeners.filter(\.ownsLocalhost).sorted { $0.port < $1.port }
            .map { (name: url("localhost", $0.port), node: $0.node) }
        let named = listeners.map { (name: url($0.node.name, $0.port), node: $0.node) }
        let short = (local + named).map { (name: String($0.name.dropFirst("http://".count)), node: $0.node) }
        for choices in [local, named, short] {
            let behind = choices.first { partial.lowercased().hasPrefix($0.name.lowercased()) }
            if let behind { return routes(of: behind.node, behind: behind.name, partial) }
            let found = matching(choices.map { ($0.name, $0.node.name) }, partial)
            if !found.isEmpty { return found.map { Candidate($0.text, isWhole: false, $0.summary) } }
        }
        return []
    }

    private func routes(of node: Node, behind base: String, _ partial: String) -> [Candidate] {
        let path = "/" + partial.dropFirst(base.count)
        return components(of: node).flatMap { $0.names(of: .route, beginningWith: path, limit: Self.nameLimit) }
            .map { Candidate(base + $0.name.dropFirst(), isWhole: false, $0.summary) }
    }

    private func components(of node: Node?) -> [any Component] {
        session.jobs.running.flatMap(\.running)
            .filter { node == nil || $0.nodeName == node?.name }.compactMap(\.component)
    }

    // MARK: Keys

    /// Whether a key can stand behind these words: behind what is done with it, and behind another key only where
    /// several are meant.
    private static func takesKey(_ command: CommandDescription, _ positional: [String]) -> Bool {
        guard let place = command.arguments.kinds.firstIndex(of: .key) else { return false }
        guard place > 0, let verb = positional.first?.uppercased() else {
            return positional.count == place || command.arguments.count.upperBound > place + 1
        }
        if ["SCAN", "KEYS", "INFO", "COMPACT", "FLUSH", "STATS", "LEVELS", "PING", "DBSIZE", "CLUSTER", "CONFIG"]
            .contains(verb)
        {
            return false
        }
        return positional.count == place
            || ["DEL", "UNLINK", "EXISTS", "TOUCH", "MGET", "WATCH", "SUNION", "SINTER", "SDIFF", "PFCOUNT"].contains(
                verb)
    }

    /// The keys of all stores that run.
    private func keys(_ partial: String) -> [Candidate] {
        let stores = session.jobs.running.flatMap(\.running).compactMap { process in
            process.component.map { (process.nodeName ?? "", $0) }
        }
        let found = stores.map { node, store in
            (node, store.names(of: .key, beginningWith: partial, limit: Self.nameLimit))
        }.filter { !$0.1.isEmpty }
        // With one store it goes without saying where a key is.
        let keys = found.flatMap { node, names in
            names.map { Candidate($0.name, found.count > 1 ? "\(node), \($0.summary)" : $0.summary) }
        }
        return found.count > 1 ? keys.sorted { $0.text < $1.text } : keys
    }

    // MARK: Faults

    /// What the grammar of faults accepts next.
    func faults(_ words: [String], _ partial: String) -> [Candidate] {
        let expected = FaultExpectation(after: words)
        let meanings = [
            "on": "a node", "for": "how long it lasts", "first": "so many requests", "after": "so many requests",
            "with": "a field of the request", "http": "an answer with a status",
        ]
        var found = matching(expected.words.map { ($0, meanings[$0] ?? "") }, partial)
        if expected.takesNode { found += nodeNames(partial) }
        if expected.takesSides { found += sides(partial) }
        if expected.takesLink { found += links(partial) }
        return found
    }

    private func nodeNames(_ partial: String) -> [Candidate] {
        nodes(partial)
            + matching([("client", "every terminal"), ("outside", "whoever connects from outside")], partial)
    }

    /// `A->B`: first a side and its arrow, then the other side.
    private func links(_ partial: String) -> [Candidate] {
        for arrow in ["<->", "->"] {
            guard let range = partial.firstRange(of: arrow) else { continue }
            let begun = String(partial[..<range.upperBound])
            return nodeNames(String(partial[range.upperBound...])).map { Candidate(begun + $0.text, $0.summary) }
        }
        return nodeNames(partial).map { Candidate($0.text + "->", isWhole: false, $0.summary) }
    }

    /// `{A,B}|{C`: the name that is being typed.
    private func sides(_ partial: String) -> [Candidate] {
        let place = partial.lastIndex { "{,|".contains($0) }.map { partial.index(after: $0) } ?? partial.startIndex
        let begun = String(partial[..<place])
        return nodeNames(String(partial[place...])).map { Candidate(begun + $0.text, isWhole: false, $0.summary) }
    }
}

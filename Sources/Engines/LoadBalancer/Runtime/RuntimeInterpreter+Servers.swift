import KernelStructures

/// Commands about one server, named `backend/server`.
extension RuntimeInterpreter {
    static let serverEntries: [Entry] = [
        Entry("set server", "<b>/<s> state|weight|health <value>", "change a server") { run, words throws(Refusal) in
            try run.setServer(words)
        },
        Entry("set weight", "<b>/<s> <weight>[%]", "the same as: set server <b>/<s> weight") {
            run, words throws(Refusal) in
            let slot = try run.server(words.first)
            return try run.setWeight(slot, words.dropFirst().first)
        },
        Entry("get weight", "<b>/<s>", "a server's weight, and the one it began with") { run, words throws(Refusal) in
            let server = run.engine.servers[try run.server(words.first)]
            return "\(server.weight) (initial \(server.initialWeight))\n"
        },
        Entry("set maxconn server", "<b>/<s> <limit>", "requests at a time; 0 for as many as come") {
            run, words throws(Refusal) in
            let slot = try run.server(words.first)
            guard let limit = words.dropFirst().first.flatMap({ Int($0) }), limit >= 0, limit <= Int(Int32.max) else {
                throw Refusal("Require <maxconn>: a whole number, 0 or more.")
            }
            run.effects = run.engine.setMaxConnections(slot, limit == 0 ? nil : limit, now: run.now)
            return ""
        },
        Entry("enable server", "<b>/<s>", "the same as: set server <b>/<s> state ready") { run, words throws(Refusal) in
            try run.setState(words.first, .ready)
        },
        Entry("disable server", "<b>/<s>", "the same as: set server <b>/<s> state maint") {
            run, words throws(Refusal) in
            try run.setState(words.first, .maintenance)
        },
        Entry("enable health", "<b>/<s>", "check a server again") { run, words throws(Refusal) in
            try run.setChecked(words.first, true)
        },
        Entry("disable health", "<b>/<s>", "stop checking a server; it stays what it is") {
            run, words throws(Refusal) in
            try run.setChecked(words.first, false)
        },
        Entry("add server", "<b>/<s> <addr>:<port> [args]*", "a new server, in maintenance at first") {
            run, words throws(Refusal) in
            try run.addServer(words)
        },
        Entry("del server", "<b>/<s>", "take away a server that is in maintenance and idle") {
            run, words throws(Refusal) in
            try run.deleteServer(words.first)
        },
        Entry("shutdown sessions server", "<b>/<s>", "cut the connections that use a server") {
            run, words throws(Refusal) in
            run.request = .endSessions(server: try run.server(words.first))
            return ""
        },
        Entry("shutdown session", "<id>", "cut one client's connection") { run, words throws(Refusal) in
            guard let number = words.first.flatMap(Self.sessionNumber),
                run.front.sessions.contains(where: { $0.number == number })
            else { throw Refusal("No such session (use 'show sess').") }
            run.request = .endSession(number)
            return ""
        },
    ]

    static func sessionNumber(_ text: String) -> UInt64? {
        UInt64(text.hasPrefix("0x") ? String(text.dropFirst(2)) : text, radix: 16)
    }

    /// The slot of the server that `backend/server` names.
    func server(_ name: String?) throws(Refusal) -> Int {
        let server = try split(name)
        guard let slot = engine.slot(named: server) else { throw Refusal("No such server.") }
        return slot
    }

    /// The server's part of `backend/server`. Names of servers may contain a slash themselves.
    private func split(_ name: String?) throws(Refusal) -> String {
        guard let name, let slash = name.firstIndex(of: "/"), name.index(after: slash) != name.endIndex else {
            throw Refusal("Require 'backend/server'.")
        }
        guard isProxy(String(name[..<slash])) else { throw Refusal("No such backend.") }
        return String(name[name.index(after: slash)...])
    }

    /// Whether a word means this balancer: its name, or its number after a sharp.
    func isProxy(_ word: String) -> Bool { word == front.name || word == "#\(StatTable.proxyNumber)" }

    private mutating func setServer(_ words: ArraySlice<String>) throws(Refusal) -> String {
        let slot = try server(words.first)
        let rest = words.dropFirst()
        let value = rest.dropFirst().first
        switch rest.first {
        case "state":
            guard let state = value.flatMap({ Server.Administrative(rawValue: $0) }) else {
                throw Refusal("'set server <srv> state' expects 'ready', 'drain' or 'maint'.")
            }
            effects = engine.setState(slot, state, now: now)
        case "weight": return try setWeight(slot, value)
        case "health":
            guard value == "up" || value == "down" else {
                throw Refusal("'set server <srv> health' expects 'up' or 'down'.")
            }
            effects = engine.setHealth(slot, isUp: value == "up", now: now)
        default: throw Refusal("usage: set server <backend>/<server> state | weight | health <value>")
        }
        return ""
    }

    private mutating func setState(_ name: String?, _ state: Server.Administrative) throws(Refusal) -> String {
        let slot = try server(name)
        effects = engine.setState(slot, state, now: now)
        return ""
    }

    private mutating func setChecked(_ name: String?, _ isChecked: Bool) throws(Refusal) -> String {
        let slot = try server(name)
        guard engine.configuration.healthCheck.kind != .off else {
            throw Refusal("Health checks are not enabled on this server.")
        }
        effects = engine.setChecked(slot, isChecked, now: now)
        return ""
    }

    /// `5`, or `50%` of what the server began with.
    private mutating func setWeight(_ slot: Int, _ text: String?) throws(Refusal) -> String {
        guard let text, !text.isEmpty else { throw Refusal("Require <weight> or <weight%>.") }
        let isPercent = text.hasSuffix("%")
        guard let number = Int32(isPercent ? String(text.dropLast()) : text).map({ Int($0) }) else {
            throw Refusal("'\(printable(text))' is no weight: a whole number, or one with a % after it.")
        }
        if isPercent {
            guard number >= 0 else { throw Refusal("Relative weight must be positive.") }
            effects = engine.setWeight(slot, min(256, engine.servers[slot].initialWeight * number / 100), now: now)
        } else {
            guard (0...256).contains(number) else {
                throw Refusal("Absolute weight can only be between 0 and 256 inclusive.")
            }
            effects = engine.setWeight(slot, number, now: now)
        }
        return ""
    }

    // MARK: Servers that come and go

    private mutating func addServer(_ words: ArraySlice<String>) throws(Refusal) -> String {
        let name = try split(words.first)
        var rest = words.dropFirst()
        guard let address = rest.popFirst() else {
            throw Refusal("'server' expects <name> and <addr>:<port> as arguments.")
        }
        guard name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.:".contains($0)) }) else {
            throw Refusal("A server's name may have letters, digits, and - _ . : in it.")
        }
        guard let destination = HostPort(parsingServer: address), address.contains(":") else {
            throw Refusal("'\(printable(address))' is no address with a port, such as 127.0.0.1:8081.")
        }
        var backend = LoadBalancerConfiguration.Backend(name: name, destination: destination)
        backend.state = .maintenance
        while let word = rest.popFirst() {
            switch word {
            case "weight": backend.weight = try number(rest.popFirst(), of: word, 0...256)
            case "maxconn":
                let limit = try number(rest.popFirst(), of: word, 0...Int(Int32.max))
                backend.maxConnections = limit == 0 ? nil : limit
            case "backup": backend.isBackup = true
            case "send-proxy": backend.sendProxy = .v1
            case "send-proxy-v2": backend.sendProxy = .v2
            // True anyway: the file says whether servers are checked, and all begin disabled.
            case "check", "disabled": break
            case "enabled": backend.state = .ready
            default: throw Refusal("unknown keyword '\(printable(word))'.")
            }
        }
        guard engine.present.count < LoadBalancerConfiguration.backendLimit else {
            throw Refusal("There are \(LoadBalancerConfiguration.backendLimit) servers already.")
        }
        guard let effects = engine.addServer(backend, now: now) else {
            throw Refusal("Already exists a server with the same name in backend.")
        }
        self.effects = effects
        return "New server registered.\n"
    }

    private func number(_ text: String?, of word: String, _ range: ClosedRange<Int>) throws(Refusal) -> Int {
        guard let number = text.flatMap({ Int($0) }), range.contains(number) else {
            throw Refusal("'\(word)' expects a whole number of \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    private mutating func deleteServer(_ name: String?) throws(Refusal) -> String {
        let slot = try server(name)
        guard engine.servers[slot].administrative == .maintenance else {
            throw Refusal("Only servers in maintenance mode can be deleted.")
        }
        guard engine.servers[slot].active == 0, engine.servers[slot].waiting == 0 else {
            throw Refusal("Server still has connections attached to it, cannot remove it.")
        }
        effects = engine.removeServer(slot, now: now)
        return "Server deleted.\n"
    }
}

/// What somebody typed, fit to be shown in an answer of one line.
func printable(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars.prefix(80) {
        shown.unicodeScalars.append(scalar.value < 32 || scalar.value == 127 ? "?" : scalar)
    }
    return shown
}

import KernelStructures

/// Commands that look and change nothing.
extension RuntimeInterpreter {
    static let showEntries: [Entry] = [
        Entry("show info", "[json|typed]", "the balancer as a whole") { run, words in run.information(words) },
        Entry("show stat", "[{<iid>|<proxy>} <type> <sid>] [json|typed] [up|no-maint]", "numbers of all servers") {
            run, words throws(Refusal) in
            try run.statistics(words)
        },
        Entry("show servers state", "[<backend>]", "what is known of each server") { run, words throws(Refusal) in
            try run.checkProxy(words.first)
            return run.serverStates
        },
        Entry("show servers conn", "[<backend>]", "connections to each server") { run, words throws(Refusal) in
            try run.checkProxy(words.first)
            return run.serverConnections
        },
        Entry("show backend", "", "the names of the backends") { run, _ in "# name\n\(run.front.name)\n" },
        Entry("show sess", "[<id>]", "the clients' connections") { run, words throws(Refusal) in
            try run.sessions(words.first)
        },
        Entry("show errors", "[<proxy>] [request|response]", "the last messages that were not HTTP") {
            run, words throws(Refusal) in
            try run.errors(words)
        },
        Entry("show table", "[<table>]", "which client's address goes to which server") {
            run, words throws(Refusal) in
            try run.stickTable(words.first)
        },
        Entry("show version", "", "the version") { _, _ in version + "\n" },
    ]

    private func checkProxy(_ name: String?) throws(Refusal) {
        if let name, !isProxy(name), name != String(StatTable.proxyNumber) { throw Refusal("Can't find backend.") }
    }

    // MARK: The whole

    private func information(_ words: ArraySlice<String>) -> String {
        let uptime = Int((now - front.startedAt).seconds)
        func two(_ number: Int) -> String { padded(number, 2) }
        let clock = "\(uptime / 86_400)d \(uptime / 3600 % 24)h\(two(uptime / 60 % 60))m\(two(uptime % 60))s"
        // Clients know by its name whom they talk to (haproxyadmin refuses any other one); the version says the rest.
        // There is no limit to connections but the machine's own, and no pipes: hatop asks for all of them.
        let fields: [(name: String, tags: String, type: String, value: StatTable.Value)] = [
            ("Name", "POS", "str", .text("HAProxy")), ("Version", "POS", "str", .text(Self.version)),
            ("Release_date", "POS", "str", .text(Self.releaseDate)),
            ("Nbthread", "CGS", "u32", .number(1)), ("Nbproc", "CGS", "u32", .number(1)),
            ("Process_num", "KGP", "u32", .number(1)), ("Pid", "SGP", "u32", .number(front.nodeNumber)),
            ("Uptime", "MDP", "str", .text(clock)),
            ("Uptime_sec", "MDP", "u32", .number(uptime)),
            ("Maxconn", "CLP", "u32", .number(0)), ("CurrConns", "MGP", "u32", .number(front.open)),
            ("CumConns", "MCP", "u32", .number(front.connections)),
            ("CumReq", "MCP", "u32", .number(engine.counters.requests)),
            ("Maxpipes", "CLP", "u32", .number(0)), ("PipesUsed", "MGP", "u32", .number(0)),
            ("ConnRate", "MRP", "u32", .number(front.connectionRate)),
            ("MaxConnRate", "MMP", "u32", .number(front.connectionRateMax)),
            ("SessRate", "MRP", "u32", .number(engine.rate.rate(now))),
            ("MaxSessRate", "MMP", "u32", .number(engine.rate.maximum)),
            ("Tasks", "MGP", "u32", .number(front.timers)), ("Run_queue", "MGP", "u32", .number(0)),
            ("node", "COS", "str", .text(front.name)),
            ("Stopping", "MGP", "u32", .number(front.isStopping ? 1 : 0)),
            ("TotalBytesOut", "MCP", "u64", .number(front.bytesOut)),
            ("Start_time_sec", "MGP", "u32", .number(Int(front.startedAt.unixSeconds))),
        ]
        if words.contains("json") {
            let objects = fields.enumerated().map { place, field in
                let column = StatTable.Column(name: field.name, tags: field.tags, type: field.type)
                return "{" + RuntimeText.jsonField(place, column, field.value) + "}"
            }
            return "[" + objects.joined(separator: ",") + "]\n"
        }
        return fields.enumerated().map { place, field in
            words.contains("typed")
                ? "\(place).\(field.name).1:\(field.tags):\(field.type):\(RuntimeText.plain(field.value))\n"
                : "\(field.name): \(RuntimeText.plain(field.value))\n"
        }.joined()
    }

    // MARK: Numbers

    private func statistics(_ words: ArraySlice<String>) throws(Refusal) -> String {
        var table = StatTable(engine, front, now: now)
        var words = words
        if let first = words.first, Int(first) != nil || words.count >= 3 && Int(words[words.startIndex + 1]) != nil {
            guard words.count >= 3, let types = Int(words[words.startIndex + 1]),
                let number = Int(words[words.startIndex + 2])
            else { throw Refusal("A filter has three parts: <iid> <type> <sid>; -1 for any.") }
            let isThis = first == front.name || first == "-1" || first == String(StatTable.proxyNumber)
            // A set of bits: 1 frontends, 2 backends, 4 servers.
            table.rows.removeAll {
                !isThis || types & (1 << $0.kind.rawValue) == 0 || number != -1 && number != $0.number
            }
            words = words.dropFirst(3)
        }
        for word in words where !["json", "typed", "up", "no-maint", "desc"].contains(word) {
            throw Refusal("'\(printable(word))' is unknown here: json, typed, up, no-maint.")
        }
        if words.contains("up") || words.contains("no-maint") {
            table.rows.removeAll { row in
                let status = row.text("status") ?? ""
                return status.hasPrefix("MAINT") || words.contains("up") && status.hasPrefix("DOWN")
            }
        }
        return words.contains("json") ? table.json : words.contains("typed") ? table.typed : table.csv
    }

    // MARK: Servers

    private var serverStates: String {
        var text = """
            1
            # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
            srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
            srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port \
            srv_check_addr srv_agent_addr srv_agent_port

            """
        for (_, server) in engine.present {
            let isAddress = IPAddress(parsing: server.destination.host) != nil
            let fields: [String] = [
                "\(StatTable.proxyNumber)", front.name, "\(server.serial)", server.name,
                isAddress ? server.destination.host : "-", "\(operationalState(server))",
                "\(administrativeState(server))", "\(server.weight)", "\(server.initialWeight)",
                "\(Int((now - server.lastChange).seconds))", "\(checkStatus(server))", "\(checkResult(server))",
                "\(server.checkHealth)", "\(checkState(server))", "0", "0", "0",
                isAddress ? "-" : server.destination.host, "\(server.destination.port)", "-", "0", "0", "-", "-", "0",
            ]
            text += fields.joined(separator: " ") + "\n"
        }
        return text
    }

    /// 0 stopped, 1 starting slowly, 2 running.
    private func operationalState(_ server: Server) -> Int {
        if server.administrative == .maintenance || !server.health.isUp || server.outlier.isEjected
            || server.presence == .leaving
        {
            return 0
        }
        return server.rampPercent < 100 ? 1 : 2
    }

    /// Bits: 1 maintenance by the operator, 4 maintenance by the file, 8 drain.
    private func administrativeState(_ server: Server) -> Int {
        switch server.administrative {
        case .ready: 0
        case .drain: 8
        case .maintenance: server.settings.state == .maintenance ? 4 : 1
        }
    }

    /// HAProxy's numbers for the words in the column `check_status`.
    private func checkStatus(_ server: Server) -> Int {
        let numbers = [
            "INI": 1, "L4OK": 6, "L4TOUT": 7, "L4CON": 8, "L7TOUT": 13, "L7RSP": 14, "L7OK": 15, "L7STS": 17,
        ]
        guard engine.configuration.healthCheck.kind != .off else { return 1 }
        return numbers[CheckResult(server.lastProbe, isHTTP: engine.checksHTTP).status] ?? 0
    }

    private func checkResult(_ server: Server) -> Int {
        switch server.lastProbe {
        case nil: 0
        case .failed: 2
        case .passed: 3
        }
    }

    /// Bits: 1 under way, 2 configured, 4 enabled, 8 paused by maintenance.
    private func checkState(_ server: Server) -> Int {
        guard engine.configuration.healthCheck.kind != .off else { return 0 }
        return (server.probeNumber == nil ? 0 : 1) + 2 + (server.isCheckPaused ? 0 : 4)
            + (server.administrative == .maintenance ? 8 : 0)
    }

    private var serverConnections: String {
        var text = "# bkname/svname bkid/svid addr port - used_cur used_max idle_lim idle_cur\n"
        for (slot, server) in engine.present {
            let idle = front.idle.indices.contains(slot) ? front.idle[slot] : 0
            text += "\(front.name)/\(server.name) \(StatTable.proxyNumber)/\(server.serial) \(server.destination.host) "
            text += "\(server.destination.port) - \(server.active) \(server.activeMax) "
            text += "\(LoadBalancer.idleLimit) \(idle)\n"
        }
        return text
    }

    /// The table of `sticky: {by: source}`, in HAProxy's form: `exp` is in milliseconds.
    private func stickTable(_ name: String?) throws(Refusal) -> String {
        guard let table = engine.stickTable else {
            guard name == nil else { throw Refusal("No such table.") }
            return ""
        }
        if let name, !isProxy(name) { throw Refusal("No such table.") }
        let head = "# table: \(front.name), type: ip, size:\(table.size), used:\(table.used(now).count)\n"
        guard name != nil else { return head }
        return head
            + table.used(now).map { entry in
                "0x\(hexadecimal(entry.address.ipv4.map { UInt64($0.bits) } ?? entry.address.low)): key=\(entry.address) use=0 "
                    + "exp=\((entry.expires - now).nanoseconds / 1_000_000) server_id=\(entry.serial) "
                    + "server_key=\(engine.servers.first { $0.serial == entry.serial }?.name ?? "-")\n"
            }.joined()
    }

    // MARK: Connections and faults

    private func sessions(_ id: String?) throws(Refusal) -> String {
        var chosen = front.sessions
        if let id, id != "all" {
            chosen.removeAll { $0.number != Self.sessionNumber(id) }
            if chosen.isEmpty { throw Refusal("No such session (use 'show sess').") }
        }
        return chosen.map { session in
            let server = session.server.map { engine.servers[$0].name } ?? "<none>"
            let family = session.source.address.isIPv4 ? "tcpv4" : "tcpv6"
            return "0x\(hexadecimal(session.number)): proto=\(family) src=\(session.source) fe=\(front.name) "
                + "be=\(front.name) srv=\(server) age=\(Int((now - session.began).seconds))s state=\(session.phase) "
                + "req=\(session.requests) in=\(session.bytesIn) out=\(session.bytesOut)\n"
        }.joined()
    }

    private func errors(_ words: ArraySlice<String>) throws(Refusal) -> String {
        var words = words
        if let name = words.first, name != "request", name != "response" {
            guard isProxy(name) || name == "-1" || name == String(StatTable.proxyNumber) else {
                throw Refusal("No such proxy.")
            }
            words = words.dropFirst()
        }
        let messages = [("request", front.badRequest), ("response", front.badResponse)]
            .filter { words.first == nil || words.first == $0.0 }
        let found = messages.compactMap { kind, message in message.map { (kind, $0) } }.sorted {
            $0.1.number < $1.1.number
        }
        let count = found.map { $0.1.number + 1 }.max() ?? 0
        return "Total events captured on [\(Self.date(now))] : \(count)\n" + found.map(Self.describe).joined()
    }

    private static func date(_ time: LabTime) -> String {
        let civil = CivilTime(time)
        return "\(padded(civil.year, 4))-\(padded(civil.month, 2))-\(padded(civil.day, 2)) "
            + "\(padded(civil.hour, 2)):\(padded(civil.minute, 2)):\(padded(civil.second, 2))."
            + padded(civil.nanosecond / 1_000_000, 3)
    }

    private static func describe(_ kind: String, _ message: FrontSide.BadMessage) -> String {
        let server = message.server.map { " of server \($0)" } ?? ""
        var text = "[\(date(message.time))] #\(message.number) bad \(kind)\(server), src \(message.source): "
        text += "\(message.reason)\n  \(message.bytes.count) bytes of it:\n"
        var offset = 0
        // One line of it a line, as far as it has any, and never more than 64 bytes.
        while offset < message.bytes.count {
            let rest = message.bytes[offset...].prefix(64)
            let line = rest.firstIndex(of: 10).map { rest[...$0] } ?? rest
            text += "  \(padded(offset, 5))  \(escaped(line))\n"
            offset += line.count
        }
        return text
    }

    private static func escaped(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { byte in
            switch byte {
            case 10: "\\n"
            case 13: "\\r"
            case 9: "\\t"
            case 92: "\\\\"
            case 32...126: String(UnicodeScalar(byte))
            default: "\\x" + hexadecimal(UInt64(byte), 2)
            }
        }.joined()
    }
}

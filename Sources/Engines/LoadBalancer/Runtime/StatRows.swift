import KernelStructures

/// Where each number of the table comes from. What the balancer does not keep is not set, and stays empty.
extension StatTable {
    init(_ engine: LoadBalancer, _ front: FrontSide, now: LabTime) {
        let servers = engine.present.map { slot, server in
            Self.server(server, engine, idle: front.idle.indices.contains(slot) ? front.idle[slot] : nil, now: now)
        }
        rows = [Self.frontend(engine, front, now: now)]
        rows += servers.map { row in
            var row = row
            row.set("pxname", front.name)
            return row
        }
        rows.append(Self.backend(engine, front, servers, now: now))
    }

    private static func begin(_ kind: Kind, _ name: String, number: Int, _ engine: LoadBalancer) -> Row {
        var row = Row(kind, number: number)
        row.set("svname", name)
        row.set("pid", 1)
        row.set("iid", proxyNumber)
        row.set("sid", number)
        row.set("type", kind.rawValue)
        row.set("mode", engine.configuration.mode.rawValue)
        return row
    }

    private static func setAnswers(_ answers: SIMD8<Int>, _ row: inout Row, _ engine: LoadBalancer) {
        guard engine.configuration.mode == .http else { return }
        for digit in 1...5 { row.set("hrsp_\(digit)xx", answers[digit]) }
        row.set("hrsp_other", 0)
    }

    private static func frontend(_ engine: LoadBalancer, _ front: FrontSide, now: LabTime) -> Row {
        var row = begin(.frontend, "FRONTEND", number: 0, engine)
        row.set("pxname", front.name)
        row.set("status", front.isStopping ? FrontSide.State.stopped.rawValue : front.state.rawValue)
        row.set("slim", front.connectionLimit)
        row.set("scur", front.open)
        row.set("smax", front.openMax)
        row.set("stot", front.connections)
        row.set("bin", front.bytesIn)
        row.set("bout", front.bytesOut)
        row.set("rate", front.connectionRate)
        row.set("rate_max", front.connectionRateMax)
        row.set("conn_rate", front.connectionRate)
        row.set("conn_rate_max", front.connectionRateMax)
        row.set("conn_tot", front.connections)
        setAnswers(front.answers, &row, engine)
        if engine.configuration.mode == .http {
            row.set("ereq", front.rejections.wrappedSum())
            row.set("req_rate", engine.rate.rate(now))
            row.set("req_rate_max", engine.rate.maximum)
            row.set("req_tot", engine.counters.requests + front.rejections.wrappedSum())
        }
        return row
    }

    private static func setTraffic(_ traffic: Traffic, _ row: inout Row) {
        row.set("bin", traffic.bytesIn)
        row.set("bout", traffic.bytesOut)
        row.set("econ", traffic.connectionErrors)
        row.set("eresp", traffic.responseErrors)
        row.set("cli_abrt", traffic.clientAborts)
        row.set("srv_abrt", traffic.serverAborts)
        row.set("connect", traffic.connects)
        row.set("reuse", traffic.reuses)
    }

    /// In HTTP mode the engine is told how long a request took; in TCP mode, how long the connection took to be made.
    private static func setTimes(
        _ average: SlidingAverage, _ maximum: LabDuration, _ row: inout Row, _ engine: LoadBalancer
    ) {
        let name = engine.configuration.mode == .http ? "ttime" : "ctime"
        row.set(name, Int(average.value.rounded()))
        row.set(name + "_max", Int(maximum.milliseconds))
    }

    /// A weight in hundredths as HAProxy shows it: rounded up, since a server that starts slowly has a share, if a
    /// small one (its `slowstart` grows from 1, and its statistics round up).
    private static func shownWeight(_ hundredths: Int) -> Int { (hundredths + 99) / 100 }

    private static func age(_ time: LabTime, _ now: LabTime) -> Int { Int((now - time).seconds) }

    private static func server(_ server: Server, _ engine: LoadBalancer, idle: Int?, now: LabTime) -> Row {
        var row = begin(.server, server.name, number: server.serial, engine)
        let counters = server.counters
        row.set("qcur", server.waiting)
        row.set("qmax", server.waitingMax)
        row.set("scur", server.active)
        row.set("smax", server.activeMax)
        row.set("slim", server.settings.maxConnections)
        row.set("stot", counters.requests)
        setTraffic(counters.traffic, &row)
        row.set("wretr", counters.retries)
        row.set("wredis", counters.switchedAway)
        row.set("status", server.status(isChecked: engine.checks(server)))
        row.set("weight", Self.shownWeight(server.weight * server.rampPercent))
        row.set("uweight", server.weight)
        row.set("act", server.settings.isBackup ? 0 : 1)
        row.set("bck", server.settings.isBackup ? 1 : 0)
        row.set("lastchg", age(server.lastChange, now))
        if server.rampPercent < 100 { row.set("throttle", server.rampPercent) }
        row.set("lbtot", counters.balanced)
        row.set("rate", server.rate.rate(now))
        row.set("rate_max", server.rate.maximum)
        setAnswers(counters.answers, &row, engine)
        if engine.configuration.mode == .http { row.set("req_tot", counters.requests) }
        row.set("lastsess", server.lastChosen.map { age($0, now) } ?? -1)
        setTimes(counters.latencyAverage, counters.latencyMax, &row, engine)
        row.set("addr", server.destination.description)
        if case .cookie = engine.configuration.sticky?.mark { row.set("cookie", server.name) }
        if engine.configuration.mode == .http {
            row.set("srv_icur", idle)
            row.set("src_ilim", LoadBalancer.idleLimit)
        }
        row.set("used_conn_cur", server.active)
        if engine.checks(server) || engine.configuration.healthCheck.kind != .off {
            setCheck(server, engine, &row, now)
        }
        return row
    }

    private static func setCheck(_ server: Server, _ engine: LoadBalancer, _ row: inout Row, _ now: LabTime) {
        let isStopped = server.state == "down" || server.state == "maint"
        let downtime = server.downtime + (isStopped ? now - server.lastChange : .zero)
        row.set("downtime", Int(downtime.seconds))
        row.set("chkfail", server.counters.checksFailed)
        row.set("chkdown", server.counters.timesDown)
        row.set("check_rise", server.health.healthyAfter)
        row.set("check_fall", server.health.unhealthyAfter)
        row.set("check_health", server.checkHealth)
        let result = CheckResult(server.lastProbe, isHTTP: engine.checksHTTP)
        row.set("check_status", (server.probeNumber == nil ? "" : "* ") + result.status)
        row.set("check_code", result.code)
        row.set("check_duration", server.lastProbeTook.map { Int($0.milliseconds) })
        row.set("check_desc", result.meaning)
        row.set("last_chk", result.reason)
    }

    private static func backend(_ engine: LoadBalancer, _ front: FrontSide, _ servers: [Row], now: LabTime) -> Row {
        var row = begin(.backend, "BACKEND", number: 0, engine)
        let counters = engine.counters
        let inPool = engine.present.map(\.server).filter(\.isInPool)
        row.set("pxname", front.name)
        // Those that wait for one server and no other are in that server's row.
        row.set("qcur", engine.waitingCount - engine.present.reduce(0) { $0 + $1.server.waiting })
        row.set("qmax", counters.queuedMax)
        row.set("scur", engine.active)
        row.set("smax", counters.activeMax)
        row.set("stot", counters.requests)
        setTraffic(counters.traffic, &row)
        row.set("wretr", counters.retries)
        row.set("wredis", counters.redispatches)
        row.set("status", engine.isServing ? "UP" : "DOWN")
        let active = inPool.filter { !$0.settings.isBackup }
        let used = active.isEmpty ? inPool : active
        row.set("weight", Self.shownWeight(used.reduce(0) { $0 + $1.weight * $1.rampPercent }))
        row.set("uweight", used.reduce(0) { $0 + $1.weight })
        row.set("act", active.count)
        row.set("bck", inPool.count - active.count)
        row.set("chkdown", counters.timesDown)
        row.set("lbtot", counters.balanced)
        row.set("rate", engine.rate.rate(now))
        row.set("rate_max", engine.rate.maximum)
        setAnswers(front.answers &- front.rejections, &row, engine)
        if engine.configuration.mode == .http { row.set("req_tot", counters.requests) }
        row.set("lastsess", engine.lastChosen.map { age($0, now) } ?? -1)
        setTimes(counters.latencyAverage, counters.latencyMax, &row, engine)
        row.set("algo", engine.configuration.algorithmInHAProxyWords)
        if case .cookie(let name) = engine.configuration.sticky?.mark { row.set("cookie", name) }
        row.set("agg_server_status", servers.count)
        return row
    }
}

extension LoadBalancerConfiguration {
    /// What follows `balance` in HAProxy's file. Both hashing algorithms are named for what they hash there.
    var algorithmInHAProxyWords: String {
        switch (algorithm, hashKey) {
        case (.roundRobin, _): "roundrobin"
        case (.leastConnections, _): "leastconn"
        case (.random, _): "random"
        case (.hash, .source), (.maglev, .source): "source"
        case (.hash, .uri), (.maglev, .uri): "uri"
        case (.hash, .header), (.maglev, .header): "hdr"
        }
    }
}

extension LoadBalancer {
    /// Whether a server is checked, as far as the operator and the file say so.
    func checks(_ server: Server) -> Bool { configuration.healthCheck.kind != .off && !server.isCheckPaused }

    var checksHTTP: Bool { (configuration.healthCheck.kind ?? (configuration.mode == .tcp ? .tcp : .http)) == .http }
}

extension Server {
    /// HAProxy's one number for a check's row of results: below `rise` the server is down, from there on up.
    var checkHealth: Int {
        health.isUp ? health.healthyAfter + health.unhealthyAfter - 1 - health.streak : health.streak
    }

    /// In HAProxy's words. `UP 2/3` has begun to fail, `DOWN 1/2` to recover.
    func status(isChecked: Bool) -> String {
        if presence == .leaving { return "MAINT (leaving)" }
        if administrative == .maintenance { return "MAINT" }
        if !health.isUp {
            return health.streak > 0 ? "DOWN \(health.streak)/\(health.healthyAfter)" : "DOWN"
        }
        if outlier.isEjected { return "DOWN (ejected)" }
        if administrative == .drain || weight == 0 { return "DRAIN" }
        guard isChecked else { return "no check" }
        return health.streak > 0 ? "UP \(health.unhealthyAfter - health.streak)/\(health.unhealthyAfter)" : "UP"
    }
}

/// What came of the last check, in HAProxy's words.
struct CheckResult {
    let status: String
    var code: Int?
    var meaning = ""
    var reason = ""

    init(_ result: LoadBalancer.ProbeResult?, isHTTP: Bool) {
        switch result {
        case nil: (status, meaning) = ("INI", "not checked yet")
        case .passed: (status, meaning) = isHTTP ? ("L7OK", "the answer was good") : ("L4OK", "it accepts connections")
        case .failed(let reason):
            self.reason = reason
            if reason == "timeout" {
                (status, meaning) = isHTTP ? ("L7TOUT", "no answer in time") : ("L4TOUT", "no connection in time")
            } else if reason == "connection refused" || reason == "not reachable" || !isHTTP {
                (status, meaning) = ("L4CON", "no connection")
            } else if reason.hasPrefix("status "), let code = Int(reason.dropFirst("status ".count)) {
                (status, meaning) = ("L7STS", "the status was not a good one")
                self.code = code
            } else {
                (status, meaning) = ("L7RSP", "the answer was not a good one")
            }
        }
    }
}

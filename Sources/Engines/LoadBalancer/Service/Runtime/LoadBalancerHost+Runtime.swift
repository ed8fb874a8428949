import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import LoadBalancerEngine

/// The runtime API's view of a balancer that runs, and what it asks for beyond the engine.
extension LoadBalancerHost {
    /// Carries out one command, given as its words.
    public func runtime(_ words: [String]) -> RuntimeInterpreter.Answer {
        var answer = RuntimeInterpreter.Answer()
        let front = frontSide(withSessions: RuntimeInterpreter.needsSessions(words))
        operate { engine, now in
            answer = RuntimeInterpreter.run(words, &engine, front, now: now)
            return answer.effects
        }
        switch answer.request {
        case .endSession(let number): endSessions { $0 == number }
        case .endSessions(let server):
            let numbers = Set(front.sessions.filter { $0.server == server }.map(\.number))
            endSessions { numbers.contains($0) }
        case .clearCounters(let all): clearCounters(all: all)
        case .limitConnections(let limit): runtime.connectionLimit = limit
        case .setFrontend(let state):
            do { try setFrontend(state) } catch {
                answer.isRefusal = true
                answer.text = "Failed to resume frontend: \(error).\n"
            }
        case .togglePrompt, .quit, .setTimeout, nil: break
        }
        return answer
    }

    private func setFrontend(_ state: FrontSide.State) throws {
        switch state {
        case .open: try runtime.reopenPorts()
        case .paused, .stopped: runtime.closePorts()
        }
        frontState = state
        let words: LogMessage =
            switch state {
            case .open: "Frontend enabled"
            case .paused: "Frontend disabled: clients are refused, what is open goes on"
            case .stopped: "Frontend shut down"
            }
        runtime.log(words)
    }

    private var tally: ConnectionTally? { httpProxy?.server.tally ?? tcpProxy?.server.tally }

    private var clientStreams: [Stream] {
        httpProxy?.server.openConnections.map(\.stream) ?? tcpProxy?.server.openStreams ?? []
    }

    func frontSide(withSessions: Bool) -> FrontSide {
        var front = FrontSide(name: node.name, port: port, startedAt: node.startedAt)
        front.nodeNumber = node.number
        front.timers = node.world.timerCount
        front.isStopping = runtime.isDraining
        front.state = frontState
        front.connectionLimit = runtime.connectionLimit
        front.badRequest = badMessages.request
        front.badResponse = badMessages.response
        if let tally {
            let streams = clientStreams
            front.open = streams.count
            front.openMax = tally.openMax
            front.connections = tally.connections
            front.connectionRate = tally.rate.rate(node.world.now)
            front.connectionRateMax = tally.rate.maximum
            front.answers = tally.answers
            front.rejections = tally.rejections
            front.bytesIn = streams.reduce(tally.bytesReceived) { $0 + $1.bytesReceived }
            front.bytesOut = streams.reduce(tally.bytesSent) { $0 + $1.bytesSent }
        }
        front.idle = httpProxy?.servers.map(\.idleCount) ?? []
        if withSessions { front.sessions = sessions }
        return front
    }

    private var sessions: [FrontSide.Session] {
        if let httpProxy { return httpProxy.server.openConnections.map(Self.session) }
        return (tcpProxy?.sessions.values.sorted { $0.number < $1.number } ?? []).map { session in
            .init(
                number: session.number, source: session.client.remote, began: session.openedAt, server: session.server,
                phase: session.relay != nil ? "relaying" : session.server == nil ? "waiting" : "connecting",
                requests: 1, bytesIn: session.client.bytesReceived, bytesOut: session.client.bytesSent)
        }
    }

    private static func session(_ connection: HTTPServerConnection) -> FrontSide.Session {
        let exchange = connection.context as? BalancedExchange
        let hasServer = exchange.map { $0.phase != .idle && $0.phase != .waiting } ?? false
        return .init(
            number: connection.stream.number, source: connection.stream.remote, began: connection.openedAt,
            server: hasServer ? exchange?.slot : nil, phase: exchange.map { "\($0.phase)" } ?? "idle",
            requests: connection.requestCount, bytesIn: connection.stream.bytesReceived,
            bytesOut: connection.stream.bytesSent)
    }

    private func endSessions(_ isChosen: (UInt64) -> Bool) {
        for connection in httpProxy?.server.openConnections ?? [] where isChosen(connection.stream.number) {
            (connection.context as? BalancedExchange)?.isKilled = true
            connection.abort()
        }
        for session in tcpProxy?.sessions.values.sorted(by: { $0.number < $1.number }) ?? []
        where isChosen(session.number) {
            session.kill()
        }
    }

    private func clearCounters(all: Bool) {
        if all { tally?.clear(open: clientStreams) } else { tally?.forgetMaxima(open: clientStreams.count) }
    }
}

extension UpstreamAttempt {
    /// What it has carried, and how it failed, if it did.
    var traffic: Traffic {
        var traffic = Traffic()
        traffic.bytesIn = bytesSent
        traffic.bytesOut = bytesReceived
        if isReused { traffic.reuses = 1 } else { traffic.connects = 1 }
        switch outcome {
        case .failed where phase == .connecting: traffic.connectionErrors = 1
        case .failed:
            traffic.responseErrors = 1
            if phase == .responding { traffic.serverAborts = 1 }
        case .abandoned: traffic.clientAborts = 1
        case .answered, .stale: break
        }
        return traffic
    }
}

extension BalancedExchange {
    func noteBadResponse(_ error: HTTPError) {
        let server = host.engine.servers[slot]
        host.badMessages.noteResponse(
            from: server.name, at: server.destination.description, error.text, upstream?.rejectedBytes ?? [],
            now: host.node.world.now)
    }
}

extension TCPSession {
    func traffic(_ outcome: LoadBalancer.Outcome) -> Traffic {
        var traffic = Traffic()
        traffic.bytesIn = relay?.bytesFromLeft ?? 0
        traffic.bytesOut = relay?.bytesFromRight ?? 0
        traffic.connects = 1
        switch outcome {
        case .failed where relay == nil: traffic.connectionErrors = 1
        case .failed: traffic.responseErrors = 1
        case .abandoned: traffic.clientAborts = 1
        case .answered, .stale: break
        }
        return traffic
    }
}

extension HTTPProxy {
    func requestRejected(_ connection: HTTPServerConnection, _ error: HTTPError) {
        // One that an exchange was busy with has its line already.
        if connection.context == nil { logRejection(connection, error) }
        host.badMessages.noteRequest(
            from: connection.stream.remote, error.text, connection.rejectedBytes, now: host.node.world.now)
    }
}

import ConnectionPoolService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine

/// From the client to its server.
extension PoolerClient {
    /// Bytes of a statement that are kept, to say what somebody is doing.
    private static let shownBytes = 120

    func relay(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        var corked: Stream?
        defer { corked?.uncork() }
        pool?.state.meter.totals.bytesReceived += bytes.count
        while phase == .ready {
            switch frames.next(bytes, &position) {
            case .needMore: return holdBackIfCongested()
            case .failed: return fail(.protocolViolation, "invalid message length")
            case .part(let part):
                server?.sendMore(part)
                if !frames.isPassing {
                    corked?.uncork()
                    corked = nil
                    releaseIfReady()
                }
            case .message(let letter, let message, let isWhole):
                if letter == UInt8(ascii: "X") {
                    host.log("log_disconnections", "\(place) left")
                    return end()
                }
                if self.server == nil, !Conversation.asks(letter) { continue }
                guard let server = server ?? borrow(), !hasToWait(for: server) else {
                    if isWaiting { noteWish(letter, message) }
                    // All of this is said again once there is a server that takes it.
                    frames.reset()
                    hold(message)
                    hold(UnsafeRawBufferPointer(rebasing: bytes[position...]))
                    pool?.state.meter.totals.bytesReceived -= pending.count
                    return
                }
                if corked == nil {
                    corked = server.session.stream
                    corked?.cork()
                }
                take(letter, message, isWhole: isWhole, server)
            }
        }
    }

    /// Whether the server cannot take more yet: it has too much to answer, or does not have the client's settings.
    private func hasToWait(for server: PoolerServer) -> Bool {
        if !isHeldBack, server.conversation.owedCount > Conversation.limit {
            isHeldBack = true
            server.flush()
        }
        return isHeldBack
    }

    func holdBackIfCongested() {
        guard let server, server.session.stream.isCongested else { return }
        stream.pauseReading()
        // The session's handler is told when there is room; looking again is simpler than sharing it.
        host.node.after(.milliseconds(1)) { [weak self] in
            guard let self, phase == .ready, !isWaiting, !isHeldBack else { return }
            let isStillItsServer = self.server === server
            if isStillItsServer, server.session.stream.isCongested {
                holdBackIfCongested()
            } else {
                stream.resumeReading()
            }
        }
    }

    /// Asks the pool for a server. Nil: there is none yet, or never will be.
    private func borrow() -> PoolerServer? {
        guard let pool = host.pool(of: self) else { return nil }
        if pool.isFailing {
            fail(.protocolViolation, "server login has been failing, try again later (server_login_retry)")
            pool.lookOut()
            return nil
        }
        requestedAt = host.node.world.now
        let turn = pool.nodePool.borrow(by: place) { [unowned self] result in
            let waited = ticket != nil
            ticket = nil
            switch result {
            case .success(let loan):
                lent(loan)
                if waited { goOn() }
            case .failure(.closed): host.node.enqueue { [weak self] in self?.goOn() }
            case .failure(.timedOut): fail(.protocolViolation, "query_wait_timeout")
            case .failure(let failure): fail(.tooManyConnections, failure.description)
            }
        }
        // The answer may have been given while the place in the line was.
        if server == nil, phase == .ready { ticket = turn }
        return server
    }

    private func take(_ letter: UInt8, _ message: UnsafeRawBufferPointer, isWhole: Bool, _ server: PoolerServer) {
        if !isQueryUnderWay {
            isQueryUnderWay = true
            requestedAt = host.node.world.now
        }
        switch letter {
        case UInt8(ascii: "Q"):
            note(message[5...])
            server.send(letter, message)
        case UInt8(ascii: "P"), UInt8(ascii: "B"), UInt8(ascii: "D"), UInt8(ascii: "C"):
            if host.renamesStatements, server.pool.mode != .session {
                rename(letter, message, isWhole: isWhole, server)
            } else {
                if letter == UInt8(ascii: "P"), let content = StatementNames.parse(message)?.content {
                    note(content[...])
                }
                server.send(letter, message)
            }
        default: server.send(letter, message)
        }
    }

    private func note(_ text: Slice<UnsafeRawBufferPointer>) {
        statement.removeAll(keepingCapacity: true)
        statement.append(contentsOf: text.prefix(Self.shownBytes).prefix { $0 != 0 })
    }

    /// What it waits to ask: without that, its last statement would be taken for it.
    private func noteWish(_ letter: UInt8, _ message: UnsafeRawBufferPointer) {
        statement.removeAll(keepingCapacity: true)
        switch letter {
        case UInt8(ascii: "Q"): note(message[5...])
        case UInt8(ascii: "P"):
            if let content = StatementNames.parse(message)?.content { note(content[...]) }
        case UInt8(ascii: "B"):
            guard let range = StatementNames.bindName(message), let number = number(message[range]) else { return }
            if let query = host.catalogue[number]?.content { note(query.prefix(Self.shownBytes)) }
        default: break
        }
    }

    // MARK: Prepared statements

    private func rename(_ letter: UInt8, _ message: UnsafeRawBufferPointer, isWhole: Bool, _ server: PoolerServer) {
        switch letter {
        case UInt8(ascii: "P"):
            guard let (name, content) = StatementNames.parse(message) else { break }
            note(content[...])
            if name.isEmpty { break }
            guard isWhole else {
                let size = byteCountText(message.count)
                return fail(.programLimitExceeded, "a prepared statement of \(size) or more is too long")
            }
            return prepare(name, content, message, server)
        case UInt8(ascii: "B"):
            guard let range = StatementNames.bindName(message), let number = number(message[range]) else { break }
            if let query = host.catalogue[number]?.content { note(query.prefix(Self.shownBytes)) }
            server.prepare(number)
            return pass(letter, message, range, number, server)
        case UInt8(ascii: "D"):
            guard let range = StatementNames.targetName(message), let number = number(message[range]) else { break }
            server.prepare(number)
            return pass(letter, message, range, number, server)
        default:
            guard let range = StatementNames.targetName(message), !range.isEmpty else { break }
            forget(Array(message[range]))
            return server.withhold(letter)
        }
        server.send(letter, message)
    }

    private func note(_ text: ArraySlice<UInt8>) {
        statement.removeAll(keepingCapacity: true)
        statement.append(contentsOf: text.prefix { $0 != 0 })
    }

    private func number(_ name: Slice<UnsafeRawBufferPointer>) -> Int? {
        name.isEmpty ? nil : statements[Array(name)]
    }

    private func pass(
        _ letter: UInt8, _ message: UnsafeRawBufferPointer, _ range: Range<Int>, _ number: Int, _ server: PoolerServer
    ) {
        let renamed = StatementNames.replacing(range, in: message, by: StatementCatalogue.name(number))
        renamed.withUnsafeBytes { server.send(letter, $0) }
    }

    private func prepare(
        _ name: [UInt8], _ content: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer, _ server: PoolerServer
    ) {
        if let known = statements[name] {
            // The server is to say what it says to a name that is taken.
            server.prepare(known)
            let range = 5..<5 + name.count
            return pass(UInt8(ascii: "P"), message, range, known, server)
        }
        guard let number = use(name, content) else {
            return fail(.configurationLimitExceeded, "more than \(ClientStatements.limit) prepared statements")
        }
        server.parse(number)
    }
}

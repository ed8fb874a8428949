import KernelStructures
import KernelWire
import KernelWorld

/// The way back: from the server's answer to the client's.
extension UpstreamExchange: HTTPClientDelegate {
    public final func clientOpened(_ connection: HTTPClientConnection) {
        if phase == .connecting { sendHead() }
    }

    /// The server has taken what was held for it.
    public final func clientDrained(_ connection: HTTPClientConnection) { client?.resumeBody() }

    public final func clientWillProcess(_ connection: HTTPClientConnection) {
        corked = client.stream
        corked?.cork()
    }

    /// By now the exchange may have another client.
    public final func clientDidProcess(_ connection: HTTPClientConnection) {
        sendPendingHead()
        let stream = corked
        corked = nil
        stream?.uncork()
    }

    public final func clientReceivedHead(_ connection: HTTPClientConnection) {
        let status = connection.head.status
        setDeadline(timeouts.response)
        if status == 101 { return switchProtocols(connection) }
        if status < 200 { return passInterim(connection) }
        if status >= 500, mayRepeat, wantsAnother(insteadOf: status) {
            connection.abort()
            end(.answered(status))
            return settle(.status(status), mayRepeat: true)
        }
        phase = .responding
        body.giveUp()
        answerBegan()
        var head = pool.takeScratch()
        ForwardedHead.append(response: connection.head, of: self, to: &head)
        decorate(response: &head)
        // What came with it may turn out to be no body: while nothing has left, there is still a 502 to tell of it.
        pendingHead = head
    }

    /// Sends the head that waited for what is behind it.
    final func sendPendingHead() {
        guard var head = pendingHead, let upstream else { return }
        pendingHead = nil
        client.beginRawResponse(&head, status: upstream.head.status, framing: upstream.head.body)
        pool.giveScratch(head)
    }

    final func dropPendingHead() {
        if let head = pendingHead { pool.giveScratch(head) }
        pendingHead = nil
    }

    public final func client(_ connection: HTTPClientConnection, received piece: UnsafeRawBufferPointer) {
        setDeadline(timeouts.response)
        sendPendingHead()
        client.writeBody(piece)
        if client.isCongested { connection.stream.pauseReading() }
    }

    /// The client has taken what was held for it.
    public final func clientDrained() { upstream?.stream.resumeReading() }

    public final func clientReceivedEnd(_ connection: HTTPClientConnection) {
        sendPendingHead()
        let status = connection.head.status
        answered(status)
        var trailers: [UInt8] = []
        if client.isSendingChunks {
            HTTPTrailers.append(forwarding: connection.trailers, of: connection.head, to: &trailers)
        }
        end(.answered(status))
        connection.stream.resumeReading()
        // A server that answered before it had the whole request may take the rest for the next one.
        if isRequestComplete, keepsConnection { server?.keep(connection) } else { connection.close() }
        conclude { $0.endResponse(trailers: trailers) }
    }

    /// RFC 9110 §15.2: all of them are passed on, but to a client that knows none.
    private final func passInterim(_ connection: HTTPClientConnection) {
        guard client.isCurrent else { return }
        var head = pool.takeScratch()
        ForwardedHead.append(interim: connection.head, to: &head)
        client.writeInterim(head, status: connection.head.status)
        pool.giveScratch(head)
        if client.isCongested { connection.stream.pauseReading() }
    }

    /// RFC 9110 §7.8: a server must not switch to a protocol that the client has not named; nor to none.
    private static func offers(_ asked: [String], _ given: [String]) -> Bool {
        func protocols(_ fields: [String]) -> [String] {
            fields.flatMap { $0.split(separator: ",") }.map { $0.lowercased().filter { $0 != " " && $0 != "\t" } }
        }
        let asked = protocols(asked)
        let given = protocols(given)
        return !given.isEmpty && given.allSatisfy(asked.contains)
    }

    /// RFC 9110 §7.8: after a 101 the connection speaks another protocol, which is passed through unread.
    private final func switchProtocols(_ connection: HTTPClientConnection) {
        guard client.head.asksForUpgrade else {
            return failed(.malformed(HTTPError(502, "\(pool.noun) switches protocols unasked")))
        }
        guard Self.offers(client.head.values(of: "Upgrade"), connection.head.values(of: "Upgrade")) else {
            return failed(.malformed(HTTPError(502, "\(pool.noun) switches to a protocol that nobody asked for")))
        }
        // What is left of the request would be taken for the new protocol.
        guard isRequestComplete else {
            return failed(.malformed(HTTPError(502, "\(pool.noun) switches protocols within the request")))
        }
        var head = pool.takeScratch()
        ForwardedHead.append(switching: connection.head, to: &head)
        client.stream.write(head)
        pool.giveScratch(head)
        answerBegan()
        answered(101)
        let tunnel = timeouts.tunnel
        end(.answered(101))
        conclude { client in
            let relay = Relay(client.stream, connection.stream, idleTimeout: tunnel)
            connection.upgrade(to: relay)
            connection.stream.write(client.upgrade(to: relay))
            relay.start()
        }
    }
}

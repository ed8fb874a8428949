import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// The way back: from the server's answer to the client's.
extension ProxyExchange: HTTPClientDelegate {
    func clientOpened(_ connection: HTTPClientConnection) {
        guard phase == .connecting else { return }
        sendHead()
        client.resumeBody()
    }

    func clientDrained(_ connection: HTTPClientConnection) { client.resumeBody() }
    func clientWillProcess(_ connection: HTTPClientConnection) {
        corked = client.stream
        corked?.cork()
    }

    /// By now the exchange may have another client.
    func clientDidProcess(_ connection: HTTPClientConnection) {
        let stream = corked
        corked = nil
        stream?.uncork()
    }

    func clientReceivedHead(_ connection: HTTPClientConnection) {
        let status = connection.head.status
        setDeadline(host.configuration.timeouts.response)
        if status == 100 { return client.sendContinue() }
        if status == 101 {
            guard client.head.asksForUpgrade else {
                return serverFailed(.malformed(HTTPError(502, "the backend switches protocols unasked")))
            }
            return startTunnel(connection)
        }
        if status < 200 { return }
        if status >= 500, host.configuration.retryOn.statuses.contains(status), mayRepeat, hasAlternative {
            connection.abort()
            finish(.answered(status))
            return tryNext()
        }
        phase = .responding
        times.answered = now
        var head = proxy.takeScratch()
        ForwardedHead.append(response: connection.head, isForHead: client.method == .head, to: &head)
        if let cookie = proxy.cookie, markedServer != server {
            cookie.append(server: host.engine.servers[server].name, to: &head)
        }
        client.beginRawResponse(&head, status: status, framing: connection.head.body)
        proxy.giveScratch(head)
    }

    func client(_ connection: HTTPClientConnection, received body: UnsafeRawBufferPointer) {
        setDeadline(host.configuration.timeouts.response)
        client.writeBody(body)
        if client.isCongested { connection.stream.pauseReading() }
    }

    /// The client has taken what was held for it.
    func clientDrained() { upstream?.stream.resumeReading() }

    func clientReceivedEnd(_ connection: HTTPClientConnection) {
        let slot = server
        let line = pendingLine("--", status: connection.head.status)
        finish(.answered(connection.head.status))
        connection.stream.resumeReading()
        // A server that answered before it had the whole request may take the rest for the next one.
        if requestComplete { proxy.giveBack(connection, to: slot) } else { connection.close() }
        let client = client!
        detach()
        client.endResponse()
        line?.write()
    }

    /// RFC 9110 §7.8: after a 101 the connection speaks another protocol, which is passed through unread.
    private func startTunnel(_ connection: HTTPClientConnection) {
        var head = proxy.takeScratch()
        ForwardedHead.append(switching: connection.head, to: &head)
        client.stream.write(head)
        proxy.giveScratch(head)
        times.answered = now
        pendingLine("--", status: 101)?.write()
        finish(.answered(101))
        let downstream = client.stream
        let relay = Relay(downstream, connection.stream, idleTimeout: host.configuration.timeouts.tunnel)
        connection.upgrade(to: relay)
        let early = client.upgrade(to: relay)
        connection.stream.write(early)
        relay.start()
    }
}

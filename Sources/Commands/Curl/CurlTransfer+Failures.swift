import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

extension CurlTransfer {
    // MARK: Failures

    func client(_ client: HTTPClientConnection, failed failure: HTTPClientFailure) {
        guard client === connection else { return }
        if let (text, status) = securityFailure(client, failure) { return fail(text, status) }
        switch failure {
        case .notConnected(let reason):
            let waited = milliseconds(node.world.now - hopStartedAt)
            let cause = reason == .timedOut ? "Connection timed out" : "Couldn't connect to server"
            let code = reason == .timedOut ? 28 : 7
            fail(
                "Failed to connect to \(url.host) port \(url.port) after \(waited) ms: \(cause)", code,
                isTransient: code == 28 || options.retriesRefused)
        case .closed where isReused && client.bytesOfResponse == 0:
            // The server closed a connection that was kept for it: ask again on a fresh one.
            connection = nil
            verbose("* Connection died, retrying a fresh connect")
            node.enqueue { [self] in hop() }
        case .closed(.reset): fail("Recv failure: Connection reset by peer", 56)
        case .closed where client.bytesOfResponse == 0: fail("Empty reply from server", 52)
        case .closed(.securityFailed) where sawHead && client.head.body == .untilClose:
            connection = nil
            complete()
        case .closed where !sawHead && !client.rejectedBytes.contains(10):
            // Less than a line, which may have been the beginning of one.
            if "HTTP/".utf8.starts(with: client.rejectedBytes.prefix(5)) {
                fail("Empty reply from server", 52)
            } else {
                fail("Received HTTP/0.9 when not allowed", 1)
            }
        case .closed:
            if let expectedLength, sawHead {
                fail("transfer closed with \(expectedLength - receivedLength) bytes remaining to read", 18)
            } else {
                fail("transfer closed with outstanding read data remaining", 18)
            }
        case .malformed(let error):
            let (text, status) = Self.complaint(error)
            fail(text, status)
        }
    }

    /// What curl says of an answer that cannot be read.
    private static func complaint(_ error: HTTPError) -> (text: String, status: Int) {
        switch error.text {
        case "the answer does not begin with an HTTP/1 status line": ("Received HTTP/0.9 when not allowed", 1)
        case "the status is not a number", "malformed status line": ("Unsupported response code in HTTP response", 1)
        case "Content-Length is not a number": ("Invalid Content-Length: value", 8)
        case "a field line without a colon": ("Header without colon", 8)
        case "a NUL in a field": ("Nul byte in header", 8)
        case "an unknown Transfer-Encoding", "Transfer-Encoding is more than chunked":
            ("Unrecognized content encoding type. libcurl understands chunked only here.", 61)
        case "a chunk size is not hexadecimal": ("Illegal or missing hexadecimal sequence in chunked-encoding", 56)
        case "a chunk size is out of range": ("Too long hexadecimal number in chunked-encoding", 56)
        case let text where text.contains("chunk") || text.contains("trailer"):
            ("Malformed encoding found in chunked-encoding", 56)
        default: ("Weird server reply: \(error.text)", 8)
        }
    }

    func timedOut() {
        let waited = milliseconds(elapsed)
        if connection?.isOpen != true {
            fail("Connection timed out after \(waited) milliseconds", 28, isTransient: true)
        } else {
            let amount = expectedLength.map { "\(receivedLength) out of \($0)" } ?? "\(receivedLength)"
            fail(
                "Operation timed out after \(waited) milliseconds with \(amount) bytes received", 28, isTransient: true)
        }
    }
}

import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

extension CurlTransfer {
    // MARK: The response

    func clientReceivedHead(_ client: HTTPClientConnection) {
        let head = client.head
        if !sawHead { report.startTransfer = elapsed }
        sawHead = true
        showHead(head)
        if head.status < 200 {
            if head.status == 100 { continueBody() }
            return
        }
        if isWaitingForContinue {
            // The server has answered without wanting the body.
            isWaitingForContinue = false
            node.cancel(continueTimer)
        }
        report.status = head.status
        report.minorVersion = head.minorVersion
        report.contentType = head.value(of: .contentType) ?? ""
        report.fields = head.fields.map { (head.name(of: $0).lowercased(), head.value(of: $0)) }
        receivedLength = 0
        if case .length(let length) = head.body { expectedLength = length } else { expectedLength = nil }
        if options.usesCookieEngine {
            for value in head.values(of: "Set-Cookie") {
                program.cookies.take(
                    value, host: cookieHost, target: url.target, isSecure: url.scheme == .https, now: node.wallClock)
            }
        }
        noteRedirect(head)
    }

    /// Any status of 300 to 399 with a `Location` that says something leads on.
    private func noteRedirect(_ head: HTTPHead) {
        report.redirectURL = ""
        redirectTarget = nil
        guard (300...399).contains(head.status), let location = head.value(of: .location), !location.isEmpty else {
            return
        }
        do throws(HTTPURL.Malformed) {
            let next = try url.resolving(HTTPURL.locationOfCurl(location))
            report.redirectURL = next.text
            redirectTarget = .success(next)
        } catch {
            report.redirectURL = location
            redirectTarget = .failure(CurlMalformedURL(ofRedirect: error))
        }
    }

    func showHead(_ head: HTTPHead) {
        let text = String(decoding: head.bytes, as: UTF8.self)
        report.headBytes += head.bytes.count
        for line in text.split(separator: "\r\n", omittingEmptySubsequences: false).dropLast() {
            verbose("< \(line)\r")
        }
        if options.includesHead || options.isHeadRequest { output.write(head.bytes) }
    }

    var willRedirect: Bool { options.followsRedirects && redirectTarget != nil }
    var hidesBody: Bool {
        willRedirect || (options.failsOnStatus && !options.failsWithBody && report.status >= 400)
    }

    func client(_ client: HTTPClientConnection, received body: UnsafeRawBufferPointer) {
        receivedLength += body.count
        if hidesBody { return }
        report.bodyBytes += body.count
        output.write(Array(body))
        if let failure = output.failure { return fail("Failure writing output to destination: \(failure)", 23) }
        if output.isBroken { return fail("Failure writing output to destination", 23) }
        if output.isCongested {
            client.stream.pauseReading()
            output.onDrained { [weak client] in client?.stream.resumeReading() }
        }
    }

    func clientReceivedEnd(_ client: HTTPClientConnection) {
        // They are fields of the response, and `-i` shows those.
        if options.includesHead, !client.trailers.isEmpty { output.write(client.trailers) }
        if client.isReusable, sentBody == body?.count ?? 0, hasEndedBody || body == nil || !isChunked {
            verbose("* Connection #0 to host \(url.host) left intact")
            program.keep(client, for: url)
        } else {
            verbose("* Closing connection 0")
            client.close()
        }
        connection = nil
        if willRedirect { return redirect() }
        complete()
    }

    func complete() {
        output.touch()
        if let failure = output.failure { return end(23, "Failure writing output to destination: \(failure)") }
        let isTransient = [408, 429, 500, 502, 503, 504].contains(report.status)
        let retryAfter = report.fields.last { $0.name == "retry-after" }.flatMap { Self.wait($0.value, node.wallClock) }
        if options.failsOnStatus, report.status >= 400 {
            return end(
                22, "The requested URL returned error: \(report.status)", isTransient: isTransient,
                retryAfter: retryAfter)
        }
        end(0, nil, isTransient: isTransient, retryAfter: retryAfter)
    }

    /// What a `Retry-After` asks for, as seconds or as a date; nil for nothing that is worth waiting for.
    static func wait(_ retryAfter: String, _ now: LabTime) -> LabDuration? {
        var seconds = CurlCookies.number(retryAfter) ?? 0
        if seconds == 0, let date = CurlDate.seconds(parsing: retryAfter) {
            seconds = date.subtractingReportingOverflow(Int(now.unixSeconds)).partialValue
        }
        return seconds > 0 ? .seconds(1) * seconds : nil
    }

    func redirect() {
        if let limit = options.redirectLimit, report.redirects >= limit {
            return end(47, "Maximum (\(limit)) redirects followed")
        }
        report.redirects += 1
        report.redirect = elapsed
        switch redirectTarget {
        case .success(let next)?: url = next
        case .failure(let error)?: return end(error.status, error.text)
        case nil: return complete()
        }
        verbose("* Issue another request to this URL: '\(url.text)'")
        let dropsBody =
            switch report.status {
            case 301, 302: !options.isUpload
            case 303: true
            default: false
            }
        if dropsBody { body = nil }
        // `-X` insists on its method, though not on the body that went with it.
        if options.method == nil, let next = HTTPRedirect.method(after: report.status, of: method) { method = next }
        node.enqueue { [self] in hop() }
    }
}

import KernelStructures
import KernelWire
import KernelWorld

/// One client's connection to an HTTP/1.1 server: keep-alive, pipelining, `100-continue`, limits and timeouts.
///
/// A service answers with `respond`, or piece by piece with `beginResponse`, `writeBody` and `endResponse`. Requests
/// that were sent ahead (pipelining) wait unread until the present one is answered; what of them has arrived with the
/// same bytes is kept, and reading stops, so a connection never holds more than one buffer of them.
public final class HTTPServerConnection: StreamHandler {
    public let stream: Stream
    /// Not weak: an object that is referred to weakly pays for it with every retain and release. A service outlives its
    /// connections, because both end with the node.
    public internal(set) unowned var service: (any HTTPService)?
    /// What it has in common with the others of its server.
    let common: HTTPServerCommon
    public var options: HTTPServerOptions { common.options }
    /// Free for the service's use: what it needs to remember. It stays from one request to the next.
    public var context: AnyObject?

    var reader: HTTPReader
    var request = RequestState.none
    var response = ResponseState.none
    /// Bytes of requests sent ahead.
    var ahead = ByteQueue()
    var isProcessing = false
    var isPausedByService = false
    var closesAfterResponse = false
    var isChunking = false
    /// Whether the response says where its body ends, other than by the connection's end.
    var hasKnownEnd = true
    /// The answer to HEAD, a 204 and a 304 have no body, whatever the service writes.
    var dropsBody = false
    var continueIsDue = false
    var discardedBytes = 0
    var deadline = LabTime.distantFuture
    var timer: TimerID?
    /// When the timer fires, while there is one.
    var timerTime = LabTime.distantFuture
    /// When the present request's head was there, where the node's `requestTimes` are kept.
    private var requestBegan = LabTime.distantFuture
    /// Of the present answer.
    var answeredStatus = 0
    var isReadingHead = false
    private var isHeadReleased = false
    var bytesAtLastCheck = 0
    public internal(set) var requestCount = 0
    public let openedAt: LabTime
    let tally: ConnectionTally?
    /// What could not be read, as it came, for whoever wants to see it: the beginning of the bytes that had the fault.
    public internal(set) var rejectedBytes: [UInt8] = []
    var claim: ProxyClaim?
    /// Of the present request, if it is part of a trace and somebody records it.
    public internal(set) var span: ActiveSpan?

    enum RequestState { case none, reading, complete }
    enum ResponseState { case none, pending, begun, complete }

    /// Bytes of a body that nobody wants which are still read, so that the connection can go on.
    static let discardLimitBytes = 256 * 1024

    /// Bytes of a bad message that are kept.
    static let rejectedLimitBytes = 1024

    init(_ stream: Stream, service: any HTTPService, common: HTTPServerCommon, tally: ConnectionTally?) {
        self.stream = stream
        self.tally = tally
        openedAt = stream.node.world.now
        self.service = service
        self.common = common
        reader = HTTPReader(.requests, limits: common.options.limits)
    }

    /// The present request's head. It is a value: on a hot path take it once, or ask for `method` and `bodyFraming`.
    public var head: HTTPHead { reader.head }
    /// Whether the request has a field of that name. Cheaper than a look into `head`, which is copied.
    public func hasField(_ name: KnownField) -> Bool { reader.head.fields.contains { $0.name == name } }
    public var method: HTTPMethod { reader.head.method }
    public var bodyFraming: BodyFraming { reader.head.body }
    /// Whether the present request is of HTTP/1.1, and not of HTTP/1.0.
    public var isCurrent: Bool { reader.head.minorVersion > 0 }
    /// The field lines behind the present request's chunked body, once that is complete: see `HTTPTrailers`.
    public var trailers: [UInt8] { reader.trailers }
    /// The request's target as bytes, valid during the call.
    public func withTarget<R>(_ body: (ArraySlice<UInt8>) -> R) -> R { body(reader.head.targetBytes) }
    var node: Node { stream.node }
    /// Whether a request has been shown to the service and not been answered to its end.
    public var isBusy: Bool { response == .pending || response == .begun || request == .reading }
    /// Whether the response's head has been sent.
    public var hasBegunResponse: Bool { response == .begun || response == .complete }
    /// Whether it came over TLS.
    public var isSecure: Bool { stream.layer != nil }
    public var isRequestComplete: Bool { request == .complete }
    public var isCongested: Bool { stream.isCongested }

    // MARK: StreamHandler

    public func streamOpened(_ stream: Stream) { setDeadline(options.headTimeout) }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        if isProcessing || !ahead.isEmpty || response == .pending && request == .complete || mustDeliverFirst {
            ahead.append(bytes)
            stream.pauseReading()
        } else {
            process(bytes)
        }
    }

    /// The node has ended, by what this very request asked for perhaps: nobody of it is there to be asked any more.
    public func streamLost(_ stream: Stream) {
        context = nil
        service = nil
    }

    public func streamEnded(_ stream: Stream) {
        if request == .complete, response != .complete, response != .none {
            // The client has said all it will say, and waits for its answer, or nobody is there any more.
            closesAfterResponse = true
            if service?.isAbandonedByEnd(self) == true { abandon() }
        } else if request == .reading {
            abandon()
        } else {
            stream.close()
            finished()
        }
    }

    public func streamDrained(_ stream: Stream) {
        if response == .begun || response == .pending { service?.responseDrained(self) }
        if request == .none { processAhead() }
    }

    /// Whether a client that asks and asks has to take some of the answers first: those that wait for it are memory.
    private var mustDeliverFirst: Bool { request == .none && stream.isCongested && !reader.isInsideMessage }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        if isBusy { service?.requestAbandoned(self) }
        finished()
    }

    func abandon() {
        service?.requestAbandoned(self)
        stream.close()
        finished()
    }

    func finished() {
        node.cancel(timer)
        timer = nil
        endSpan()
        request = .none
        response = .none
        guard let last = service else { return }
        service = nil
        // A connection that is still sending what it owes, or speaks another protocol by now, is not over.
        if stream.isClosed { ended(last) } else { stream.onEnd = { [self] in ended(last) } }
    }

    /// The response is complete.
    func noteTime() {
        guard requestBegan != .distantFuture else { return }
        node.requestTimes.note(
            node.world.now - requestBegan, isFailure: answeredStatus >= 500, now: node.world.now)
        requestBegan = .distantFuture
    }

    /// The response is over, or will never be.
    func endSpan() {
        guard let span else { return }
        self.span = nil
        if response != .complete { span.fail("the answer was not completed") }
        span.end()
    }

    private func ended(_ last: any HTTPService) {
        last.connectionClosed(self)
        common.server?.ended(self)
    }

    // MARK: Reading

    func process(_ bytes: UnsafeRawBufferPointer) {
        isProcessing = true
        if isHeadReleased {
            isHeadReleased = false
            reader.adoptHead(common.takeHead())
        }
        var position = 0
        reading: while service != nil {
            if request == .complete && response != .none || mustDeliverFirst {
                keepAhead(UnsafeRawBufferPointer(rebasing: bytes[position...]))
                break
            }
            switch reader.next(bytes, &position) {
            case .needMore: break reading
            case .head: beginRequest()
            case .body(let range): take(UnsafeRawBufferPointer(rebasing: bytes[range]))
            case .end: endRequest()
            case .failed(let error):
                rejectedBytes = Array(bytes.prefix(Self.rejectedLimitBytes))
                reject(error)
                break reading
            }
        }
        isProcessing = false
        releaseHeadIfIdle()
        updateDeadline()
    }

    /// An idle connection needs no memory for a head; whichever asks next gets it.
    func releaseHeadIfIdle() {
        guard request == .none, !isHeadReleased, !isProcessing, !reader.isInsideMessage else { return }
        isHeadReleased = true
        common.giveHead(reader.releaseHead())
    }

    func keepAhead(_ rest: UnsafeRawBufferPointer) {
        if rest.isEmpty { return }
        ahead.append(rest)
        stream.pauseReading()
    }

    func beginRequest() {
        requestCount += 1
        request = .reading
        response = .pending
        closesAfterResponse = !reader.head.keepsAlive
        continueIsDue = reader.head.expectsContinue
        discardedBytes = 0
        if node.world.spans.isRecording {
            requestBegan = node.world.now
            if options.isTraced { span = .serving(self) }
        }
        // What has no cause has its span's own event for one.
        if let span, node.world.journal.currentCause == 0 {
            span.run { service?.requestBegan(self) }
        } else {
            service?.requestBegan(self)
        }
    }

    func take(_ body: UnsafeRawBufferPointer) {
        // RFC 9110 §10.1.1: a client that has begun to send does not wait for leave any more.
        continueIsDue = false
        if response == .complete {
            discardedBytes += body.count
            if discardedBytes > Self.discardLimitBytes { closeNow() }
        } else {
            span?.resume()
            service?.request(self, body: body)
        }
    }

    func endRequest() {
        request = .complete
        continueIsDue = false
        if response == .complete {
            nextRequest()
        } else if let span, node.world.journal.currentCause == 0 {
            span.run { service?.requestEnded(self) }
        } else {
            span?.resume()
            service?.requestEnded(self)
        }
    }

    func reject(_ error: HTTPError) {
        let wasBusy = isBusy && response != .complete
        if wasBusy { service?.requestAbandoned(self) }
        service?.requestRejected(self, error)
        if response == .begun || response == .complete { return closeNow() }
        response = .pending
        request = .complete
        closesAfterResponse = true
        tally?.rejections[error.status / 100] += 1
        respond(status: error.status, body: "\(error)\n")
    }

    /// Asks the client for the body it is holding back (`Expect: 100-continue`). Called by whoever wants to read it.
    public func sendContinue() {
        guard continueIsDue, response == .pending else { return }
        continueIsDue = false
        stream.write("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Sends the head of an interim response (1xx), whole; not to a client of HTTP/1.0, who knows none (RFC 9110
    /// §15.2).
    public func writeInterim(_ head: [UInt8], status: Int) {
        guard response == .pending, isCurrent else { return }
        if status == 100 { continueIsDue = false }
        stream.write(head)
    }

    /// Stops `request(_:body:)` calls; the client feels it once the buffers between are full.
    public func pauseBody() {
        isPausedByService = true
        stream.pauseReading()
    }

    public func resumeBody() {
        guard isPausedByService else { return }
        isPausedByService = false
        if isProcessing { return }
        if !ahead.isEmpty, request == .reading { return processAhead() }
        if ahead.isEmpty { stream.resumeReading() }
    }

    // MARK: Timeouts

    func updateDeadline() {
        guard service != nil else { return }
        switch (request, response) {
        case (.none, _) where reader.isInsideMessage:
            // From its first byte on: the ones that follow do not put it off.
            if !isReadingHead { setDeadline(options.headTimeout) }
            isReadingHead = true
            return
        case (.none, _): setDeadline(options.idleTimeout)
        case (.reading, .pending), (.reading, .complete): setDeadline(options.bodyTimeout)
        default: setDeadline(options.sendTimeout)
        }
        isReadingHead = false
    }

    /// One timer a connection: it is not moved back with each request, but looks at the deadline when it fires. Only a
    /// deadline before it makes it move.
    func setDeadline(_ timeout: LabDuration) {
        deadline = node.world.now + timeout
        if timer == nil {
            armTimer()
        } else if deadline < timerTime {
            node.cancel(timer)
            armTimer()
        }
    }

    func armTimer() {
        timerTime = deadline
        timer = node.after(deadline - node.world.now) { [self] in checkDeadline() }
    }

    func checkDeadline() {
        timer = nil
        guard service != nil else { return }
        if node.world.now < deadline { return armTimer() }
        switch (request, response) {
        case (.none, _) where reader.isInsideMessage: reject(HTTPError(408, "the request head took too long"))
        // Answered, but not delivered: the client is busy taking it, or it is not.
        case (.none, _) where stream.unsentByteCount > 0: checkProgress()
        case (.none, _): closeNow()
        case (.reading, .pending) where !isPausedByService: reject(HTTPError(408, "the request body took too long"))
        // The answer is out, and the rest of the request, which nobody wants, does not come.
        case (.reading, .complete): closeNow()
        default: checkProgress()
        }
    }

    /// While a response is under way, the connection lives for as long as the client takes something, or the service
    /// has not answered yet: that is the service's own affair.
    func checkProgress() {
        let taken = stream.bytesSent - stream.unsentByteCount
        let isStuck = response != .pending && stream.unsentByteCount > 0 && taken == bytesAtLastCheck
        bytesAtLastCheck = taken
        if isStuck {
            if isBusy { service?.requestAbandoned(self) }
            stream.abort()
            finished()
        } else {
            setDeadline(options.sendTimeout)
        }
    }
}

import KernelStructures
import KernelWire
import KernelWorld

/// What answers requests. Calls come in the order of the requests; the next request of a connection is not shown
/// before the present one has been answered to its end.
public protocol HTTPService: AnyObject {
    /// A request's head is complete: `connection.head`.
    func requestBegan(_ connection: HTTPServerConnection)
    /// A piece of its body; valid during the call.
    func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer)
    /// The request is complete.
    func requestEnded(_ connection: HTTPServerConnection)
    /// The client has room again for more of the response.
    func responseDrained(_ connection: HTTPServerConnection)
    /// The client went away before it had its answer.
    func requestAbandoned(_ connection: HTTPServerConnection)
    /// A request could not be read; the connection has answered it and is about to close.
    func requestRejected(_ connection: HTTPServerConnection, _ error: HTTPError)
    /// The connection is over.
    func connectionClosed(_ connection: HTTPServerConnection)
}

extension HTTPService {
    public func request(_ connection: HTTPServerConnection, body: UnsafeRawBufferPointer) {}
    public func requestEnded(_ connection: HTTPServerConnection) {}
    public func responseDrained(_ connection: HTTPServerConnection) {}
    public func requestAbandoned(_ connection: HTTPServerConnection) {}
    public func requestRejected(_ connection: HTTPServerConnection, _ error: HTTPError) {}
    public func connectionClosed(_ connection: HTTPServerConnection) {}
}

/// How long a server waits, in lab time, and what it accepts.
public struct HTTPServerOptions: Sendable {
    /// Between two requests of a connection.
    public var idleTimeout = LabDuration.seconds(75)
    /// From the first byte of a request to the end of its head; then 408.
    public var headTimeout = LabDuration.seconds(30)
    /// Without any byte of a body that is still to come.
    public var bodyTimeout = LabDuration.seconds(60)
    /// Without the client taking any byte of a response.
    public var sendTimeout = LabDuration.seconds(60)
    public var limits = HTTPLimits()
    /// The value of the `Server` field; nil leaves it out.
    public var serverName: String? = "sdlab"

    public init() {}
}

/// One client's connection to an HTTP/1.1 server: keep-alive, pipelining, `100-continue`, limits and timeouts.
///
/// A service answers with `respond`, or piece by piece with `beginResponse`, `writeBody` and `endResponse`. Requests
/// that were sent ahead (pipelining) wait unread until the present one is answered; what of them has arrived with the
/// same bytes is kept, and reading stops, so a connection never holds more than one buffer of them.
public final class HTTPServerConnection: StreamHandler {
    public let stream: Stream
    /// Not weak: an object that is referred to weakly pays for it with every retain and release. A service outlives its
    /// connections, because both end with the node.
    public private(set) unowned var service: (any HTTPService)?
    public let options: HTTPServerOptions
    /// Free for the service's use: what it needs to remember. It stays from one request to the next.
    public var context: AnyObject?

    private var reader: HTTPReader
    private var request = RequestState.none
    private var response = ResponseState.none
    /// Bytes of requests sent ahead.
    private var ahead = ByteQueue()
    private var isProcessing = false
    private var isPausedByService = false
    private var closesAfterResponse = false
    private var isChunking = false
    private var continueIsDue = false
    private var discardedBytes = 0
    private var deadline = LabTime.distantFuture
    private var timer: TimerID?
    private var bytesAtLastCheck = 0
    public private(set) var requestCount = 0

    private enum RequestState { case none, reading, complete }
    private enum ResponseState { case none, pending, begun, complete }

    /// Bytes of a body that nobody wants which are still read, so that the connection can go on.
    private static let discardLimitBytes = 256 * 1024

    public init(_ stream: Stream, service: any HTTPService, options: HTTPServerOptions = HTTPServerOptions()) {
        self.stream = stream
        self.service = service
        self.options = options
        reader = HTTPReader(.requests, limits: options.limits)
    }

    /// The present request's head. It is a value: on a hot path take it once, or ask for `method` and `bodyFraming`.
    public var head: HTTPHead { reader.head }
    public var method: HTTPMethod { reader.head.method }
    public var bodyFraming: BodyFraming { reader.head.body }
    /// The request's target as bytes, valid during the call.
    public func withTarget<R>(_ body: (ArraySlice<UInt8>) -> R) -> R { body(reader.head.targetBytes) }
    private var node: Node { stream.node }
    /// Whether a request has been shown to the service and not been answered to its end.
    public var isBusy: Bool { response == .pending || response == .begun || request == .reading }
    /// Whether the response's head has been sent.
    public var hasBegunResponse: Bool { response == .begun || response == .complete }
    public var isRequestComplete: Bool { request == .complete }
    public var isCongested: Bool { stream.isCongested }

    // MARK: StreamHandler

    public func streamOpened(_ stream: Stream) { setDeadline(options.headTimeout) }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        if isProcessing || !ahead.isEmpty || response == .pending && request == .complete {
            ahead.append(bytes)
            stream.pauseReading()
        } else {
            process(bytes)
        }
    }

    public func streamEnded(_ stream: Stream) {
        if request == .complete, response != .complete, response != .none {
            // The client has said all it will say, and waits for its answer.
            closesAfterResponse = true
        } else if request == .reading {
            abandon()
        } else {
            stream.close()
            finished()
        }
    }

    public func streamDrained(_ stream: Stream) { if response == .begun { service?.responseDrained(self) } }

    public func stream(_ stream: Stream, closed reason: CloseReason) {
        if isBusy { service?.requestAbandoned(self) }
        finished()
    }

    private func abandon() {
        service?.requestAbandoned(self)
        stream.close()
        finished()
    }

    private func finished() {
        node.cancel(timer)
        timer = nil
        request = .none
        response = .none
        let last = service
        service = nil
        last?.connectionClosed(self)
    }

    // MARK: Reading

    private func process(_ bytes: UnsafeRawBufferPointer) {
        isProcessing = true
        var position = 0
        reading: while service != nil {
            if request == .complete, response != .none {
                keepAhead(UnsafeRawBufferPointer(rebasing: bytes[position...]))
                break
            }
            switch reader.next(bytes, &position) {
            case .needMore: break reading
            case .head: beginRequest()
            case .body(let range): take(UnsafeRawBufferPointer(rebasing: bytes[range]))
            case .end: endRequest()
            case .failed(let error):
                reject(error)
                break reading
            }
        }
        isProcessing = false
        updateDeadline()
    }

    private func keepAhead(_ rest: UnsafeRawBufferPointer) {
        if rest.isEmpty { return }
        ahead.append(rest)
        stream.pauseReading()
    }

    private func beginRequest() {
        requestCount += 1
        request = .reading
        response = .pending
        closesAfterResponse = !reader.head.keepsAlive
        continueIsDue = reader.head.expectsContinue
        discardedBytes = 0
        service?.requestBegan(self)
    }

    private func take(_ body: UnsafeRawBufferPointer) {
        if response == .complete {
            discardedBytes += body.count
            if discardedBytes > Self.discardLimitBytes { closeNow() }
        } else {
            service?.request(self, body: body)
        }
    }

    private func endRequest() {
        request = .complete
        if response == .complete {
            nextRequest()
        } else {
            service?.requestEnded(self)
        }
    }

    private func reject(_ error: HTTPError) {
        let wasBusy = isBusy && response != .complete
        if wasBusy { service?.requestAbandoned(self) }
        service?.requestRejected(self, error)
        if response == .begun || response == .complete { return closeNow() }
        response = .pending
        request = .complete
        closesAfterResponse = true
        respond(status: error.status, body: "\(error)\n")
    }

    /// Asks the client for the body it is holding back (`Expect: 100-continue`). Called by whoever wants to read it.
    public func sendContinue() {
        guard continueIsDue, response == .pending else { return }
        continueIsDue = false
        stream.write("HTTP/1.1 100 Continue\r\n\r\n")
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

    // MARK: Answering

    /// Answers the present request at once. `fields` must be safe (`HTTPWriter.isSafeField`).
    public func respond(status: Int, fields: [(String, String)] = [], contentType: String = "text/plain", body: String)
    {
        respond(status: status, fields: fields, contentType: contentType, body: Array(body.utf8))
    }

    public func respond(status: Int, fields: [(String, String)] = [], contentType: String = "text/plain", body: [UInt8])
    {
        beginResponse(
            status: status, fields: body.isEmpty ? fields : fields + [("Content-Type", contentType)], length: body.count
        )
        if !body.isEmpty { writeBody(body) }
        endResponse()
    }

    /// Sends the head of the response. With a length, exactly that many bytes must follow; without one, the body is
    /// chunked (or lasts until the connection ends, for a client of HTTP/1.0).
    public func beginResponse(status: Int, fields: [(String, String)] = [], length: Int?) {
        guard response == .pending else { return }
        var head = Self.headStart(status, date: node.world.dateField, server: options.serverName)
        for (name, value) in fields { HTTPWriter.field(name, value, into: &head) }
        beginRawResponse(&head, status: status, framing: length.map { .length($0) } ?? .untilClose)
    }

    /// Answers the present request at once with a response that was prepared for many.
    public func respond(_ prepared: PreparedResponse) {
        guard response == .pending else { return }
        guard !continueIsDue, !closesAfterResponse, reader.head.minorVersion == 1, !isHeadRequest else {
            return respond(status: prepared.status, contentType: prepared.contentType, body: prepared.body)
        }
        response = .begun
        isChunking = false
        stream.write(prepared.bytes(at: node.world, server: options.serverName))
        endResponse()
    }

    /// Status line, `Server` and `Date`.
    static func headStart(_ status: Int, date: [UInt8], server: String?) -> [UInt8] {
        var head: [UInt8] = []
        head.reserveCapacity(256)
        HTTPWriter.statusLine(status, into: &head)
        if let server { HTTPWriter.field("Server", server, into: &head) }
        head.append(contentsOf: date)
        return head
    }

    /// Sends a head that is complete but for framing and connection fields, which are added here.
    ///
    /// - Parameter framing: how the body was framed where it comes from. `.none` adds nothing; a body of unknown length
    ///   is chunked for a client that understands it.
    public func beginRawResponse(_ head: inout [UInt8], status: Int, framing: BodyFraming) {
        guard response == .pending else { return }
        response = .begun
        isChunking = false
        let mayHaveBody = status >= 200 && status != 204 && status != 304
        switch framing {
        case .length(let length) where mayHaveBody: HTTPWriter.field("Content-Length", length, into: &head)
        case .chunked where mayHaveBody, .untilClose where mayHaveBody:
            if reader.head.minorVersion == 1 {
                isChunking = true
                head.append(utf8: "Transfer-Encoding: chunked\r\n")
            } else {
                closesAfterResponse = true
            }
        default: break
        }
        // A body that the client still holds back will never come, or come unasked: only closing is unambiguous.
        if continueIsDue { closesAfterResponse = true }
        if closesAfterResponse {
            head.append(utf8: "Connection: close\r\n")
        } else if reader.head.minorVersion == 0 {
            head.append(utf8: "Connection: keep-alive\r\n")
        }
        HTTPWriter.endHead(&head)
        stream.write(head)
        if isHeadRequest { isChunking = false }
    }

    private var isHeadRequest: Bool { reader.head.method == .head }

    /// Sends a piece of the response's body; dropped where the response has none (HEAD).
    public func writeBody(_ bytes: UnsafeRawBufferPointer) {
        guard response == .begun, !bytes.isEmpty, !isHeadRequest else { return }
        if isChunking {
            var size: [UInt8] = []
            HTTPWriter.chunkStart(bytes.count, into: &size)
            stream.write(size)
            stream.write(bytes)
            stream.write("\r\n")
        } else {
            stream.write(bytes)
        }
    }

    public func writeBody(_ bytes: [UInt8]) { bytes.withUnsafeBytes { writeBody($0) } }

    /// The response is complete.
    public func endResponse() {
        guard response == .begun else { return }
        if isChunking { stream.write("0\r\n\r\n") }
        response = .complete
        if closesAfterResponse {
            closeNow()
        } else if request == .complete {
            nextRequest()
        } else if isPausedByService {
            resumeBody()
        }
    }

    /// The response cannot be completed: the connection is cut, so that the client does not take a part for the whole.
    public func cutResponse() {
        guard response == .begun else { return }
        stream.abort()
        finished()
    }

    /// Ends the connection after the present response, or at once if there is none.
    public func closeWhenIdle() {
        if isBusy { closesAfterResponse = true } else { closeNow() }
    }

    private func closeNow() {
        stream.close()
        finished()
    }

    /// Hands the connection over to another protocol: after this, the stream belongs to `handler`. Returns the bytes
    /// that the client had already sent beyond its request.
    public func upgrade(to handler: any StreamHandler) -> [UInt8] {
        let rest = ahead.withUnsafeBytes { Array($0) }
        ahead.removeAll()
        stream.setHandler(handler)
        finished()
        return rest
    }

    private func nextRequest() {
        request = .none
        response = .none
        if isProcessing { return }
        if ahead.isEmpty {
            stream.resumeReading()
            updateDeadline()
        } else {
            // Not from within the call that ended the last response: a service that answers at once would recurse.
            node.enqueue { [self] in processAhead() }
        }
    }

    private func processAhead() {
        guard service != nil, !isProcessing, !ahead.isEmpty else { return }
        var bytes = ByteQueue()
        swap(&bytes, &ahead)
        stream.cork()
        bytes.withUnsafeBytes { process($0) }
        stream.uncork()
        if service != nil, ahead.isEmpty, !isPausedByService { stream.resumeReading() }
    }

    // MARK: Timeouts

    private func updateDeadline() {
        guard service != nil else { return }
        switch (request, response) {
        case (.none, _): setDeadline(reader.isInsideMessage ? nil : options.idleTimeout)
        case (.reading, .pending), (.reading, .complete): setDeadline(options.bodyTimeout)
        default: setDeadline(options.sendTimeout)
        }
    }

    /// One timer a connection: it is not moved with each request, but looks at the deadline when it fires.
    private func setDeadline(_ timeout: LabDuration?) {
        guard let timeout else { return }
        deadline = node.world.now + timeout
        if timer == nil { armTimer() }
    }

    private func armTimer() {
        timer = node.after(deadline - node.world.now) { [self] in checkDeadline() }
    }

    private func checkDeadline() {
        timer = nil
        guard service != nil else { return }
        if node.world.now < deadline { return armTimer() }
        switch (request, response) {
        case (.none, _) where reader.isInsideMessage: reject(HTTPError(408, "the request head took too long"))
        case (.none, _): closeNow()
        case (.reading, .pending) where !isPausedByService: reject(HTTPError(408, "the request body took too long"))
        default: checkProgress()
        }
    }

    /// While a response is under way, the connection lives for as long as the client takes something, or the service
    /// has not answered yet: that is the service's own affair.
    private func checkProgress() {
        let taken = stream.bytesSent - stream.unsentByteCount
        let isStuck = response != .pending && stream.unsentByteCount > 0 && taken == bytesAtLastCheck
        bytesAtLastCheck = taken
        if isStuck {
            service?.requestAbandoned(self)
            stream.abort()
            finished()
        } else {
            setDeadline(options.sendTimeout)
        }
    }
}

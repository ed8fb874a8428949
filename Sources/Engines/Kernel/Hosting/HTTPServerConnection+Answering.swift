import KernelStructures
import KernelWire
import KernelWorld

extension HTTPServerConnection {
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
        var head = common.takeAnswer(status, node.world)
        for (name, value) in fields { HTTPWriter.field(name, value, into: &head) }
        beginRawResponse(&head, status: status, framing: length.map { .length($0) } ?? .untilClose)
        common.giveAnswer(&head)
    }

    /// Answers the present request at once.
    ///
    /// - Parameter lines: appends field lines, each with its CRLF, behind the status line; they must be safe
    ///   (`HTTPWriter.isSafeField`). `Server` and `Date` follow.
    public func respond(status: Int, body: [UInt8] = [], appending lines: (inout [UInt8]) -> Void) {
        guard response == .pending else { return }
        var head = common.takeAnswer(status, node.world, lines)
        beginRawResponse(&head, status: status, framing: .length(body.count))
        common.giveAnswer(&head)
        writeBody(body)
        endResponse()
    }

    /// Answers the present request at once with a response that was prepared for many.
    public func respond(_ prepared: PreparedResponse) {
        guard response == .pending else { return }
        guard !continueIsDue, !closesAfterResponse, reader.head.minorVersion == 1, !isHeadRequest else {
            return respond(status: prepared.status, contentType: prepared.contentType, body: prepared.body)
        }
        response = .begun
        answeredStatus = prepared.status
        tally?.answered(prepared.status)
        span?.answers(prepared.status)
        isChunking = false
        dropsBody = false
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
        answeredStatus = status
        tally?.answered(status)
        span?.answers(status)
        isChunking = false
        hasKnownEnd = true
        let mayHaveBody = status >= 200 && status != 204 && status != 304
        switch framing {
        case .length(let length) where mayHaveBody: HTTPWriter.field("Content-Length", length, into: &head)
        case .chunked where mayHaveBody, .untilClose where mayHaveBody:
            if reader.head.minorVersion == 1 {
                isChunking = true
                head.append(utf8: "Transfer-Encoding: chunked\r\n")
            } else {
                closesAfterResponse = true
                hasKnownEnd = isHeadRequest
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
        dropsBody = isHeadRequest || !mayHaveBody
        if dropsBody { isChunking = false }
    }

    var isHeadRequest: Bool { reader.head.method == .head }

    /// Sends a piece of the response's body; dropped where the response has none (HEAD, 204, 304).
    public func writeBody(_ bytes: UnsafeRawBufferPointer) {
        guard response == .begun, !bytes.isEmpty, !dropsBody else { return }
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

    /// Whether the response is sent in chunks, so that it can have trailers.
    public var isSendingChunks: Bool { isChunking && response == .begun }

    /// The response is complete.
    ///
    /// - Parameter trailers: field lines, each with its CRLF, to stand behind the body; without chunks they are
    ///   dropped.
    public func endResponse(trailers: [UInt8] = []) {
        guard response == .begun else { return }
        if isChunking { stream.write(trailers.isEmpty ? Self.lastChunk : Self.lastChunk(trailers)) }
        response = .complete
        noteTime()
        endSpan()
        if closesAfterResponse {
            closeNow()
        } else if request == .complete {
            nextRequest()
        } else if isPausedByService {
            resumeBody()
        }
    }

    private static let lastChunk = Array("0\r\n\r\n".utf8)

    private static func lastChunk(_ trailers: [UInt8]) -> [UInt8] { Array("0\r\n".utf8) + trailers + [13, 10] }

    /// The response cannot be completed: the connection ends, so that the client does not take a part for the whole.
    ///
    /// In good order where the client knows how much was to come: a reset would destroy what is still on its way to it.
    /// One that takes the end of the connection for the end of the body (HTTP/1.0) has no other sign than a reset.
    public func cutResponse() {
        guard response == .begun else { return }
        if hasKnownEnd { return closeNow() }
        stream.abort()
        finished()
    }

    /// Cuts the connection, whatever it is doing, unless it was handed over to another protocol.
    public func abort() {
        if service == nil { return }
        stream.abort()
        if isBusy { service?.requestAbandoned(self) }
        finished()
    }

    /// Ends the connection after the present response, or at once if there is none.
    public func closeWhenIdle() {
        // One that is closing already, or was handed over to another protocol, ends by itself.
        if service == nil { return }
        if isBusy { closesAfterResponse = true } else { closeNow() }
    }

    func closeNow() {
        stream.close()
        finished()
    }

    /// Hands the connection over to another protocol: after this, the stream belongs to `handler`. Returns the bytes
    /// that the client had already sent beyond its request.
    public func upgrade(to handler: any StreamHandler) -> [UInt8] {
        let rest = ahead.withUnsafeBytes { Array($0) }
        ahead.removeAll()
        if response == .pending {
            tally?.answered(101)
            span?.answers(101)
            response = .complete
        }
        stream.setHandler(handler)
        finished()
        return rest
    }

    func nextRequest() {
        request = .none
        response = .none
        isPausedByService = false
        if isProcessing { return }
        if ahead.isEmpty {
            releaseHeadIfIdle()
            stream.resumeReading()
            updateDeadline()
        } else {
            // Not from within the call that ended the last response: a service that answers at once would recurse.
            node.enqueue { [self] in processAhead() }
        }
    }

    func processAhead() {
        guard service != nil, !isProcessing, !ahead.isEmpty else { return }
        var bytes = ByteQueue()
        swap(&bytes, &ahead)
        stream.cork()
        bytes.withUnsafeBytes { process($0) }
        stream.uncork()
        if service != nil, ahead.isEmpty, !isPausedByService { stream.resumeReading() }
    }
}

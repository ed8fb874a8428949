import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld

/// One request and its answer, as a handler has them.
///
/// It is answered once, now or later. What comes behind the answer, or after the client has gone, is dropped without a
/// word: whoever waits for an event need not ask each time whether the client still does.
public final class HTTPExchange {
    public let node: Node
    public let head: HTTPHead
    /// The template of the route: what a metric is named by, and never the path.
    public let route: String?
    public let parameters: HTTPParameters
    /// What this request is in its trace, where somebody records that. Calls that a handler makes are parts of it by
    /// themselves; one that waits where causes do not reach does its work within `span.run`.
    public let span: ActiveSpan?
    /// The body, where the route collects it.
    public private(set) var body: [UInt8] = []
    /// Called when the client has gone before it was answered, and when its stream ends early.
    public var onAbandon: (() -> Void)?

    unowned let router: HTTPRouter
    /// Nil once the exchange is over.
    private var connection: HTTPServerConnection?
    var handler: HTTPRouter.Handler?
    private var bodyLimitBytes = 0
    /// What of the body is part of the router's sum.
    private var gatheredBytes = 0
    private var reading: BodyReading?
    private var fields: [(String, String)] = []
    private var timer: TimerID?
    private var parked: Parking?
    private(set) var stream: HTTPBodyStream?

    private struct BodyReading {
        let piece: (UnsafeRawBufferPointer) -> Void
        let end: () -> Void
    }

    init(
        _ router: HTTPRouter, _ connection: HTTPServerConnection, _ head: HTTPHead, route: String?,
        parameters: HTTPParameters
    ) {
        self.router = router
        self.connection = connection
        self.head = head
        self.route = route
        self.parameters = parameters
        node = connection.node
        span = connection.span
        if let route, let span {
            span.name = "\(head.methodText) \(route)"
            span.set("http.route", route)
        }
    }

    /// Whether it can still be answered. Not when the node has ended meanwhile, by what the request asked for perhaps:
    /// its router is gone by then.
    public var isOpen: Bool { stream == nil && connection?.stream.isClosed == false }
    public var method: HTTPMethod { head.method }
    /// The path as it came, still encoded.
    public var path: String { String(decoding: head.targetPath, as: UTF8.self) }
    /// Who asks: the connection's other end, which may be a proxy's.
    public var remote: Endpoint? { connection?.stream.remote }

    // MARK: The request

    /// The query, to be taken name by name.
    ///
    /// - Throws: `HTTPError` 400.
    public func query() throws(HTTPError) -> HTTPQuery {
        let target = head.targetBytes
        guard let mark = target.firstIndex(of: UInt8(ascii: "?")) else { return HTTPQuery() }
        return try HTTPQuery(parsing: target[(mark + 1)...])
    }

    /// The first field of that name.
    public func field(_ name: String) -> String? { head.value(of: name) }

    /// The first cookie of that name.
    public func cookie(_ name: String) -> String? {
        for field in head.values(of: "Cookie") {
            if let found = HTTPCookie.read(field).first(where: { $0.name == name }) { return found.value }
        }
        return nil
    }

    /// The body as JSON, whatever its `Content-Type` says: people who type `curl -d` do not set it.
    ///
    /// - Throws: `HTTPProblem` 400 for an empty body, 415 for one in a coding, `JSONError`.
    public func json(limits: JSONLimits = JSONLimits()) throws -> JSONValue {
        try expectPlainBody()
        if body.isEmpty { throw HTTPProblem(400, "the body is empty", remedy: "send JSON, such as {}") }
        return try JSONValue(parsing: body, limits: limits)
    }

    /// The body as a form.
    ///
    /// - Throws: `HTTPError` 400 for what cannot be decoded.
    public func form() throws(HTTPError) -> HTTPQuery { try HTTPQuery(parsing: body) }

    /// Whether the client would rather have JSON than text.
    public var prefersJSON: Bool { prefersJSON(byDefault: router.options.defaultsToJSON) }

    private func prefersJSON(byDefault isDefault: Bool) -> Bool {
        let json = ["application/json", HTTPProblem.contentType]
        let types = isDefault ? json + ["text/plain"] : ["text/plain"] + json
        let accept = head.values(of: "Accept")
        return HTTPNegotiation.best(of: types, accept.isEmpty ? nil : accept.joined(separator: ",")) ?? types[0]
            != "text/plain"
    }

    // MARK: The answer

    /// Adds a field to the answer that is still to come.
    ///
    /// - Throws: `HTTPProblem` 500 for a name or value that would end its line early.
    public func addField(_ name: String, _ value: String) throws(HTTPProblem) {
        guard HTTPWriter.isSafeField(name: name, value: value) else {
            throw HTTPProblem(500, "the answer would have a field \(name) with characters that no field can have")
        }
        fields.append((name, value))
    }

    public func setCookie(_ cookie: HTTPCookie) throws {
        try addField("Set-Cookie", try cookie.fieldValue())
    }

    public func answer(_ status: Int = 200, text: String, type: String = "text/plain; charset=utf-8") {
        answer(status, bytes: Array(text.utf8), type: type)
    }

    /// JSON in one line, with a newline for terminals.
    public func answer(_ status: Int = 200, json: JSONValue, type: String = "application/json") {
        var bytes: [UInt8] = []
        json.write(to: &bytes)
        bytes.append(10)
        answer(status, bytes: bytes, type: type)
    }

    /// Without a body: 201, 202, 204, 304 …
    public func answer(_ status: Int) { answer(status, bytes: [], type: nil) }

    public func answer(_ status: Int = 200, bytes: [UInt8], type: String?) {
        guard isOpen, let connection else { return }
        var fields = self.fields + crossOriginFields
        var body = bytes
        if let type, !body.isEmpty { fields.append(("Content-Type", type)) }
        if let smaller = compressed(body, type, &fields) { body = smaller }
        end()
        connection.beginResponse(status: status, fields: fields, length: body.count)
        connection.writeBody(body)
        connection.endResponse()
    }

    /// Says what went wrong, as a problem or as a line of text.
    public func refuse(_ problem: HTTPProblem) {
        guard isOpen else { return }
        fields = problem.fields.filter { HTTPWriter.isSafeField(name: $0.name, value: $0.value) }
        if prefersJSON(byDefault: router.options.defaultsToJSON || router.options.defaultsToProblems) {
            answer(problem.status, json: problem.json, type: HTTPProblem.contentType)
        } else {
            answer(problem.status, text: problem.description + "\n")
        }
    }

    /// Sends the client elsewhere. What a header cannot hold is percent-encoded.
    public func redirect(to location: String, status: Int = 302) {
        var encoded: [UInt8] = []
        for byte in location.utf8 {
            if byte > 32, byte < 127 { encoded.append(byte) } else { encoded += Array("%\(Self.hex(byte))".utf8) }
        }
        fields.append(("Location", String(decoding: encoded, as: UTF8.self)))
        answer(status)
    }

    private static func hex(_ byte: UInt8) -> String { hexadecimal(UInt64(byte), 2).uppercased() }

    /// Begins an answer that comes piece by piece. Nil if the exchange is over, or the server has too many of them.
    ///
    /// - Parameters:
    ///   - length: of the whole body, if it is known.
    ///   - isLasting: whether it goes on for as long as there is a client, who has gone when it closes its end.
    public func stream(
        _ status: Int = 200, type: String, length: Int? = nil, isLasting: Bool = false
    ) -> HTTPBodyStream? {
        guard isOpen, let connection else { return nil }
        let stream = HTTPBodyStream(self, connection, isLasting: isLasting)
        guard router.began(lasting: stream) else {
            refuse(HTTPProblem(503, "too many streams are open"))
            return nil
        }
        stopWaiting()
        self.stream = stream
        connection.beginResponse(
            status: status, fields: fields + crossOriginFields + [("Content-Type", type)], length: length)
        letGoIfEnded()
        return stream
    }

    // MARK: Waiting

    private final class Parking: LastingExchange {
        let orElse: () -> Void
        init(_ orElse: @escaping () -> Void) { self.orElse = orElse }
        func endForDrain() { orElse() }
    }

    /// Long polling: lets the client wait until somebody answers, at most so long; then `orElse` answers. Also when the
    /// server stops. Too many that wait are answered 503.
    public func park(for limit: LabDuration, orElse: @escaping (HTTPExchange) -> Void) {
        guard isOpen else { return }
        stopWaiting()
        let parking = Parking { [weak self] in
            guard let self, isOpen else { return }
            orElse(self)
            if isOpen { refuse(HTTPProblem(503, "nothing has happened")) }
        }
        guard router.began(lasting: parking) else {
            return refuse(HTTPProblem(503, "too many requests wait already", field: "Retry-After", "1"))
        }
        parked = parking
        timer = node.after(limit) { [self] in
            timer = nil
            parked?.orElse()
        }
        letGoIfEnded()
    }

    /// Whether it waits for something to happen, or follows what does.
    var isLasting: Bool { parked != nil || stream?.isLasting ?? false }

    /// The client may have closed its end before it was known what it waits for.
    private func letGoIfEnded() {
        guard isLasting, connection?.stream.hasPeerEnded == true else { return }
        // Not at once: whoever has begun this is still about to say who is to hear of its end.
        node.enqueue { [self] in if isLasting { connection?.abandon() } }
    }

    private func stopWaiting() {
        node.cancel(timer)
        timer = nil
        if let parked { router.ended(lasting: parked) }
        parked = nil
    }

    // MARK: The body

    /// For a route that takes its body as it comes: pieces, valid during the call, then the end.
    public func readBody(_ piece: @escaping (UnsafeRawBufferPointer) -> Void, end: @escaping () -> Void) {
        guard let connection else { return }
        reading = BodyReading(piece: piece, end: end)
        connection.sendContinue()
        if connection.isRequestComplete { receivedEnd() }
    }

    /// Stops and goes on with the pieces; the client feels it once the buffers between are full.
    public func pauseBody() { connection?.pauseBody() }
    public func resumeBody() { connection?.resumeBody() }

    func collect(limitBytes: Int, timeout: LabDuration) {
        bodyLimitBytes = limitBytes
        if case .length(let length) = head.body, length > limitBytes { return refuseLength() }
        connection?.sendContinue()
        timer = node.after(timeout) { [self] in
            timer = nil
            refuse(HTTPProblem(408, "the body did not come within \(timeout)"))
        }
        if case .length(let length) = head.body { body.reserveCapacity(length) }
    }

    private func refuseLength() {
        refuse(HTTPProblem(413, "the body is larger than \(byteCountText(bodyLimitBytes))"))
    }

    func received(_ piece: UnsafeRawBufferPointer) {
        if let reading { return reading.piece(piece) }
        guard handler != nil, isOpen else { return }
        if piece.count > bodyLimitBytes - body.count { return refuseLength() }
        let limit = router.options.gatheredLimitBytes
        if piece.count > limit - router.gatheredBytes {
            return refuse(
                HTTPProblem(
                    503, "bodies that have not come to their ends have \(byteCountText(limit)), and more is not kept",
                    remedy: "try again in a second", field: "Retry-After", "1"))
        }
        router.gatheredBytes += piece.count
        gatheredBytes += piece.count
        body.append(contentsOf: piece)
    }

    func receivedEnd() {
        if let reading {
            self.reading = nil
            return reading.end()
        }
        countWhole()
        guard let handler, isOpen else { return }
        node.cancel(timer)
        timer = nil
        self.handler = nil
        handle(handler)
    }

    /// It is whole, or nobody waits for its rest any more.
    private func countWhole() {
        // Most requests have no body, and whoever outlives the node has no router any more.
        guard gatheredBytes > 0 else { return }
        router.gatheredBytes -= gatheredBytes
        gatheredBytes = 0
    }

    /// Carries out what a handler has put off until something else was there. What it throws becomes the answer, as if
    /// the handler had thrown it.
    public func handle(_ handler: HTTPRouter.Handler) {
        do { try handler(self) } catch { if isOpen { refuse(router.problem(for: error)) } }
    }

    // MARK: The end

    func drained() { stream?.drained() }

    func abandoned() {
        guard connection != nil else { return }
        let callback = onAbandon
        end()
        callback?()
    }

    /// The exchange is over, and answered or about to be.
    func end() {
        stopWaiting()
        countWhole()
        if let stream { router.ended(lasting: stream) }
        stream?.hasEnded = true
        reading = nil
        handler = nil
        onAbandon = nil
        if connection?.context === self { connection?.context = nil }
        connection = nil
    }

    /// Takes the connection out of HTTP's hands.
    func takeConnection() -> HTTPServerConnection? {
        guard isOpen else { return nil }
        let taken = connection
        end()
        return taken
    }

}

import KernelCryptography
import KernelHosting
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld
import ShellSession

/// One URL: the request, its redirects, and what came back.
final class CurlTransfer: HTTPClientDelegate {
    unowned let program: CurlProgram
    var url: HTTPURL
    let output: CurlOutput
    var report = CurlReport()
    var method: String
    var body: [UInt8]?
    var connection: HTTPClientConnection?
    var startedAt: LabTime
    var hopStartedAt: LabTime
    var timer: TimerID?
    var connectTimer: TimerID?
    var isOver = false
    var isReused = false
    var originalHost: String
    var sawHead = false
    /// Where the last response leads to, or why it leads nowhere; nil if it is no redirect.
    var redirectTarget: Result<HTTPURL, CurlMalformedURL>?
    var sentBody = 0
    var hasEndedBody = false
    var isWaitingForContinue = false
    var continueTimer: TimerID?
    var expectedLength: Int?
    var receivedLength = 0

    /// Bodies of at least this many bytes wait for `100 Continue`, for at most a second, as curl 7.88 does.
    static let expectBytes = 1024 * 1024
    static let pieceBytes = 64 * 1024

    init(_ program: CurlProgram, _ url: HTTPURL, text: String, output: CurlOutput) {
        self.program = program
        self.url = url
        self.output = output
        let options = program.options
        method = options.firstMethod
        body = options.dataInURL ? nil : options.body
        startedAt = program.process.node.world.now
        hopStartedAt = startedAt
        originalHost = url.host
        report.url = text
        report.fileName = output.path ?? ""
        report.referer = options.referer
    }

    var node: Node { program.process.node }
    var options: CurlOptions { program.options }
    var elapsed: LabDuration { node.world.now - startedAt }

    func start() {
        if let limit = options.maxTime { timer = node.after(limit) { [self] in timedOut() } }
        hop()
    }

    // MARK: Connecting

    func hop() {
        hopStartedAt = node.world.now
        sawHead = false
        report.effectiveURL = url.text
        report.method = method
        report.scheme = url.scheme.rawValue.uppercased()
        if let spare = program.takeSpare(for: url) {
            verbose("* Re-using existing connection #0 with host \(url.host)")
            isReused = true
            use(spare)
            report.connect = elapsed
            return sendRequest()
        }
        isReused = false
        let connection = HTTPClientConnection(limits: Self.limits)
        use(connection)
        let security: TLSClient?
        do {
            security = url.scheme == .https ? try program.security.get() : nil
        } catch {
            self.connection = nil
            let trouble = error as? CurlTLSOptions.Trouble
            node.enqueue { [self] in fail(trouble?.text ?? "\(error)", trouble?.status ?? 35) }
            return
        }
        do throws(NetworkError) {
            try connection.connect(
                from: node, to: options.tls.resolved(url.destination), security: security, host: url.host)
        } catch {
            // A connection that never began has nothing to abort.
            self.connection = nil
            node.enqueue { [self] in fail("Could not resolve host: \(url.host)", 6) }
            return
        }
        report.nameLookup = elapsed
        verbose("*   Trying \(connection.stream.remote)...")
        if let limit = options.connectTimeout {
            connectTimer = node.after(limit) { [self] in
                let waited = milliseconds(node.world.now - hopStartedAt)
                fail(
                    "Failed to connect to \(url.host) port \(url.port) after \(waited) ms: Timeout was reached", 28,
                    isTransient: true)
            }
        }
    }

    static var limits: HTTPLimits {
        var limits = HTTPLimits()
        limits.headBytes = 300 * 1024
        limits.startLineBytes = 100 * 1024
        limits.fieldCount = 5000
        limits.readsAsCurl = true
        return limits
    }

    func use(_ connection: HTTPClientConnection) {
        self.connection = connection
        connection.delegate = self
    }

    func milliseconds(_ duration: LabDuration) -> Int { Int(duration.nanoseconds / 1_000_000) }

    func clientOpened(_ client: HTTPClientConnection) {
        node.cancel(connectTimer)
        connectTimer = nil
        report.connects += 1
        report.connect = elapsed
        verbose("* Connected to \(url.host) (\(client.stream.remote.address)) port \(url.port) (#0)")
        describeSecurity(of: client)
        sendRequest()
    }

    // MARK: The request

    func sendRequest() {
        guard let connection else { return }
        report.preTransfer = elapsed
        report.local = connection.stream.local
        report.remote = connection.stream.remote
        let head = requestHead()
        report.requestBytes += head.count
        for line in String(decoding: head, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
            .dropLast()
        {
            verbose("> \(line)\r")
        }
        // Whatever `-X` calls it, to `-I` there comes no body.
        connection.begin(options.isHeadRequest ? .head : HTTPMethod(known: method))
        connection.write(head)
        sentBody = 0
        hasEndedBody = false
        if isWaitingForContinue {
            continueTimer = node.after(.seconds(1)) { [self] in continueBody() }
        } else {
            sendBody()
        }
    }

    func continueBody() {
        guard isWaitingForContinue else { return }
        isWaitingForContinue = false
        node.cancel(continueTimer)
        sendBody()
    }

    func sendBody() {
        guard let body, let connection else { return }
        while sentBody < body.count, !connection.stream.isCongested {
            let end = min(body.count, sentBody + Self.pieceBytes)
            body[sentBody..<end].withUnsafeBytes { connection.write(body: $0, inChunks: isChunked) }
            report.uploadedBytes += end - sentBody
            report.requestBytes += end - sentBody
            sentBody = end
        }
        if isChunked, sentBody == body.count, !hasEndedBody {
            hasEndedBody = true
            connection.endChunks()
        }
    }

    /// Whether the body is cut into chunks: where `-H` says so, in every version, and where its length was not known.
    /// HTTP/1.0 knows no chunks; what is to be sent is all there by now, so its length can be said.
    var isChunked: Bool {
        let coding = options.fields.last { $0.name.lowercased() == "transfer-encoding" }?.value ?? ""
        return coding.lowercased().contains("chunked") || options.isChunked && !options.usesHTTP10
    }

    /// Whom cookies are for: what `-H Host:` says, or else the URL.
    var cookieHost: String {
        guard isOriginalHost, let field = options.fields.last(where: { $0.name.lowercased() == "host" })?.value,
            let url = try? HTTPURL("http://" + field)
        else { return url.host }
        return url.host
    }

    func clientDrained(_ client: HTTPClientConnection) { if !isWaitingForContinue { sendBody() } }

    /// The fields in curl's order: its own, then those of `-H`, which also take the place of its own, then the body's.
    func requestHead() -> [UInt8] {
        var fields = ownFields()
        var custom = options.fields
        if options.bodyIsJSON {
            for name in ["Content-Type", "Accept"] where !options.hasField(name) {
                custom.append((name, "application/json"))
            }
        }
        fields.removeAll { own in custom.contains { $0.name.lowercased() == own.0.lowercased() } }
        let host = options.fields.last { $0.name.lowercased() == "host" }
        if let value = host == nil ? url.authority : host?.value { fields.insert(("Host", value), at: 0) }
        for (name, value) in custom where name.lowercased() != "host" {
            if name.lowercased() == "authorization", !isOriginalHost { continue }
            if let value { fields.append((name, value)) }
        }
        let isNamed = { (name: String) in custom.contains { $0.name.lowercased() == name } }
        fields += bodyFields().filter { !isNamed($0.0.lowercased()) }
        var head: [UInt8] = []
        head.append(utf8: "\(method) \(url.sentTarget) HTTP/1.\(options.usesHTTP10 ? 0 : 1)\r\n")
        for (name, value) in fields {
            if value.isEmpty { head.append(utf8: "\(name):\r\n") } else { HTTPWriter.field(name, value, into: &head) }
        }
        HTTPWriter.endHead(&head)
        return head
    }

    /// Credentials and cookies go to the host they were meant for, and not with a redirect to another one.
    var isOriginalHost: Bool { url.host == originalHost }

    func ownFields() -> [(String, String)] {
        var fields: [(String, String)] = []
        // Who gives no password has an empty one.
        let user = options.user.map { Array(($0.contains(":") ? $0 : $0 + ":").utf8) }
        if let user = user ?? url.credentials, isOriginalHost {
            fields.append(("Authorization", "Basic " + Base64.standard.encode(user)))
        }
        let userAgent = options.userAgent ?? "curl/7.88.1"
        if !userAgent.isEmpty { fields.append(("User-Agent", userAgent)) }
        fields.append(("Accept", "*/*"))
        if let referer = options.referer { fields.append(("Referer", referer)) }
        let stored = program.cookies.field(
            host: cookieHost, target: url.target, isSecure: url.scheme == .https, now: node.wallClock)
        let data = [stored].compactMap { $0 } + options.cookieData
        if !data.isEmpty { fields.append(("Cookie", data.joined(separator: "; "))) }
        return fields
    }

    func bodyFields() -> [(String, String)] {
        isWaitingForContinue = false
        guard let body else { return [] }
        var fields = [isChunked ? ("Transfer-Encoding", "chunked") : ("Content-Length", String(body.count))]
        if !options.isUpload { fields.append(("Content-Type", "application/x-www-form-urlencoded")) }
        let isExpected = body.count >= Self.expectBytes || (options.isUpload && (isChunked || !body.isEmpty))
        isWaitingForContinue = isExpected && !options.usesHTTP10 && !options.hasField("Expect")
        if isWaitingForContinue { fields.append(("Expect", "100-continue")) }
        return fields
    }

    // MARK: The end

    func fail(_ text: String, _ status: Int, isTransient: Bool = false) {
        if isOver { return }
        verbose("* \(text)")
        connection?.abort()
        connection = nil
        end(status, text, isTransient: isTransient)
    }

    func end(_ status: Int, _ error: String?, isTransient: Bool = false, retryAfter: LabDuration? = nil) {
        if isOver { return }
        isOver = true
        for one in [timer, connectTimer, continueTimer] { node.cancel(one) }
        report.total = elapsed
        report.exitCode = status
        report.errorText = error ?? ""
        program.ended(self, status: status, error: error, isTransient: isTransient, retryAfter: retryAfter)
    }

    func verbose(_ line: String) { if options.isVerbose { program.process.errorOutput.write(line + "\n") } }
}

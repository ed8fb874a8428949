import KernelCompression
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import LogModelEngine
import LogStoreEngine
import TimeSeriesEngine

// What is pushed over HTTP. An answer of 2xx leaves after the sync, and not before.
extension LogCollectorHost {
    func mountPush() {
        for path in ["/loki/api/v1/push", "/api/prom/push"] {
            router.on("POST", path) { [unowned self] exchange in try push(exchange) }
        }
        for path in ["/", "/logs"] {
            router.on("POST", path) { [unowned self] exchange in try takeBatch(exchange) }
        }
        router.on("GET", "/ready") { [unowned self] exchange in
            if complaints.isEmpty {
                exchange.answer(text: "ready\n")
            } else {
                exchange.answer(503, text: "not ready\n")
            }
        }
        router.on("GET", "/") { [unowned self] exchange in
            exchange.answer(
                text: "\(node.name): POST lines of JSON to /, Loki's pushes to /loki/api/v1/push; "
                    + "GET /metrics, /health, /ready\n")
        }
    }

    /// More than that does not come out of a body.
    private static let plainLimitBytes = 64 << 20

    /// The body without its `Content-Encoding`.
    ///
    /// - Throws: `HTTPProblem`.
    func plainBody(_ exchange: HTTPExchange) throws -> [UInt8] {
        let encoding = (exchange.field("Content-Encoding") ?? "identity").lowercased()
        let format: CompressionFormat
        switch encoding {
        case "identity", "": return exchange.body
        case "gzip", "x-gzip": format = .gzip
        case "deflate": format = .zlib
        case "zstd": format = .zstd
        case "snappy": return try Self.unpackedSnappy(exchange.body)
        default:
            throw HTTPProblem(
                415, "Content-Encoding '\(encoding)' is not known", remedy: "send gzip, deflate, zstd or snappy")
        }
        do throws(CompressionError) {
            return try format.decompress(exchange.body, limitBytes: Self.plainLimitBytes)
        } catch {
            if case .tooLarge = error { throw HTTPProblem(413, "\(error)") }
            throw HTTPProblem(400, "\(error)")
        }
    }

    /// As Loki's clients send protobuf.
    static func unpackedSnappy(_ bytes: [UInt8]) throws -> [UInt8] {
        do throws(CompressionError) {
            return try SnappyBlock.decompress(bytes, limitBytes: plainLimitBytes)
        } catch {
            if case .tooLarge = error { throw HTTPProblem(413, "\(error)") }
            throw HTTPProblem(400, "the body is \(error)")
        }
    }

    /// - Throws: `HTTPProblem` 429 while there is no room.
    func expectRoom() throws {
        guard isBusy else { return }
        throw HTTPProblem(
            commitFailure == nil ? 429 : 503, commitFailure ?? LogRefusal.overloaded.description,
            remedy: "try again in a second", field: "Retry-After", "1")
    }

    // MARK: Loki's push

    private func push(_ exchange: HTTPExchange) throws {
        try expectRoom()
        let kind = (exchange.field("Content-Type") ?? "").prefix { $0 != ";" }.lowercased()
        let push: LokiPush
        if kind == "application/json" {
            push = try LokiPush(json: try plainBody(exchange))
        } else {
            let encoding = exchange.field("Content-Encoding") ?? ""
            // Snappy belongs to the protobuf form; nobody says so in a header.
            let bytes = encoding.isEmpty ? try Self.unpackedSnappy(exchange.body) : try plainBody(exchange)
            do { push = try LokiPush(protobuf: bytes) } catch { throw HTTPProblem(400, "\(error)") }
        }
        answer(exchange, take(push), success: 204)
    }

    /// Takes all that can be taken, as Loki does.
    ///
    /// - Returns: why the first of the others could not be; one for which it helps to try again comes first.
    func take(_ push: LokiPush) -> LogRefusal? {
        guard let store else { return .overloaded }
        let now = now
        var first: LogRefusal?
        for stream in push.streams {
            for entry in stream.entries {
                let refusal = noted(
                    entry.line.withUnsafeBytes {
                        store.append(
                            stream.labels, entry.time, $0, metadata: entry.metadata, duplicates: .ignored, now: now)
                    })
                guard let refusal else { continue }
                if first == nil || (first?.status != 429 && refusal.status == 429) { first = refusal }
            }
        }
        return first
    }

    /// Answers once what was taken is durable.
    func answer(_ exchange: HTTPExchange, _ refusal: LogRefusal?, success: Int, _ body: JSONValue? = nil) {
        whenDurable { failure in
            if let failure {
                return exchange.refuse(
                    HTTPProblem(503, failure, remedy: "try again in a second", field: "Retry-After", "1"))
            }
            guard let refusal else {
                if let body { exchange.answer(success, json: body) } else { exchange.answer(success) }
                return
            }
            // Loki's clients read the text.
            if refusal.status == 429 { try? exchange.addField("Retry-After", "1") }
            exchange.answer(refusal.status, text: refusal.description + "\n")
        }
    }

    // MARK: Lines in a body

    /// All of it, or nothing: whoever is told to come again sends all of it again, and nobody could tell which of the
    /// lines are there already.
    private func takeBatch(_ exchange: HTTPExchange) throws {
        try expectRoom()
        let batch = try LineBatch(try plainBody(exchange))
        var labels = LineLabels([("host", exchange.remote.map { senderName($0.address) } ?? "")])
        if let refusal = admit(batch, &labels) { return answer(exchange, noted(refusal), success: 200) }
        var refusal: LogRefusal?
        var taken = 0
        batch.forEachLine { line in
            let found = take(line, &labels, isAdmitted: true)
            if found == nil { taken += 1 }
            refusal = refusal ?? found
            return true
        }
        answer(exchange, refusal, success: 200, .object([("stored", .integer(taken))]))
    }

    private func admit(_ batch: LineBatch, _ labels: inout LineLabels) -> LogRefusal? {
        guard let store else { return .overloaded }
        var bytes: [Labels: Int] = [:]
        batch.forEachLine { line in
            // Those are refused one by one.
            if line.count <= settings.limits.lineBytes {
                bytes[labels.labels(of: StructuredLine(line)), default: 0] += line.count
            }
            // More than there can be: no need to know how many.
            return bytes.count <= settings.limits.streams
        }
        return store.admit(bytes, now: now)
    }

    /// A sender's `host`, by whatever protocol it comes. As a process of the machine the collector has the address that
    /// all local senders have: they are not called like itself.
    func senderName(_ address: IPAddress) -> String {
        guard let sender = node.world.nodes.at(address), sender !== node else { return "\(address)" }
        return sender.name
    }
}

/// The lines of a body: an array's elements, or what line feeds part.
private struct LineBatch {
    private let bytes: [UInt8]
    /// Of an array.
    private let values: [JSONCursor]?

    /// - Throws: `JSONError`, `JSONTypeError`.
    init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        let isArray = bytes.first(where: { $0 > 32 }) == UInt8(ascii: "[")
        values = isArray ? try JSONCursor(try JSONValue(parsing: bytes, limits: LokiPush.jsonLimits)).array() : nil
    }

    /// Calls `body` with each until it returns false.
    func forEachLine(_ body: (UnsafeRawBufferPointer) -> Bool) {
        guard let values else { return forEachOwnLine(body) }
        var line: [UInt8] = []
        for value in values {
            line.removeAll(keepingCapacity: true)
            value.value?.write(to: &line)
            if value.value != nil, !line.withUnsafeBytes(body) { return }
        }
    }

    private func forEachOwnLine(_ body: (UnsafeRawBufferPointer) -> Bool) {
        // What is longer than the store takes is to be refused aloud, so the framing lets it through.
        var framing = LineFraming(limitBytes: .max, countsOctets: false)
        var goesOn = true
        _ = bytes.withUnsafeBytes { bytes in
            framing.feed(bytes) { line in
                goesOn = body(line)
                return goesOn
            }
        }
        if goesOn { framing.finish { _ = body($0) } }
    }
}

import GatewayEngine
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import RateLimiterService

/// What the gateway says itself.
extension GatewayExchange {
    func refuse(_ status: Int, _ detail: String, remedy: String? = nil, fields: [(String, String)] = []) {
        let answer = problem(status, detail, remedy: remedy, retryAfter: nil)
        var head: [UInt8] = []
        HTTPWriter.statusLine(status, into: &head)
        HTTPWriter.field("Content-Type", HTTPProblem.contentType, into: &head)
        for (name, value) in fields { HTTPWriter.field(name, value, into: &head) }
        self.answer(&head, status: status, body: answer.body)
    }

    /// What went wrong, RFC 9457, with the number under which the logs know it.
    func problem(_ status: Int, _ detail: String, remedy: String?, retryAfter: LabDuration?)
        -> (fields: [(String, String)], body: [UInt8])
    {
        var problem = HTTPProblem(status, detail, remedy: remedy)
        problem.members = [("request_id", .string(requestID))]
        var fields = [("X-Request-Id", requestID)]
        if let retryAfter { fields.append(("Retry-After", "\(RateLimitFields.seconds(retryAfter))")) }
        fields += crossOriginFields
        return (fields, Array((problem.json.text + "\n").utf8))
    }

    /// What browsers are told; nothing where the route leaves that to its service.
    private var crossOriginFields: [(String, String)] {
        guard let live, live.crossOrigin != nil else { return [] }
        let origin = connection.head.value(of: "Origin")
        return live.crossOrigin(for: origin)?.fields(for: origin) ?? []
    }

    /// Answers the request here.
    ///
    /// - Parameter head: what it says beyond what all answers say.
    func answer(_ head: inout [UInt8], status: Int, body: [UInt8]) {
        appendFields(to: &head, isFromServer: false)
        if let name = connection.options.serverName { HTTPWriter.field("Server", name, into: &head) }
        head.append(contentsOf: node.world.dateField)
        willAnswer(status, isFailure: false)
        over()
        connection.beginRawResponse(&head, status: status, framing: .length(body.count))
        connection.writeBody(body)
        connection.endResponse()
    }

    /// What an answer says of the request, its quota, and who may see it.
    ///
    /// - Parameter isFromServer: whether a server has made it.
    func appendFields(to head: inout [UInt8], isFromServer: Bool) {
        HTTPWriter.field("X-Request-Id", requestID, into: &head)
        guard let live else { return }
        if let decision {
            RateLimitFields.appendCustomary(
                decision.made, limit: RateLimitFields.customaryLimit(rules.limits[decision.limit]),
                wall: node.wallClock, to: &head)
        }
        for (name, value) in crossOriginFields { HTTPWriter.field(name, value, into: &head) }
        if isFromServer {
            head.append(contentsOf: live.responseLines)
            if rules.configuration.showsTiming { HTTPWriter.field("Server-Timing", timing, into: &head) }
        }
    }

    /// Milliseconds here and behind until the answer began: W3C Server Timing.
    private var timing: String {
        let upstream = upstreamSoFar
        let here = age - upstream
        return "gateway;dur=\(trimmedDecimal(here.milliseconds, places: 3)), "
            + "upstream;dur=\(trimmedDecimal(upstream.milliseconds, places: 3))"
    }

    /// An aggregate has its answer.
    func answer(_ outcome: AggregateRun.Outcome) {
        var head: [UInt8] = []
        HTTPWriter.statusLine(outcome.status, into: &head)
        HTTPWriter.field(
            "Content-Type", outcome.isRefused ? HTTPProblem.contentType : "application/json", into: &head)
        HTTPWriter.field("X-Gateway-Complete", outcome.isComplete ? "true" : "false", into: &head)
        if !outcome.isComplete {
            HTTPWriter.field("X-Gateway-Missing", outcome.missing.joined(separator: ", "), into: &head)
            count {
                $0.incomplete += 1
                if outcome.isRefused { $0.failed += 1 }
            }
        }
        // Everybody has his own.
        HTTPWriter.field("Cache-Control", "private, no-store", into: &head)
        answer(&head, status: outcome.status, body: Array((outcome.body.text + "\n").utf8))
    }
}

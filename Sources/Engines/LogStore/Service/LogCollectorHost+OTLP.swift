import KernelHosting
import KernelOTLP
import KernelStructures
import KernelWire
import LogStoreEngine

// OpenTelemetry's logs over HTTP (OTLP 1.x, `/v1/logs`), protobuf or JSON, packed or not.
extension LogCollectorHost {
    func mountOTLP() {
        for path in [OTLPSignal.logs.path, "/otlp\(OTLPSignal.logs.path)"] {
            router.on("POST", path) { [unowned self] exchange in try takeOTLP(exchange) }
        }
    }

    private func takeOTLP(_ exchange: HTTPExchange) throws {
        try expectRoom()
        let kind = (exchange.field("Content-Type") ?? "").prefix { $0 != ";" }.lowercased()
        let isJSON = kind == "application/json"
        guard isJSON || kind == "application/x-protobuf" else {
            throw HTTPProblem(
                415, "Content-Type '\(kind)' is not OTLP's", remedy: "send application/x-protobuf or application/json")
        }
        let bytes = try plainBody(exchange)
        let logs: OTLPLogs
        do throws(OTLPError) {
            logs = try isJSON ? OTLPLogs(json: bytes) : OTLPLogs(protobuf: bytes)
        } catch {
            throw HTTPProblem(400, "\(error)")
        }
        var rejected = 0
        var first: LogRefusal?
        for group in logs.groups {
            for record in group.records {
                guard let refusal = take(OTLPEntry(record, group, now: now)) else { continue }
                rejected += 1
                first = first ?? refusal
                // The client sends all of it again, and what is there already is recognized.
                if refusal.status == 429 { return answer(exchange, refusal, success: 200) }
            }
        }
        let reply = OTLPAnswer(.logs, rejected: rejected, message: first?.description ?? "")
        whenDurable { failure in
            if let failure {
                return exchange.refuse(
                    HTTPProblem(503, failure, remedy: "try again in a second", field: "Retry-After", "1"))
            }
            if isJSON {
                exchange.answer(json: reply.json())
            } else {
                exchange.answer(200, bytes: reply.protobuf(), type: "application/x-protobuf")
            }
        }
    }

    private func take(_ entry: OTLPEntry) -> LogRefusal? {
        guard let store else { return .overloaded }
        return noted(
            entry.entry.line.withUnsafeBytes {
                store.append(
                    entry.labels, entry.entry.time, $0, metadata: entry.entry.metadata, duplicates: .ignored, now: now)
            })
    }
}

import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import ShellSession

extension LogQuestion {
    /// The longest answer in bytes.
    private static let bodyLimitBytes = 128 << 20

    /// What helps where nobody listens.
    static func advice(_ server: HostPort) -> String {
        "no store of logs answers at \(server); start one: log-collector --storage ./logs"
    }

    /// `log-query` at work: this question to the store's API, and its answer as lines, a table or an explanation.
    func asked(by process: Process, at server: HostPort, wantsJSON: Bool, timeout: LabDuration) -> ServerQuestion {
        ServerQuestion(
            process, "GET", target, at: server, whenRefused: Self.advice(server),
            fields: [("Accept", "application/json")] + (wantsJSON ? [] : Self.fieldsForOrder), timeout: timeout,
            limitBytes: Self.bodyLimitBytes,
            isObserver: true
        ) { response throws(CommandFailure) in
            for warning in Self.warnings(of: response) { process.complain("warning: \(warning)") }
            let view = try view(of: response, from: server, now: process.node.wallClock)
            return process.text(of: view, asJSON: wantsJSON)
        }
    }

    /// What the store says is missing in its answer.
    private static func warnings(of response: HTTPCall.Response) -> [String] {
        // They stand in front: most answers have none, and are not read twice.
        let start = String(decoding: response.body.prefix(64), as: UTF8.self)
        guard start.contains("\"warnings\""),
            let json = try? JSONValue(
                parsing: response.body, limits: JSONLimits(bytes: bodyLimitBytes, values: 20_000_000)),
            let warnings = try? JSONCursor(json)["warnings"].array()
        else { return [] }
        return warnings.prefix(10).compactMap { try? $0.string() }
    }

    private func view(of response: HTTPCall.Response, from server: HostPort, now: LabTime) throws(CommandFailure)
        -> View
    {
        guard response.isSuccess else {
            let text = String(decoding: response.body.prefix(2_000), as: UTF8.self).split(separator: "\n").first ?? ""
            throw CommandFailure(text.isEmpty ? "\(server) answers with status \(response.status)" : String(text))
        }
        let limits = JSONLimits(bytes: Self.bodyLimitBytes, values: 20_000_000)
        guard let json = try? JSONValue(parsing: response.body, limits: limits), let data = json["data"] else {
            throw CommandFailure("\(server) does not answer as a store of logs does")
        }
        do {
            return try LogViews.view(of: self, JSONCursor(data), now: now)
        } catch {
            throw CommandFailure("\(server) answers what is no answer: \(error)")
        }
    }
}

import CommandKit
import CommandServices
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import MessageQueueService
import ShellSession

/// What `mq-cli` asks a broker's management.
enum MQQuestion {
    case queues
    case peek(queue: String, count: Int)
    case log(count: Int)
    case trace(String)
    case stats

    /// Path and query.
    func target(in virtualHost: String) -> String {
        let host = PercentCoding.encode(virtualHost)
        switch self {
        case .queues: return "/api/queues/\(host)"
        case .peek(let queue, let count):
            return "/api/queues/\(host)/\(PercentCoding.encode(queue))/peek?count=\(count)"
        case .log(let count): return "/api/log?count=\(count)"
        case .trace(let id): return "/api/trace/\(PercentCoding.encode(id))"
        case .stats: return "/api/overview"
        }
    }
}

/// `mq-cli queues`, `peek`, `log`, `trace`, `stats`: one question to the broker's management, and its answer as a view.
extension MQQuestion {
    func asked(by process: Process, _ arguments: ParsedArguments) -> ServerQuestion {
        let server =
            arguments.endpoint("management")
            ?? HostPort(host: "localhost", port: MessageQueueHost.defaultManagementPort)
        let credentials = arguments.text("user") ?? "guest:guest"
        return ServerQuestion(
            process, "GET", target(in: arguments.text("vhost") ?? "/"), at: server,
            whenRefused: "no broker's management answers at \(server); "
                + "messageq has it beside port 5672, or with --management PORT",
            fields: [
                ("Accept", "application/json"),
                ("Authorization", "Basic " + Base64.standard.encode(Array(credentials.utf8))),
            ]
        ) { response throws(CommandFailure) in
            let view = try view(of: response, from: server)
            return process.text(of: view, for: arguments)
        }
    }

    private func view(of response: HTTPCall.Response, from server: HostPort) throws(CommandFailure) -> View {
        let limits = JSONLimits(bytes: ServerQuestion.bodyLimitBytes)
        guard let json = try? JSONValue(parsing: response.body, limits: limits) else {
            throw CommandFailure(
                "\(server) does not answer as a broker's management does: status \(response.status)")
        }
        if response.isSuccess { return MQViews.view(of: self, json) }
        if response.status == 404, case .peek(let queue, _) = self {
            throw CommandFailure("there is no queue '\(queue)'")
        }
        if case .string(let reason)? = json["reason"] { throw CommandFailure(reason) }
        throw CommandFailure("\(server) answers with status \(response.status)")
    }
}

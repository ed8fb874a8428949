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

    /// Ports beside the usual one at which members of a group are looked for.
    private static let neighbourCount: UInt16 = 6

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
        let named = arguments.endpoint("management")
        let server = named ?? HostPort(host: "localhost", port: MessageQueueHost.defaultManagementPort)
        // Of a group on this machine any member answers, and it need not be the first.
        let others = named != nil ? [] : (1...Self.neighbourCount).map { server.port + $0 }
        let credentials = arguments.text("user") ?? "guest:guest"
        return ServerQuestion(
            process, "GET", target(in: arguments.text("vhost") ?? "/"), at: server,
            whenRefused: "no broker's management answers at \(server)"
                + (others.last.map { ", nor at the ports up to \($0)" } ?? "")
                + "; messageq has it beside port 5672, a group's member at its PORT + 10000, or with --management PORT",
            others: others.map { HostPort(host: server.host, port: $0) },
            fields: [
                ("Accept", "application/json"),
                ("Authorization", "Basic " + Base64.standard.encode(Array(credentials.utf8))),
            ], isObserver: true
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

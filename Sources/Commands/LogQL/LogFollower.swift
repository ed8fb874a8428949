import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// `log-query --follow`: lines as they come in, until it is ended.
final class LogFollower: Program {
    private let process: Process
    private let question: LogQuestion
    private let server: HostPort
    private let wantsJSON: Bool
    private var call: WebSocketCall?
    private var socket: WebSocketConnection?

    init(_ process: Process, _ question: LogQuestion, server: HostPort, wantsJSON: Bool) {
        self.process = process
        self.question = question
        self.server = server
        self.wantsJSON = wantsJSON
    }

    func start() {
        process.node.isObserver = true
        var url = HTTPURL(scheme: .http, host: server.host, port: server.port, target: question.tailTarget)
        url.hasPort = true
        var options = WebSocketConnection.Options()
        options.messageLimitBytes = 64 << 20
        let fields = wantsJSON ? [] : LogQuestion.fieldsForOrder
        let call = WebSocketCall(process.node, url, fields: fields, options: options) { [weak self] result in
            self?.connected(result)
        }
        self.call = call
        call.start()
    }

    private func connected(_ result: Result<WebSocketConnection, HTTPCall.Failure>) {
        call = nil
        switch result {
        case .failure(let failure):
            process.fail(ServerQuestion.sentence(failure, server, whenRefused: LogQuestion.advice(server)))
        case .success(let socket):
            self.socket = socket
            socket.onText = { [weak self] text in self?.received(text) }
            socket.onClosed = { [weak self] _, reason in
                guard let self else { return }
                process.fail("\(server) is gone\(reason.isEmpty ? "" : ": \(reason)")")
            }
        }
    }

    private func received(_ text: String) {
        guard process.isRunning else { return }
        if wantsJSON { return process.output.write(text + "\n") }
        do {
            let message = JSONCursor(
                try JSONValue(parsing: text, limits: JSONLimits(bytes: 64 << 20, values: 1_000_000)))
            let lines = try LogViews.entries(message["streams"], isBackward: false)
            process.output.write(LogViews.text(lines, question, now: process.node.wallClock))
            if let dropped = message["dropped_entries"].ifPresent {
                process.complain(
                    "\(try dropped.array().count) lines came faster than they were taken, and were left out")
            }
        } catch {
            process.fail("\(server) sends what is no line: \(error)")
        }
    }
}

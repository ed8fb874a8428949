import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// A command that asks a server one thing over HTTP: `hash-ring-cli`, `flags-cli`, `metrics`, `mq-cli queues`.
///
/// What is the same for all of them stands here: one request, a limit for the answer's size, a sentence for each way in
/// which there can be none, and an end with status 0 or 1. What is asked, and what an answer means, is the command's.
public final class ServerQuestion: Program {
    /// Makes an answer into what is printed.
    /// - Throws: `CommandFailure`, which is complained about, and is the process's status.
    public typealias Reader = (HTTPCall.Response) throws(CommandFailure) -> String

    /// The longest answer in bytes, where nobody says otherwise.
    public static let bodyLimitBytes = 64 << 20

    private let process: Process
    private let server: HostPort
    private var request: HTTPCall.Request
    /// Who is asked where nobody listens, one after the other.
    private var others: [HostPort]
    private let advice: String
    private let read: Reader

    /// - Parameters:
    ///   - whenRefused: what is wrong and what helps where nobody listens at `server`: "no ring answers at …; start
    ///     one: …".
    ///   - others: who is asked, in this order, where nobody listens at `server`.
    ///   - fields: beyond those that every request has.
    ///   - timeout: for the answer, with its body.
    ///   - limitBytes: the longest answer.
    ///   - isObserver: it asks what has happened, for somebody who looks; it begins no trace.
    public init(
        _ process: Process, _ method: String = "GET", _ target: String, at server: HostPort, whenRefused: String,
        others: [HostPort] = [], fields: [(name: String, value: String)] = [], body: [UInt8]? = nil,
        timeout: LabDuration = .seconds(30),
        limitBytes: Int = bodyLimitBytes, isObserver: Bool = false, read: @escaping Reader
    ) {
        self.process = process
        if isObserver { process.node.isObserver = true }
        self.server = server
        advice = whenRefused
        self.read = read
        self.others = others
        var request = HTTPCall.Request(
            method, url: HTTPURL(host: server.host, port: server.port, target: target))
        request.fields = [("User-Agent", process.name)] + fields
        request.body = body
        request.deadline = timeout
        request.answer = .collected(limitBytes: limitBytes)
        self.request = request
    }

    public func start() {
        HTTPCall(process.node, request) { [self] result in ended(result) }.start()
    }

    private func ended(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        guard process.isRunning else { return }
        if case .failure(.refused) = result, !others.isEmpty {
            let next = others.removeFirst()
            request.url.host = next.host
            request.url.port = next.port
            return start()
        }
        do throws(CommandFailure) {
            let response: HTTPCall.Response
            do throws(HTTPCall.Failure) { response = try result.get() } catch {
                throw CommandFailure(Self.sentence(error, server, whenRefused: advice))
            }
            process.output.write(try read(response))
            process.exit(0)
        } catch {
            process.fail(error.description, status: error.status)
        }
    }

    /// Why a server has not answered, and what helps where nobody listens.
    public static func sentence(_ failure: HTTPCall.Failure, _ server: HostPort, whenRefused advice: String) -> String {
        switch failure {
        case .refused: advice
        case .network(let error): "\(server) cannot be found: \(error)"
        case .deadline(let time): "\(server) did not answer within \(time)"
        case .closed: "\(server) closed the connection before it had answered"
        case .malformed(let error): "\(server) does not speak HTTP: \(error)"
        case .tooLong(let limit): "\(server) answers with more than \(byteCountText(limit))"
        default: "\(server): \(failure)"
        }
    }

    /// The text of a good answer, as the server wrote it; the problem of a bad one.
    /// - Parameter isSaidByLog: the log of the server's node has said it already, for everybody in the lab to see.
    public static func text(_ response: HTTPCall.Response, isSaidByLog: Bool = false) throws(CommandFailure) -> String {
        guard response.isSuccess else { throw CommandFailure(response.problem.description) }
        return isSaidByLog ? "" : String(decoding: response.body, as: UTF8.self)
    }
}

extension Process {
    /// Whether everybody who sees this process's output sees the log of the node at `server` too: one of the same lab.
    public func seesLog(of server: HostPort) -> Bool { !session.isProcess && server.host != "host.internal" }
}

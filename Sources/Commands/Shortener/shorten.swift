import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShellSession
import ShortenerService

extension ShortenerCommands {
    /// `shorten url https://example.com/`, `shorten audit`
    static var shorten: Command {
        let description = CommandDescription(
            "shorten", "makes short links, and asks what has become of them", operates: false,
            subcommands: ShortenCall.subcommands,
            group: .clients)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let server =
                arguments.endpoint("server") ?? HostPort(host: "localhost", port: ShortenerHost.defaultPort)
            var fields = [("Accept", "application/json"), ("Content-Type", "application/json")]
            if let key = try arguments.secret("key") { fields.append(("X-Api-Key", key)) }
            let wantsJSON = arguments.wantsJSON
            let timeout = arguments.duration("timeout") ?? .seconds(10)
            if arguments.verb == "audit", let file = arguments.text("seen") {
                return .running(
                    SeenClicksQuestion(
                        invocation.process, try seen(file, invocation), at: server, fields: fields, timeout: timeout,
                        wantsJSON: wantsJSON))
            }
            let call = try ShortenCall(arguments, now: invocation.process.node.wallClock)
            return .running(
                ServerQuestion(
                    invocation.process, call.method, call.target, at: server, whenRefused: advice(server),
                    fields: fields, body: call.body?.bytes(), timeout: timeout
                ) { response throws(CommandFailure) in
                    if response.status == 401 {
                        throw CommandFailure("the shortener asks for an API key, or for another one: --key KEY")
                    }
                    let text = try ServerQuestion.text(response)
                    guard !wantsJSON, let value = try? JSONValue(parsing: text) else { return text }
                    return call.show(value)
                })
        }
    }

    static func advice(_ server: HostPort) -> String { "no shortener answers at \(server); start one: urlshortener" }

    /// Ids of clicks, one a line.
    private static func seen(_ file: String, _ invocation: Invocation) throws -> [String] {
        let bytes: [UInt8]
        do throws(LabFileError) { bytes = try invocation.session.files.read(file) } catch {
            throw CommandFailure("--seen: \(error.description)")
        }
        guard bytes.count <= SeenClicksQuestion.fileLimitBytes else {
            throw CommandFailure(
                "--seen: \(file) has more than \(byteCountText(SeenClicksQuestion.fileLimitBytes)); split it")
        }
        return bytes.split { $0 == 10 || $0 == 13 }.map { String(decoding: $0, as: UTF8.self) }
    }
}

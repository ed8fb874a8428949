import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import ShellSession

extension MetricsQuestion {
    /// A collector's answer to this question, as people read it.
    /// - Throws: what the collector says is wrong, or that it is none.
    func view(of response: HTTPCall.Response, from server: HostPort) throws(CommandFailure) -> View {
        let limits = JSONLimits(bytes: ServerQuestion.bodyLimitBytes, values: 10_000_000)
        guard let json = try? JSONValue(parsing: response.body, limits: limits) else {
            throw CommandFailure("\(server) does not answer as a collector does: status \(response.status)")
        }
        if case .string(let text)? = json["error"] { throw CommandFailure(text) }
        guard response.isSuccess, let data = json["data"] else {
            throw CommandFailure(response.problem.description)
        }
        do {
            return try MetricsViews.view(of: self, JSONCursor(data))
        } catch {
            throw CommandFailure("\(server) answers what is no answer: \(error)")
        }
    }
}

import CommandKit
import KernelAMQP
import KernelTLS
import ShellSession

extension AMQPURL {
    /// Reads what a flag says of a broker, and what the connection to it is made secret with: the one way for all who
    /// speak AMQP. `amqps://` asks for TLS, and the flags of `TLSFlags.towards` say with whom.
    ///
    /// - Parameters:
    ///   - flag: whose value it is, for complaints: `queue`.
    ///   - isSecret: whether TLS is wanted whatever the URL says.
    /// - Returns: no security for `amqp://`.
    /// - Throws: `UsageError` for what is no URL, and for flags that do not go with it; `CommandFailure` about a file
    ///   that cannot be used.
    package static func broker(
        _ text: String, flag: String, _ invocation: Invocation, isSecret: Bool = false
    ) throws -> (url: AMQPURL, security: TLSClient?) {
        let command = invocation.arguments.description.name
        let url: AMQPURL
        do throws(Malformed) { url = try AMQPURL(text) } catch { throw UsageError("\(command): --\(flag): \(error)") }
        if url.isSecure || isSecret { return (url, try TLSFlags.connecting(invocation)) }
        if let other = TLSFlags.given(invocation.arguments) {
            throw UsageError("\(command): --\(other) is for a broker that speaks TLS; give --\(flag) amqps://…")
        }
        return (url, nil)
    }
}

import KernelStructures
import KernelWire
import LoadBalancerEngine

extension LoadBalancerConfiguration.ForwardedFields {
    /// The lines that tell a server for whom the balancer asks: the same for every request of a connection.
    func lines(for client: String, isSecure: Bool) -> [UInt8] {
        var lines: [UInt8] = []
        if self == .xForwardedFor || self == .both {
            HTTPWriter.field("X-Forwarded-For", client, into: &lines)
            // What a server needs to know for its links and redirects.
            if isSecure { HTTPWriter.field("X-Forwarded-Proto", "https", into: &lines) }
        }
        if self == .forwarded || self == .both {
            // RFC 7239 §6: an IPv6 address stands in brackets, and those in quotes.
            let node = client.contains(":") ? "\"[\(client)]\"" : client
            HTTPWriter.field("Forwarded", "for=\(node);proto=\(isSecure ? "https" : "http")", into: &lines)
        }
        return lines
    }
}

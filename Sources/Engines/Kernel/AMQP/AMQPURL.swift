import KernelStructures
import KernelWire

/// Where a broker is, and as whom one comes: `amqp://user:password@host:5672/vhost`.
///
/// As RabbitMQ's URI specification has it: all parts may be missing; a missing path means `/`, an empty one the virtual
/// host without a name; `%2F` stands for a slash.
public struct AMQPURL: Equatable, Sendable, CustomStringConvertible {
    public var host = "localhost"
    public var port: UInt16
    public var user = "guest"
    public var password = "guest"
    public var virtualHost = "/"
    public var isSecure = false

    public static let defaultPort: UInt16 = 5672
    public static let defaultSecurePort: UInt16 = 5671

    /// What is wrong with one, in words for its author.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public init() { port = Self.defaultPort }

    /// Reads a URL, or `HOST:PORT`, or a port of localhost.
    public init(_ text: String) throws(Malformed) {
        self.init()
        guard let end = text.firstRange(of: "://") else {
            do throws(HostPort.Malformed) {
                let place = try HostPort(reading: Substring(text))
                host = place.host
                port = place.port
                return
            } catch { throw Malformed(description: "'\(text)': \(error)") }
        }
        switch text[..<end.lowerBound].lowercased() {
        case "amqp": break
        case "amqps": (isSecure, port) = (true, Self.defaultSecurePort)
        default: throw Malformed(description: "'\(text)' does not begin with amqp:// or amqps://")
        }
        var rest = text[end.upperBound...]
        if let question = rest.firstIndex(of: "?") { rest = rest[..<question] }
        if let slash = rest.firstIndex(of: "/") {
            let path = rest[rest.index(after: slash)...]
            virtualHost = try Self.decoded(path, in: text)
            rest = rest[..<slash]
        }
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decoded(parts[0], in: text)
            password = parts.count > 1 ? try Self.decoded(parts[1], in: text) : ""
            rest = rest[rest.index(after: at)...]
        }
        if rest.isEmpty { return }
        let behindBrackets = rest.split(separator: "]", omittingEmptySubsequences: false).last ?? rest
        let hasPort = behindBrackets.contains(":")
        do throws(HostPort.Malformed) {
            let place = try HostPort(reading: hasPort ? rest : Substring("\(rest):\(port)"))
            host = place.host
            port = place.port
        } catch { throw Malformed(description: "'\(text)': \(error)") }
    }

    private static func decoded(_ part: Substring, in text: String) throws(Malformed) -> String {
        do throws(PercentCoding.Malformed) { return try PercentCoding.decodeText(part.utf8) } catch {
            throw Malformed(description: "'\(text)': \(error.description)")
        }
    }

    public var destination: HostPort { HostPort(host: host, port: port) }

    /// Without the password.
    public var description: String {
        "\(isSecure ? "amqps" : "amqp")://\(destination)" + (virtualHost == "/" ? "" : "/\(virtualHost)")
    }
}

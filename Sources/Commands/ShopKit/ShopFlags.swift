import CommandKit
import CommandServices
import KernelAMQP
import KernelService
import KernelStructures
import KernelWire
import KernelWorld
import MessageQueueService
import ShellSession
import ShopKitService

/// The flags that every service of the shop has, and what they say.
package enum ShopFlags {
    package typealias Flag = CommandDescription.Flag

    package static let database = Flag(
        "db", "d", .text("URL"), "its database (postgres://db:5432/NAME, of its own name)")
    package static let registry = Flag(
        "registry", nil, .endpoint, "where it registers, and finds the others (nowhere)")
    package static let broker: [Flag] =
        [Flag("mq", nil, .text("URL"), "the message broker: amqp://, amqps:// or HOST:PORT (mq:5672)")]
        + TLSFlags.towards("the broker")

    package static let flags = Flag(
        "flags", nil, .endpoint, "a server of feature flags: fail-SERVICE has it fail (none)")
    /// What all of them have.
    package static let common = [database, registry, flags]

    /// Where the broker is, as `broker` says.
    ///
    /// - Throws: `UsageError` for what is no URL, `CommandFailure` about a file of the flags for TLS.
    package static func broker(_ invocation: Invocation) throws -> BrokerPlace {
        let place = try AMQPURL.broker(invocation.arguments.text("mq") ?? "amqp://mq", flag: "mq", invocation)
        return BrokerPlace(place.url, security: place.security)
    }

    /// - Parameter peers: those whose address a flag of their own name may say.
    /// - Throws: `UsageError` for a database's URL that is none.
    package static func settings(
        _ name: String, port: UInt16, peers: [String] = [], _ arguments: ParsedArguments
    ) throws -> ShopSettings {
        var settings = ShopSettings(name: name, port: port)
        do throws(PostgresURL.Malformed) {
            settings.database = try PostgresURL(arguments.text("db") ?? "postgres://db:5432/\(name)")
        } catch {
            throw UsageError("\(arguments.description.name): --db: \(error)")
        }
        settings.registry = arguments.endpoint("registry")
        settings.flags = arguments.endpoint("flags")
        for peer in peers { settings.peers[peer] = arguments.endpoint(peer) }
        return settings
    }
}

extension ServicePlan {
    /// A service of the shop, which listens where it is told when it starts.
    package init(_ settings: ShopSettings, make: @escaping (Node, ShopSettings, ServiceOptions) -> S) {
        self.init { node, service in
            var settings = settings
            settings.port = service.port
            return make(node, settings, service.options)
        }
    }
}

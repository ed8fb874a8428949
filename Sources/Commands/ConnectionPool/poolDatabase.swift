import CommandKit
import CommandServices
import ConnectionPoolService
import KernelStructures
import ShellSession

extension ConnectionPoolCommands {
    /// `pool-db --port 5432 --name db`
    static var poolDatabase: Command {
        let kind = ServiceKind("pool-db", node: "db", port: .required(example: 5432))
        let description = CommandDescription(
            "pool-db", "a database with nothing in it but latency, for pools to connect to",
            usage: "--port PORT [FLAGS]",
            flags: kind.flags([
                .init("connect-latency", nil, .duration(allowsZero: true), "what a new session costs (1ms)"),
                .init("latency", nil, .duration(allowsZero: true), "how long a query takes (20ms)"),
                .init("cores", nil, .integer(1...1000), "queries worked on at a time; more wait (any number)"),
                .init("max-connections", nil, .integer(1...100_000), "sessions at most; more are refused (100)"),
            ]),
            examples: ["pool-db --port 5432 --name db &", "pool-db --port 5432 --connect-latency 150ms --cores 4 &"],
            group: .components, role: .service,
            details: """
                It speaks RESP: PING, QUERY [MILLISECONDS], BEGIN, COMMIT, ROLLBACK, SESSION,
                RESET and what every RESP server knows, CLIENT LIST among it. The first PING of
                a connection is answered after --connect-latency.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            var settings = PoolDatabase.Settings(port: 0)
            settings.connectLatency = arguments.duration("connect-latency") ?? settings.connectLatency
            settings.queryLatency = arguments.duration("latency") ?? settings.queryLatency
            settings.cores = arguments.integer("cores")
            settings.connectionLimit = arguments.integer("max-connections") ?? settings.connectionLimit
            return ServicePlan { [settings] node, service in
                var settings = settings
                settings.port = service.port
                return PoolDatabase(node: node, settings: settings, options: service.options)
            }
        }
    }
}

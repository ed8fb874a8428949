import CommandKit
import CommandServices
import ConnectionPoolService
import KernelStructures
import ShellSession

extension ConnectionPoolCommands {
    /// `pool-db --port 5432 --name db`
    static var poolDatabase: Command {
        let description = CommandDescription(
            "pool-db", "a database with nothing in it but latency, for pools to connect to",
            usage: "--port PORT [FLAGS]",
            flags: [
                .init("port", "p", .port, "where it listens"),
                .init("name", "n", .text("NAME"), "the name of its node (db)"),
                .init("connect-latency", nil, .duration(allowsZero: true), "what a new session costs (1ms)"),
                .init("latency", nil, .duration(allowsZero: true), "how long a query takes (20ms)"),
                .init("cores", nil, .integer(1...1000), "queries worked on at a time; more wait (any number)"),
                .init("max-connections", nil, .integer(1...100_000), "sessions at most; more are refused (100)"),
                .init("bind", nil, .text("ADDRESS"), "as a process of its own: its address (127.0.0.1)"),
            ],
            examples: ["pool-db --port 5432 --name db &", "pool-db --port 5432 --connect-latency 150ms --cores 4 &"],
            group: .components,
            details: """
                It speaks RESP: PING, QUERY [MILLISECONDS], BEGIN, COMMIT, ROLLBACK, SESSION,
                RESET and what every RESP server knows, CLIENT LIST among it. The first PING of
                a connection is answered after --connect-latency.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            guard let port = arguments.port("port") else {
                throw UsageError("pool-db: on which port? add --port 5432")
            }
            let name = arguments.text("name") ?? "db"
            try checkNodeName(name, command: "pool-db")
            var settings = PoolDatabase.Settings(port: port)
            settings.connectLatency = arguments.duration("connect-latency") ?? settings.connectLatency
            settings.queryLatency = arguments.duration("latency") ?? settings.queryLatency
            settings.cores = arguments.integer("cores")
            settings.connectionLimit = arguments.integer("max-connections") ?? settings.connectionLimit
            return .running(
                ServiceProgram(
                    invocation.process, kind: "pool-db", nodeName: name,
                    make: { PoolDatabase(node: $0, settings: settings) },
                    start: { try $0.start() }, drain: { $0.drain(whenStopped: $1) }, describe: \.stats))
        }
    }
}

extension PoolDatabase {
    var stats: View {
        View(
            .record([
                .init("connections", .integer(connectionCount)), .init("most at a time", .integer(mostConnections)),
                .init("accepted", .integer(acceptedCount)), .init("refused", .integer(rejectedCount)),
                .init("queries", .integer(queryCount)),
            ]))
    }
}

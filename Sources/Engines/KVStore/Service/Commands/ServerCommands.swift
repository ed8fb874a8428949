import KVStoreEngine
import KernelHosting
import KernelRedis
import KernelStructures
import KernelWire

extension KVServer {
    var serverCommands: [RESPCommand] {
        let group = "server"
        func flush(_ name: String) -> RESPCommand {
            command(name, -1, [.write], keys: .none, group: group, "Delete all keys") {
                server, connection, arguments in
                guard arguments.count == 1 || (arguments.count == 2 && ServerCommands.isFlushMode(arguments)) else {
                    return connection.reply.error(Complaint.syntax)
                }
                server.breakWatchesOfKeysThatAreThere()
                try server.keys.removeAll()
                if server.keys.overlay == nil { server.counter.emptied() }
                connection.reply.ok()
            }
        }
        return [
            command("dbsize", 1, [.readOnly, .fast], keys: .none, group: group, "Count the keys") {
                server, connection, _ in try server.withKeyCount(connection) { connection.reply.integer($0.keys) }
            },
            flush("flushdb"), flush("flushall"),
            command("info", -1, [.loading, .stale], keys: .none, group: group, "Describe the server") {
                server, connection, arguments in
                let wanted = (1..<max(1, arguments.count)).map { arguments.text($0).lowercased() }
                guard RESPServer.isInformationWanted("keyspace", wanted) else {
                    return connection.reply.verbatim(server.information(wanted))
                }
                try server.withKeyCount(connection) {
                    connection.reply.verbatim(server.information(wanted, keys: $0))
                }
            },
        ]
    }
}

enum ServerCommands {
    /// Both modes are the same here.
    static func isFlushMode(_ arguments: RESPArguments) -> Bool {
        arguments.isWord(1, "ASYNC") || arguments.isWord(1, "SYNC")
    }
}

import KVStoreEngine
import KernelHosting
import KernelRedis
import KernelStructures
import KernelWire

extension KVServer {
    var numberCommands: [RESPCommand] {
        let group = "string"
        let flags: RESPCommand.Flags = [.write, .denyOutOfMemory, .fast]
        return [
            command("incr", 2, flags, group: group, "Add one to a number") { server, connection, arguments in
                try NumberCommands.add(1, server, connection, arguments)
            },
            command("decr", 2, flags, group: group, "Take one from a number") { server, connection, arguments in
                try NumberCommands.add(-1, server, connection, arguments)
            },
            command("incrby", 3, flags, group: group, "Add to a number", NumberCommands.incrementBy),
            command("decrby", 3, flags, group: group, "Take from a number", NumberCommands.decrementBy),
            command(
                "incrbyfloat", 3, flags, group: group, "Add to a floating-point number",
                NumberCommands.incrementByFloat),
        ]
    }
}

enum NumberCommands {
    static func add(
        _ amount: Int, _ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments
    ) throws(KVStoreError) {
        let old = try server.keys.read(arguments[1]) { payload, expiry in (RESPNumber.integer(payload), expiry) }
        guard let number = old == nil ? 0 : old?.0 else { return connection.reply.error(Complaint.integer) }
        let (sum, overflowed) = number.addingReportingOverflow(amount)
        if overflowed { return connection.reply.error(Complaint.overflow) }
        try server.keys.put(arguments[1], Array(String(sum).utf8), expiry: old?.1 ?? 0)
        connection.reply.integer(sum)
    }

    static func incrementBy(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let amount = arguments.integer(2) else { return connection.reply.error(Complaint.integer) }
        try add(amount, server, connection, arguments)
    }

    static func decrementBy(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        guard let amount = arguments.integer(2) else { return connection.reply.error(Complaint.integer) }
        guard amount != .min else { return connection.reply.error("ERR decrement would overflow") }
        try add(-amount, server, connection, arguments)
    }

    static func incrementByFloat(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        let old = try server.keys.read(arguments[1]) { payload, expiry in (LongNumber(payload), expiry) }
        guard let number = old == nil ? LongNumber.zero : old?.0, let amount = LongNumber(arguments[2]) else {
            return connection.reply.error(Complaint.float)
        }
        let sum = number + amount
        guard sum.isFinite else { return connection.reply.error("ERR increment would produce NaN or Infinity") }
        let text = sum.text
        try server.keys.put(arguments[1], Array(text.utf8), expiry: old?.1 ?? 0)
        connection.reply.bulk(text)
    }
}

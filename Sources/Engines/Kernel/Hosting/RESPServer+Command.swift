import KernelWire

extension RESPServer {
    /// `COMMAND …`: what there is, for clients that complete and hint.
    static var commandCommand: RESPCommand {
        RESPCommand(
            "command", arity: -1, [.loading, .stale], group: "server", "Describe the commands",
            subcommands: [
                sub("count", 2, "Return how many commands there are") { connection, _ in
                    connection.reply.integer(connection.server.table.commands.count)
                },
                sub("list", -2, "Return the names of all commands, or of some", list),
                sub("info", -2, "Describe some commands, or all", information),
                sub("docs", -2, "Document some commands, or all", documentation),
                sub("getkeys", -4, "Return the keys of a whole command", keys),
                sub("help", 2, "Say what there is") { connection, _ in
                    let subcommands = connection.server.table["command"]?.subcommands?.commands ?? []
                    connection.reply.bulks(RESPServer.helpLines("COMMAND", subcommands))
                },
            ],
            action: { connection, _ in
                let commands = connection.server.table.commands
                connection.reply.array(commands.count)
                for command in commands { describe(command, &connection.reply) }
            })
    }

    private static func sub(_ name: String, _ arity: Int, _ summary: String, _ action: @escaping RESPCommand.Action)
        -> RESPCommand
    {
        RESPCommand("command|" + name, arity: arity, [.loading, .stale], group: "server", summary, action: action)
    }

    /// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`: there are no modules, and no
    /// categories are kept.
    private static func list(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        let names = connection.server.table.commands.map(\.name)
        if arguments.count == 2 { return connection.reply.bulks(names) }
        guard arguments.count == 5, arguments.isWord(2, "FILTERBY") else {
            return connection.reply.error("ERR syntax error")
        }
        if arguments.isWord(3, "PATTERN") {
            let pattern = Array(arguments.text(4).lowercased().utf8)
            let all = connection.server.table.commands.flatMap { [$0.name] + $0.subcommandList.map(\.name) }
            connection.reply.bulks(
                all.filter { name in
                    var name = name
                    return name.withUTF8 { GlobMatch.matches(UnsafeRawBufferPointer($0), pattern) }
                })
        } else if arguments.isWord(3, "MODULE") || arguments.isWord(3, "ACLCAT") {
            connection.reply.array(0)
        } else {
            connection.reply.error("ERR syntax error")
        }
    }

    private static func information(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        let table = connection.server.table
        let chosen = arguments.count == 2 ? table.commands : (2..<arguments.count).map { table.find(arguments[$0]) }
        connection.reply.array(chosen.count)
        for command in chosen {
            if let command { describe(command, &connection.reply) } else { connection.reply.null() }
        }
    }

    private static func documentation(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        let table = connection.server.table
        let chosen =
            arguments.count == 2 ? table.commands : (2..<arguments.count).compactMap { table.find(arguments[$0]) }
        connection.reply.value(.map(chosen.flatMap(document)))
    }

    private static func keys(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        guard var command = connection.server.table.find(arguments[2]) else {
            return connection.reply.error("ERR Invalid command specified")
        }
        if let subcommands = command.subcommands, arguments.count > 3 {
            guard let subcommand = subcommands.find(arguments[3]) else {
                return connection.reply.error("ERR Invalid command specified")
            }
            command = subcommand
        }
        guard command.accepts(arguments.count - 2) else {
            return connection.reply.error("ERR Invalid number of arguments specified for command")
        }
        let places = RESPRequest((2..<arguments.count).map { arguments.bytes($0) }).withArguments {
            command.keyPlaces($0)
        }
        guard command.keys.first > 0 || !places.isEmpty else {
            return connection.reply.error("ERR The command has no key arguments")
        }
        connection.reply.array(places.count)
        for place in places { connection.reply.bulk(arguments[2 + place]) }
    }

    /// The ten elements that Redis 7 gives. Categories, tips and key specifications are not kept here.
    private static func describe(_ command: RESPCommand, _ reply: inout RESPWriter) {
        reply.array(10)
        reply.bulk(command.name)
        reply.integer(command.arity)
        let flags = command.flags.names
        reply.set(flags.count)
        for flag in flags { reply.simple(flag) }
        reply.integer(command.keys.first)
        reply.integer(command.keys.last)
        reply.integer(command.keys.step)
        reply.set(0)
        reply.array(0)
        reply.array(0)
        let subcommands = command.subcommands?.commands ?? []
        reply.array(subcommands.count)
        for subcommand in subcommands { describe(subcommand, &reply) }
    }

    /// A command's name, and a map of what there is to say of it.
    private static func document(_ command: RESPCommand) -> [RESPValue] {
        let subcommands = command.subcommandList.flatMap(document)
        var fields: [RESPValue] = [.text("summary"), .text(command.summary), .text("group"), .text(command.group)]
        if !subcommands.isEmpty { fields += [.text("subcommands"), .map(subcommands)] }
        return [.text(command.name), .map(fields)]
    }
}

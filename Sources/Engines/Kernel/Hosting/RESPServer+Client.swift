import KernelStructures
import KernelWire
import KernelWorld

extension RESPServer {
    /// `CLIENT …`: connections, as their clients and administrators see them.
    static var clientCommand: RESPCommand { clientCommand([]) }

    /// `CLIENT …` of a service that knows more of it.
    ///
    /// - Parameter own: the service's subcommands: `client|tracking`. One that has the name of a standard one takes its
    ///   place.
    public static func clientCommand(_ own: [RESPCommand]) -> RESPCommand {
        let names = Set(own.map(\.name))
        return RESPCommand(
            "client", [], group: "connection", "A container for client connection commands",
            subcommands: clientSubcommands.filter { !names.contains($0.name) } + own)
    }

    private static var clientSubcommands: [RESPCommand] {
        [
            sub("id", 2, "Return the ID of this connection") { connection, _ in
                connection.reply.integer(connection.number)
            },
            sub("getname", 2, "Return the name of this connection") { connection, _ in
                if connection.name.isEmpty {
                    connection.reply.null()
                } else {
                    connection.reply.bulk(connection.name)
                }
            },
            sub("setname", 3, "Set the name of this connection", setName),
            sub("setinfo", 4, "Set the client library's name or version", setInformation),
            sub("info", 2, "Describe this connection") { connection, _ in
                connection.reply.verbatim(connection.description + "\n")
            },
            sub("list", -2, "Describe the open connections", list),
            sub("kill", -3, "Close connections", kill),
            sub("pause", -3, "Suspend all clients, or those that write, for so many milliseconds", pause),
            sub("unpause", 2, "Let clients go on that were suspended") { connection, _ in
                connection.server.unpause()
                connection.reply.ok()
            },
            sub("reply", 3, "Say which replies are wanted", setReply),
            sub("no-evict", 3, "Accepted; nothing is ever evicted", setSwitch),
            sub("no-touch", 3, "Accepted; reads leave no trace", setSwitch),
            sub("getredir", 2, "Return -1: there is no tracking") { connection, _ in
                connection.reply.integer(-1)
            },
            sub("help", 2, "Say what there is") { connection, _ in
                let subcommands = connection.server.table["client"]?.subcommands?.commands ?? []
                connection.reply.bulks(RESPServer.helpLines("CLIENT", subcommands))
            },
        ]
    }

    private static func sub(_ name: String, _ arity: Int, _ summary: String, _ action: @escaping RESPCommand.Action)
        -> RESPCommand
    {
        RESPCommand(
            "client|" + name, arity: arity, [.loading, .stale], group: "connection", summary, action: action)
    }

    /// The answer to `X HELP`.
    public static func helpLines(_ name: String, _ subcommands: [RESPCommand]) -> [String] {
        ["\(name) <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
            + subcommands.flatMap { command -> [String] in
                let word = command.name.split(separator: "|").last.map(String.init) ?? command.name
                return [word.uppercased(), "    \(command.summary)."]
            }
    }

    private static func setName(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        guard let name = clientWord(arguments[2]) else { return connection.reply.error(badName) }
        connection.name = name
        connection.reply.ok()
    }

    private static func setInformation(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        let isName = arguments.isWord(2, "LIB-NAME")
        guard isName || arguments.isWord(2, "LIB-VER") else {
            return connection.reply.error("ERR Unrecognized option '", arguments.printed(2), "'")
        }
        guard let word = clientWord(arguments[3]) else {
            let what = isName ? "lib-name" : "lib-ver"
            return connection.reply.error("ERR \(what) cannot contain spaces, newlines or special characters.")
        }
        if isName { connection.libraryName = word } else { connection.libraryVersion = word }
        connection.reply.ok()
    }

    /// `CLIENT LIST [TYPE normal] [ID id…]`
    private static func list(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        var chosen = connection.server.openConnections
        if arguments.count > 2 {
            if arguments.count == 4, arguments.isWord(2, "TYPE") {
                switch arguments.text(3).lowercased() {
                case "normal": chosen = chosen.filter { !$0.subscriptions.isSubscribed }
                case "pubsub": chosen = chosen.filter(\.subscriptions.isSubscribed)
                case "master", "replica", "slave": chosen = []
                default: return connection.reply.error("ERR Unknown client type '", arguments.printed(3), "'")
                }
            } else if arguments.count > 3, arguments.isWord(2, "ID") {
                let numbers = (3..<arguments.count).map { arguments.integer($0) }
                if numbers.contains(nil) { return connection.reply.error("ERR Invalid client ID") }
                chosen = chosen.filter { numbers.contains($0.number) }
            } else {
                return connection.reply.error("ERR syntax error")
            }
        }
        connection.reply.verbatim(chosen.map { $0.description + "\n" }.joined())
    }

    /// `CLIENT PAUSE milliseconds [WRITE | ALL]`
    private static func pause(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        guard arguments.count <= 4 else {
            return connection.reply.error(
                "ERR unknown subcommand or wrong number of arguments for '", arguments.printed(1),
                "'. Try CLIENT HELP.")
        }
        var onlyWrites = false
        if arguments.count == 4 {
            onlyWrites = arguments.isWord(3, "WRITE")
            guard onlyWrites || arguments.isWord(3, "ALL") else {
                return connection.reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL")
            }
        }
        guard let milliseconds = arguments.integer(2) else {
            return connection.reply.error("ERR timeout is not an integer or out of range")
        }
        if milliseconds < 0 { return connection.reply.error("ERR timeout is negative") }
        let now = connection.stream.node.wallClock.nanoseconds / 1_000_000
        guard milliseconds <= Int.max - Int(now) else { return connection.reply.error("ERR timeout is out of range") }
        connection.server.pause(.milliseconds(min(milliseconds, RESPPause.longestMilliseconds)), onlyWrites)
        connection.reply.ok()
    }

    private static func setSwitch(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        if arguments.isWord(2, "ON") || arguments.isWord(2, "OFF") {
            connection.reply.ok()
        } else {
            connection.reply.error("ERR syntax error")
        }
    }

    private static func setReply(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        if arguments.isWord(2, "ON") {
            connection.replyMode = .on
            connection.reply.ok()
        } else if arguments.isWord(2, "OFF") {
            connection.replyMode = .off
        } else if arguments.isWord(2, "SKIP") {
            if connection.replyMode != .off { connection.replyMode = .skipNext }
        } else {
            connection.reply.error("ERR syntax error")
        }
    }
}

extension RESPServerConnection: CustomStringConvertible {
    /// A line of `CLIENT LIST`, with all the fields that libraries look for. What this server does not know is 0, and
    /// the descriptor -1.
    public var description: String {
        let now = stream.node.world.now
        let queued = transaction?.requests.count ?? -1
        let queuedBytes = transaction?.byteCount ?? 0
        let command = lastCommand?.name ?? "NULL"
        return "id=\(number) addr=\(stream.remote) laddr=\(stream.local) fd=-1 name=\(name) "
            + "age=\(Int((now - openedAt).seconds)) idle=\(Int((now - lastRequestAt).seconds)) "
            + "flags=\(flagLetters) db=0 sub=\(subscriptions.channels) psub=\(subscriptions.patterns) "
            + "ssub=\(subscriptions.shardChannels) multi=\(queued) qbuf=\(inputByteCount) "
            + "qbuf-free=0 argv-mem=0 multi-mem=\(queuedBytes) rbs=0 rbp=0 obl=\(reply.count) oll=0 "
            + "omem=\(outputByteCount) tot-mem=\(inputByteCount + outputByteCount + queuedBytes) events=r "
            + "cmd=\(command) user=default redir=\(redirection) resp=\(version.rawValue) lib-name=\(libraryName) "
            + "lib-ver=\(libraryVersion)"
    }
    private var flagLetters: String {
        let letters = (subscriptions.isSubscribed ? "P" : "") + (transaction == nil ? "" : "x") + marks
        return letters.isEmpty ? "N" : letters
    }
}

/// How many channels a connection listens to, for a service that has any.
public struct RESPSubscriptions: Sendable {
    public var channels = 0
    public var patterns = 0
    public var shardChannels = 0
    public init() {}
    public var isSubscribed: Bool { channels + patterns + shardChannels > 0 }
}

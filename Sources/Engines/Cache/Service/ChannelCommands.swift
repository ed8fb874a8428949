import CacheEngine
import KernelHosting
import KernelRedis
import KernelStructures
import KernelWire

extension CacheNode {
    private static let listening: RESPCommand.Flags = [.loading, .stale, .noTransaction]

    var channelCommands: [RESPCommand] {
        let group = "pubsub"
        func listen(_ name: String, _ kind: ChannelTable.Kind, _ summary: String) -> RESPCommand {
            RESPCommand(
                name, arity: -2, Self.listening, keys: kind == .shard ? .all : .none, group: group, summary
            ) { [unowned self] connection, words in subscribe(connection, words, kind) }
        }
        func leave(_ name: String, _ kind: ChannelTable.Kind, _ summary: String) -> RESPCommand {
            RESPCommand(name, arity: -1, Self.listening, group: group, summary) { [unowned self] connection, words in
                unsubscribe(connection, words, kind)
            }
        }
        func publish(_ name: String, isShard: Bool, _ summary: String) -> RESPCommand {
            RESPCommand(
                name, arity: 3, [.loading, .stale, .fast], keys: isShard ? .one : .none, group: group, summary
            ) { [unowned self] connection, words in
                let (channel, message) = (words.bytes(1), words.bytes(2))
                let count = deliver(channel, message, toShard: isShard)
                companion?.published(channel, message, toShard: isShard)
                connection.reply.integer(count)
                if !cache.isInTransaction { announce() }
            }
        }
        return [
            listen("subscribe", .channel, "Listen to channels"),
            listen("psubscribe", .pattern, "Listen to channels of patterns"),
            listen("ssubscribe", .shard, "Listen to shard channels"),
            leave("unsubscribe", .channel, "Stop listening to channels"),
            leave("punsubscribe", .pattern, "Stop listening to channels of patterns"),
            leave("sunsubscribe", .shard, "Stop listening to shard channels"),
            publish("publish", isShard: false, "Send a message to a channel"),
            publish("spublish", isShard: true, "Send a message to a shard channel"),
            pubsubCommand, pingCommand,
        ]
    }

    private func subscribe(_ connection: RESPServerConnection, _ words: RESPArguments, _ kind: ChannelTable.Kind) {
        _ = CacheClient.of(connection)
        for index in 1..<words.count {
            guard channels.count(connection, kind) < ChannelTable.limit else {
                return connection.reply.error("ERR no more than \(ChannelTable.limit) channels a connection")
            }
            channels.add(connection, words.bytes(index), kind)
            confirm(connection, "\(kind.rawValue)subscribe", words.bytes(index), kind)
        }
    }

    private func unsubscribe(_ connection: RESPServerConnection, _ words: RESPArguments, _ kind: ChannelTable.Kind) {
        let names = words.count > 1 ? (1..<words.count).map { words.bytes($0) } : channels.names(connection, kind)
        if names.isEmpty { confirm(connection, "\(kind.rawValue)unsubscribe", nil, kind) }
        for name in names {
            channels.remove(connection, name, kind)
            confirm(connection, "\(kind.rawValue)unsubscribe", name, kind)
        }
    }

    private func confirm(
        _ connection: RESPServerConnection, _ word: String, _ name: [UInt8]?, _ kind: ChannelTable.Kind
    ) {
        let counts = connection.subscriptions
        connection.reply.push(3)
        connection.reply.bulk(word)
        if let name { connection.reply.bulk(name) } else { connection.reply.null() }
        connection.reply.integer(kind == .shard ? counts.shardChannels : counts.channels + counts.patterns)
    }

    /// Tells everybody who listens to a channel, when the present command is over.
    ///
    /// - Returns: how many that are.
    @discardableResult
    public func deliver(_ channel: [UInt8], _ message: [UInt8], toShard: Bool = false) -> Int {
        var count = 0
        for connection in channels.listeners(channel, toShard ? .shard : .channel) {
            count += 1
            let word = toShard ? "smessage" : "message"
            announcements.append(
                Announcement(connection: connection) { reply in
                    reply.push(3)
                    reply.bulk(word)
                    reply.bulk(channel)
                    reply.bulk(message)
                })
        }
        if toShard { return count }
        for pattern in channels.patterns where channel.withUnsafeBytes({ GlobMatch.matches($0, pattern) }) {
            for connection in channels.listeners(pattern, .pattern) {
                count += 1
                announcements.append(
                    Announcement(connection: connection) { reply in
                        reply.push(4)
                        reply.bulk("pmessage")
                        reply.bulk(pattern)
                        reply.bulk(channel)
                        reply.bulk(message)
                    })
            }
        }
        return count
    }

    /// The cache's events are messages on channels whose names begin with `__key`.
    func hookEvents() {
        cache.onEvent = { [unowned self] name, key in
            let classes = cache.settings.notifications
            let key = Array(key)
            if classes.contains(.keyspace) { deliver(Array("__keyspace@0__:".utf8) + key, Array(name.utf8)) }
            if classes.contains(.keyevent) { deliver(Array("__keyevent@0__:\(name)".utf8), key) }
        }
    }

    private var pubsubCommand: RESPCommand {
        func sub(_ name: String, _ arity: Int, _ summary: String, _ action: @escaping RESPCommand.Action) -> RESPCommand
        {
            RESPCommand("pubsub|" + name, arity: arity, [.loading, .stale], group: "pubsub", summary, action: action)
        }
        func active(_ name: String, _ kind: ChannelTable.Kind) -> RESPCommand {
            sub(name, -2, "Return the channels somebody listens to") { [unowned self] connection, words in
                guard words.count <= 3 else {
                    return connection.reply.error("ERR Unknown subcommand or wrong number of arguments for '\(name)'")
                }
                let names = channels.active(kind, matching: words.count == 3 ? words.bytes(2) : nil)
                connection.reply.array(names.count)
                for name in names { connection.reply.bulk(name) }
            }
        }
        func numbers(_ name: String, _ kind: ChannelTable.Kind) -> RESPCommand {
            sub(name, -2, "Return how many listen to channels") { [unowned self] connection, words in
                connection.reply.array((words.count - 2) * 2)
                for index in 2..<words.count {
                    connection.reply.bulk(words[index])
                    connection.reply.integer(channels.listeners(words.bytes(index), kind).count)
                }
            }
        }
        let subcommands = [
            active("channels", .channel), active("shardchannels", .shard), numbers("numsub", .channel),
            numbers("shardnumsub", .shard),
            sub("numpat", 2, "Return how many patterns somebody listens to") { [unowned self] connection, _ in
                connection.reply.integer(channels.patterns.count)
            },
        ]
        let help = sub("help", 2, "Say what there is") { connection, _ in
            connection.reply.bulks(RESPServer.helpLines("PUBSUB", subcommands))
        }
        return RESPCommand(
            "pubsub", [], group: "pubsub", "A container for commands on channels", subcommands: subcommands + [help])
    }

    /// To a subscriber of RESP2 everything is a message, PONG as well.
    private var pingCommand: RESPCommand {
        RESPCommand("ping", arity: -1, [.fast], group: "connection", "Ping the server") { connection, words in
            guard words.count <= 2 else { return connection.reply.error(Complaint.count("ping")) }
            if connection.subscriptions.isSubscribed, connection.version == .two {
                connection.reply.array(2)
                connection.reply.bulk("pong")
                if words.count == 2 { connection.reply.bulk(words[1]) } else { connection.reply.bulk("") }
            } else if words.count == 2 {
                connection.reply.bulk(words[1])
            } else {
                connection.reply.raw("+PONG\r\n")
            }
        }
    }
}

import CacheEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// What `HOTKEYS START` has begun.
struct HotKeyWatch {
    var byCommands: HotKeyTracker
    var byBytes: HotKeyTracker
    let count: Int
    /// One of so many commands is looked at.
    let sampleRatio: Int
    let startedAt: LabTime
    var endedAt: LabTime?
    var seen = 0

    static let countLimit = 64
}

extension CacheNode {
    /// `HOTKEYS START | GET | STOP | RESET`: which keys get most of the commands, and most of the bytes.
    var hotKeysCommand: RESPCommand {
        func sub(_ name: String, _ arity: Int, _ summary: String, _ action: @escaping RESPCommand.Action) -> RESPCommand
        {
            RESPCommand("hotkeys|" + name, arity: arity, [.admin], group: "server", summary, action: action)
        }
        return RESPCommand(
            "hotkeys", [], group: "server", "Find the keys that are asked for most",
            subcommands: [
                sub("start", -2, "Begin to count") { [unowned self] in startHotKeys($0, $1) },
                sub("stop", 2, "Stop, and keep what was counted") { [unowned self] connection, _ in
                    if hotKeys?.endedAt == nil { hotKeys?.endedAt = node.world.now }
                    connection.reply.ok()
                },
                sub("reset", 2, "Forget what was counted") { [unowned self] connection, _ in
                    if let watch = hotKeys, watch.endedAt == nil {
                        return connection.reply.error("ERR hotkeys tracking is under way; stop it first")
                    }
                    hotKeys = nil
                    connection.reply.ok()
                },
                sub("get", 2, "Return what was counted") { [unowned self] connection, _ in describeHotKeys(connection)
                },
            ])
    }

    /// `HOTKEYS START [COUNT k] [SAMPLE ratio] [DURATION seconds]`
    private func startHotKeys(_ connection: RESPServerConnection, _ words: RESPArguments) {
        if let watch = hotKeys, watch.endedAt == nil {
            return connection.reply.error("ERR hotkeys tracking is under way already")
        }
        var count = 10
        var ratio = 1
        var seconds = 0
        for index in stride(from: 2, to: words.count, by: 2) {
            guard index + 1 < words.count else { return connection.reply.error("ERR syntax error") }
            guard let number = words.integer(index + 1), number >= 1, number <= 1_000_000 else {
                return connection.reply.error("ERR value is not an integer or out of range")
            }
            if words.isWord(index, "COUNT") {
                count = min(number, HotKeyWatch.countLimit)
            } else if words.isWord(index, "SAMPLE") {
                ratio = number
            } else if words.isWord(index, "DURATION") {
                seconds = number
            } else {
                return connection.reply.error("ERR syntax error")
            }
        }
        hotKeys = HotKeyWatch(
            byCommands: HotKeyTracker(count: count), byBytes: HotKeyTracker(count: count), count: count,
            sampleRatio: ratio, startedAt: node.world.now)
        let started = node.world.now
        if seconds > 0 {
            _ = node.after(.seconds(seconds)) { [self] in
                if hotKeys?.startedAt == started, hotKeys?.endedAt == nil { hotKeys?.endedAt = node.world.now }
            }
        }
        connection.reply.ok()
    }

    /// Counts a command that has been carried out.
    func countHotKeys(_ command: CacheCommand, _ words: RESPArguments, replyByteCount: Int) {
        guard hotKeys != nil, hotKeys?.endedAt == nil else { return }
        hotKeys!.seen += 1
        guard hotKeys!.seen % hotKeys!.sampleRatio == 0 else { return }
        let places = command.keyPlaces(words)
        guard !places.isEmpty else { return }
        let requestByteCount = (0..<words.count).reduce(0) { $0 + words[$1].count }
        for place in places {
            let key = words.bytes(place)
            hotKeys!.byCommands.add(key)
            hotKeys!.byBytes.add(key, weight: (requestByteCount + replyByteCount) / places.count)
        }
    }

    private func describeHotKeys(_ connection: RESPServerConnection) {
        guard let watch = hotKeys else { return connection.reply.null() }
        func ranking(_ tracker: HotKeyTracker) -> RESPValue {
            .array(tracker.top(watch.count).flatMap { [.bulk($0.key), .integer($0.weight)] })
        }
        connection.reply.map([
            ("tracking-active", .integer(watch.endedAt == nil ? 1 : 0)), ("sample-ratio", .integer(watch.sampleRatio)),
            (
                "collection-duration-ms",
                .integer(Int(((watch.endedAt ?? node.world.now) - watch.startedAt).nanoseconds / 1_000_000))
            ),
            ("sampled-commands", .integer(watch.byCommands.total)), ("by-commands", ranking(watch.byCommands)),
            ("by-net-bytes", ranking(watch.byBytes)),
        ])
    }
}

import KVStoreEngine
import KernelHosting
import KernelRedis
import KernelStructures
import KernelWire
import KernelWorld

/// `SAVE` and `BGSAVE`: a checkpoint in the directory `checkpoint` of the store's own, which opens as a store. Where
/// Redis writes all its keys into one file, this gives the tables that there are a second name.
struct SavingState {
    /// The one that is being made, and since when.
    var current: (checkpoint: Checkpoint, startedAt: LabTime)?
    /// The next one is wanted as soon as the present transaction is over.
    var isScheduled = false
    /// When the last one was complete, in seconds since 1970; as in Redis, at first the server's start.
    var lastSeconds = 0
    var lastSequence: UInt64 = 0
    var hasFailed = false
    var lastDuration: LabDuration?
    /// Who waits for the present one: `SAVE`.
    var waiters: [RESPServerConnection] = []

    static let directoryName = "checkpoint"
}

extension KVServer {
    var savingCommands: [RESPCommand] {
        let group = "server"
        return [
            command(
                "bgsave", -1, [.admin], keys: .none, group: group,
                "Make a checkpoint in the directory `checkpoint`, in the background"
            ) { server, connection, arguments in try server.saveInBackground(connection, arguments) },
            command(
                "save", 1, [.admin, .noTransaction], keys: .none, group: group,
                "Make a checkpoint in the directory `checkpoint`; answers when that is done"
            ) { server, connection, _ in
                if server.saving.current != nil { return connection.reply.error(Self.alreadySaving) }
                try server.beginSaving()
                server.saving.waiters.append(connection)
                connection.suspend()
            },
            command(
                "lastsave", 1, [.loading, .stale, .fast], keys: .none, group: group,
                "Return when the last checkpoint was made, in seconds since 1970"
            ) { server, connection, _ in connection.reply.integer(server.saving.lastSeconds) },
        ]
    }

    private static let alreadySaving = "ERR Background save already in progress"

    /// `BGSAVE [SCHEDULE]`
    private func saveInBackground(_ connection: RESPServerConnection, _ arguments: RESPArguments) throws(KVStoreError) {
        guard arguments.count == 1 || arguments.count == 2 && arguments.isWord(1, "SCHEDULE") else {
            return connection.reply.error(Complaint.syntax)
        }
        if saving.current != nil { return connection.reply.error(Self.alreadySaving) }
        if keys.overlay == nil {
            try beginSaving()
            return connection.reply.simple("Background saving started")
        }
        connection.reply.simple("Background saving scheduled")
        if saving.isScheduled { return }
        saving.isScheduled = true
        node.enqueue { [self] in
            saving.isScheduled = false
            if saving.current != nil || isClosing { return }
            do throws(KVStoreError) { try beginSaving() } catch {
                saving.hasFailed = true
                runtime.log("Checkpoint failed: \(error.description)", level: .error)
            }
        }
    }

    private func beginSaving() throws(KVStoreError) {
        let path = settings.directory + "/" + SavingState.directoryName
        let checkpoint = try store.makeCheckpoint(at: path)
        saving.current = (checkpoint, node.world.now)
        saving.lastSequence = store.lastSequence
        if node.offloadsFiles {
            do throws(OffloadError) {
                try node.offload({ checkpoint.run() }, cost: .zero) { [self] _ in saved(checkpoint) }
                return
            } catch {
                // No thread is free for it: done here.
            }
        }
        node.enqueue { [self] in saveOn(checkpoint) }
    }

    private func saveOn(_ checkpoint: Checkpoint) {
        guard !isClosing else { return }
        let isDone = checkpoint.step(settings.workByteCount)
        node.afterDisk { [self] in if isDone { saved(checkpoint) } else { saveOn(checkpoint) } }
    }

    private func saved(_ checkpoint: Checkpoint) {
        checkpoint.finish()
        guard let (_, startedAt) = saving.current else { return }
        saving.current = nil
        saving.hasFailed = checkpoint.failure != nil
        saving.lastDuration = node.world.now - startedAt
        if let failure = checkpoint.failure {
            runtime.log("Checkpoint failed: \(failure.description)", level: .error)
        } else {
            saving.lastSeconds = nowMilliseconds / 1000
            runtime.log(
                "Checkpoint in \(settings.directoryText + "/" + SavingState.directoryName): \(counted(checkpoint.tableCount, "table")) linked, \(byteCountText(checkpoint.copiedByteCount)) copied"
            )
        }
        let waiters = saving.waiters
        saving.waiters = []
        for connection in waiters {
            if let failure = checkpoint.failure {
                connection.reply.error(Self.text(failure))
            } else {
                connection.reply.ok()
            }
            connection.resume()
        }
        // Tables that only it had kept may go.
        work()
    }

    /// Lines of INFO's persistence.
    var savingInformation: [(String, String)] {
        let now = node.world.now
        let changes = store.lastSequence >= saving.lastSequence ? store.lastSequence - saving.lastSequence : 0
        return [
            ("rdb_changes_since_last_save", "\(changes)"),
            ("rdb_bgsave_in_progress", saving.current == nil ? "0" : "1"),
            ("rdb_last_save_time", "\(saving.lastSeconds)"),
            ("rdb_last_bgsave_status", saving.hasFailed ? "err" : "ok"),
            ("rdb_last_bgsave_time_sec", "\(saving.lastDuration.map { Int($0.seconds) } ?? -1)"),
            (
                "rdb_current_bgsave_time_sec",
                "\(saving.current.map { Int((now - $0.startedAt).seconds) } ?? -1)"
            ),
        ]
    }
}

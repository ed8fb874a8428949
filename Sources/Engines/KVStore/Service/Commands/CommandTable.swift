import KVStoreEngine
import KernelHosting
import KernelWire

extension KVServer {
    /// Throws `KVStoreError` and nothing else.
    typealias Body = (KVServer, RESPServerConnection, RESPArguments) throws -> Void

    /// All that this server does beyond what every RESP server does.
    var commands: [RESPCommand] {
        stringCommands + numberCommands + keyCommands + expiryCommands + transactionCommands + serverCommands
            + savingCommands + [configCommand, lsmCommand]
    }

    /// A command whose errors from the store become replies.
    func command(
        _ name: String, _ arity: Int, _ flags: RESPCommand.Flags, keys: RESPCommand.Keys = .one, group: String,
        _ summary: String, _ body: @escaping Body
    ) -> RESPCommand {
        RESPCommand(name, arity: arity, flags, keys: keys, group: group, summary) {
            [unowned self] connection, arguments in run(connection, arguments, body)
        }
    }

    @inline(__always)
    func run(_ connection: RESPServerConnection, _ arguments: RESPArguments, _ body: Body) {
        let start = connection.reply.count
        keys.now = nowMilliseconds
        do {
            try body(self, connection, arguments)
        } catch {
            connection.reply.truncate(to: start)
            retry(connection, arguments, body, after: error, start)
        }
    }

    /// A full disk may have room by now: one more try, then the error.
    private func retry(
        _ connection: RESPServerConnection, _ arguments: RESPArguments, _ body: Body, after error: any Error,
        _ start: Int
    ) {
        var last = error
        if case KVStoreError.readOnly(.diskFull) = error {
            resumeIfPossible()
            if store.readOnlyReason == nil {
                do { return try body(self, connection, arguments) } catch { last = error }
                connection.reply.truncate(to: start)
            }
        }
        connection.reply.error((last as? KVStoreError).map(Self.text) ?? "ERR \(last)")
    }
}

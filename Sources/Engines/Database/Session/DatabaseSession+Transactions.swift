import KernelSQLite
import KernelStructures
import KernelWire

/// How transactions begin, nest and end.
extension DatabaseSession {
    /// The transaction that the next statement belongs to; a new one if there is none.
    func currentTransaction() -> Transaction {
        if let transaction { return transaction }
        let transaction = makeTransaction(.init(), isBlock: false)
        self.transaction = transaction
        context.transactionTime = context.statementTime
        return transaction
    }

    private func makeTransaction(_ modes: TransactionCommand.Modes, isBlock: Bool) -> Transaction {
        let settings = context.settings
        let isolation = modes.isolation ?? .init(rawValue: settings.value("default_transaction_isolation") ?? "")
        return Transaction(
            isBlock: isBlock, isolation: isolation ?? .readCommitted,
            isReadOnly: modes.isReadOnly ?? settings.isOn("default_transaction_read_only"), settings: settings)
    }

    // MARK: Connections

    /// Takes the pen: afterwards the transaction's connection may write.
    ///
    /// - Returns: false if the session has to wait for it.
    func beginWriting() throws(PostgresError) -> Bool {
        guard let database else { throw PostgresError(.internalError, "no database") }
        let transaction = currentTransaction()
        if transaction.isWriting { return true }
        guard database.acquireWriter(self) else {
            try beginWait(.writer)
            return false
        }
        do throws(PostgresError) {
            let connection: DatabaseConnection
            if let own = transaction.connection { connection = own } else { connection = try takeConnection() }
            transaction.connection = connection
            // A transaction that has a snapshot cannot begin anew: it tries to write on it.
            try connection.run(transaction.hasSnapshot ? "DELETE FROM sdlab_catalogue WHERE 0" : "BEGIN IMMEDIATE")
            if !transaction.hasSnapshot {
                for savepoint in transaction.savepoints { try connection.run("SAVEPOINT s\(savepoint.number)") }
            }
            transaction.isWriting = true
            try connection.catalogue.refresh()
        } catch {
            if !transaction.isWriting, !transaction.hasSnapshot { giveBackConnection(transaction) }
            database.releaseWriter(self)
            throw error
        }
        return true
    }

    /// The connection on which a statement that only reads runs, and whether it is to be given back after it.
    func connectionForReading() throws(PostgresError) -> (DatabaseConnection, isOwned: Bool) {
        guard let database else { throw PostgresError(.internalError, "no database") }
        let transaction = currentTransaction()
        if let connection = transaction.connection { return (connection, false) }
        let connection = try takeConnection()
        if transaction.keepsSnapshot, transaction.isBlock {
            transaction.connection = connection
            transaction.hasSnapshot = true
            try connection.run("BEGIN")
            for savepoint in transaction.savepoints { try connection.run("SAVEPOINT s\(savepoint.number)") }
            try connection.catalogue.refresh()
            return (connection, false)
        }
        do throws(PostgresError) { try refresh(connection, database) } catch {
            database.giveBack(connection)
            throw error
        }
        return (connection, true)
    }

    private func takeConnection() throws(PostgresError) -> DatabaseConnection {
        guard let database else { throw PostgresError(.internalError, "no database") }
        return try database.takeConnection()
    }

    func giveBackConnection(_ transaction: Transaction) {
        guard let connection = transaction.connection else { return }
        transaction.connection = nil
        connection.end()
        database?.giveBack(connection)
    }

    // MARK: Ends

    /// What belongs together without BEGIN is over.
    func finishImplicit() throws(PostgresError) {
        guard let transaction, !transaction.isBlock else { return }
        try commit()
    }

    func commit() throws(PostgresError) {
        guard let transaction, let database else { return }
        guard database.hasRoom(for: transaction.notifications) else {
            rollBack()
            throw PostgresError(
                .programLimitExceeded, "too many notifications in the NOTIFY queue",
                hint: "A session that listens is in a transaction, or does not read what it is sent.")
        }
        closePortals { $0.cursor?.isHoldable != true }
        try keepHoldableCursors()
        if let connection = transaction.connection, transaction.isWriting || transaction.hasSnapshot {
            if transaction.isWriting { try endTemporaryTables(connection) }
            try connection.run("COMMIT")
            if transaction.isWriting {
                database.noteCommit()
                database.catalogueVersion = connection.catalogue.version
            }
        }
        self.transaction = nil
        giveBackConnection(transaction)
        database.releaseWriter(self)
        database.advisoryLocks.releaseAll(self) { isOfTransaction in isOfTransaction }
        apply(transaction.listening)
        for notification in transaction.notifications { database.notify(notification) }
        restoreSettings(transaction.settingsToKeep)
    }

    func rollBack() {
        guard let transaction, let database else { return }
        self.transaction = nil
        closePortals { $0.cursor?.isHoldable != true || $0.stored == nil }
        if let connection = transaction.connection {
            if transaction.isWriting || transaction.hasSnapshot { database.noteRollback() }
            connection.rollBack()
        }
        giveBackConnection(transaction)
        database.releaseWriter(self)
        database.advisoryLocks.releaseAll(self) { isOfTransaction in isOfTransaction }
        restoreSettings(transaction.settingsBefore)
    }

    /// A statement has failed. A block stays, and refuses everything but its end; nobody waits for it any more unless
    /// it can go back to a savepoint.
    func abortTransaction() {
        guard let transaction else { return }
        guard transaction.isBlock else { return rollBack() }
        transaction.isFailed = true
        if let connection = transaction.connection, !connection.sqlite.isInTransaction {
            // SQLite has rolled it back by itself: the disk was full, or worse.
            transaction.savepoints = []
        }
        guard transaction.savepoints.isEmpty else { return }
        closePortals { $0.cursor?.isHoldable != true || $0.stored == nil }
        transaction.connection?.rollBack()
        giveBackConnection(transaction)
        transaction.isWriting = false
        transaction.hasSnapshot = false
        database?.releaseWriter(self)
    }

    /// Puts settings back, and tells the client what of it changes.
    private func restoreSettings(_ settings: SessionSettings) {
        let before = context.settings
        context.settings = settings
        report(since: before)
    }

    func report(since before: SessionSettings) {
        guard !context.settings.isSame(as: before) else { return }
        noteSettings()
        for (old, new) in zip(before.reported, context.settings.reported) where old.value != new.value {
            output.write(.parameterStatus(name: new.name, value: new.value))
        }
    }

    // MARK: Commands

    func carryOut(_ command: TransactionCommand) throws(PostgresError) -> String {
        switch command {
        case .begin(let modes):
            begin(modes)
            return "BEGIN"
        case .commit(let isChained): return try end(isCommit: true, isChained: isChained)
        case .rollback(let isChained): return try end(isCommit: false, isChained: isChained)
        case .savepoint(let name): try savepoint(name)
        case .release(let name): try release(name)
        case .rollbackTo(let name):
            try rollBack(to: name)
            return "ROLLBACK"
        case .setModes(let modes): try set(modes)
        case .setDefaultModes(let modes): try setDefault(modes)
        }
        switch command {
        case .savepoint: return "SAVEPOINT"
        case .release: return "RELEASE"
        default: return "SET"
        }
    }

    private func begin(_ modes: TransactionCommand.Modes) {
        if let transaction, transaction.isBlock {
            warn(.activeTransaction, "there is already a transaction in progress")
            return
        }
        guard let transaction else {
            transaction = makeTransaction(modes, isBlock: true)
            context.transactionTime = context.statementTime
            return
        }
        transaction.isBlock = true
        if let isolation = modes.isolation { transaction.isolation = isolation }
        if let isReadOnly = modes.isReadOnly { transaction.isReadOnly = isReadOnly }
    }

    func warn(_ state: SQLState, _ message: String) {
        context.notices.append(PostgresError(state, message, severity: .warning))
    }

    private func end(isCommit: Bool, isChained: Bool) throws(PostgresError) -> String {
        guard let transaction, transaction.isBlock else {
            if isChained {
                throw PostgresError(
                    .noActiveTransaction,
                    "\(isCommit ? "COMMIT" : "ROLLBACK") AND CHAIN can only be used in transaction blocks")
            }
            warn(.noActiveTransaction, "there is no transaction in progress")
            if isCommit { try commit() } else { rollBack() }
            return isCommit ? "COMMIT" : "ROLLBACK"
        }
        let isCommitted = isCommit && !transaction.isFailed
        if isCommitted { try commit() } else { rollBack() }
        if isChained {
            self.transaction = makeTransaction(
                .init(isolation: transaction.isolation, isReadOnly: transaction.isReadOnly), isBlock: true)
            context.transactionTime = context.statementTime
        }
        return isCommitted ? "COMMIT" : "ROLLBACK"
    }

    private func set(_ modes: TransactionCommand.Modes) throws(PostgresError) {
        guard let transaction, transaction.isBlock else {
            return warn(.noActiveTransaction, "SET TRANSACTION can only be used in transaction blocks")
        }
        if let isolation = modes.isolation, isolation != transaction.isolation {
            guard !transaction.hasBegun else {
                throw PostgresError(
                    .activeTransaction, "SET TRANSACTION ISOLATION LEVEL must be called before any query")
            }
            transaction.isolation = isolation
        }
        if let isReadOnly = modes.isReadOnly {
            guard isReadOnly || !transaction.isReadOnly || !transaction.hasBegun else {
                throw PostgresError(
                    .activeTransaction, "transaction read-write mode must be set before any query")
            }
            transaction.isReadOnly = isReadOnly
        }
    }

    private func setDefault(_ modes: TransactionCommand.Modes) throws(PostgresError) {
        if let isolation = modes.isolation { try set("default_transaction_isolation", isolation.rawValue) }
        if let isReadOnly = modes.isReadOnly { try set("default_transaction_read_only", isReadOnly ? "on" : "off") }
    }

    // MARK: Savepoints

    private func block(_ command: String) throws(PostgresError) -> Transaction {
        guard let transaction, transaction.isBlock else {
            throw PostgresError(.noActiveTransaction, "\(command) can only be used in transaction blocks")
        }
        return transaction
    }

    private func savepoint(_ name: String) throws(PostgresError) {
        let transaction = try block("SAVEPOINT")
        guard transaction.savepoints.count < Transaction.savepointLimit else {
            throw PostgresError(.programLimitExceeded, "too many savepoints")
        }
        let savepoint = transaction.addSavepoint(name, settings: context.settings, portalNumber: portalCount)
        try transaction.connection?.run("SAVEPOINT s\(savepoint.number)")
    }

    private func place(_ name: String, _ transaction: Transaction) throws(PostgresError) -> Int {
        guard let index = transaction.savepoints.lastIndex(where: { $0.name == name }) else {
            throw PostgresError(.invalidSavepoint, "savepoint \"\(name)\" does not exist")
        }
        return index
    }

    private func release(_ name: String) throws(PostgresError) {
        let transaction = try block("RELEASE SAVEPOINT")
        let index = try place(name, transaction)
        try transaction.connection?.run("RELEASE s\(transaction.savepoints[index].number)")
        transaction.savepoints.removeSubrange(index...)
    }

    private func rollBack(to name: String) throws(PostgresError) {
        let transaction = try block("ROLLBACK TO SAVEPOINT")
        let index = try place(name, transaction)
        let savepoint = transaction.savepoints[index]
        closePortals { $0.number > savepoint.portalNumber }
        if let connection = transaction.connection {
            try connection.run("ROLLBACK TO s\(savepoint.number)")
            connection.catalogue.forget()
            try connection.catalogue.refresh()
        }
        transaction.savepoints.removeSubrange((index + 1)...)
        transaction.forgetNotifications(after: savepoint.notificationCount)
        transaction.listening.removeLast(transaction.listening.count - savepoint.listeningCount)
        transaction.settingsToKeep = savepoint.settingsToKeep
        transaction.isFailed = false
        restoreSettings(savepoint.settings)
    }
}

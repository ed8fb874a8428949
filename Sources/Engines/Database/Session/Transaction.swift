import KernelStructures
import KernelWire

/// A transaction of a session: one that BEGIN began (a block), or what belongs together without it.
final class Transaction {
    /// Only COMMIT or ROLLBACK ends it.
    var isBlock: Bool
    var isolation: TransactionCommand.Isolation
    var isReadOnly: Bool
    /// A statement has failed; the rest is refused.
    var isFailed = false
    /// The connection that it keeps: it writes, or has a snapshot.
    var connection: DatabaseConnection?
    /// BEGIN IMMEDIATE was said on the connection, or the snapshot's transaction has begun to write.
    var isWriting = false
    var hasSnapshot = false
    /// Something was carried out in it, so that its isolation stands.
    var hasBegun = false
    var savepoints: [Savepoint] = []
    private var savepointNumber = 0
    /// What it will tell at its end, each once.
    var notifications: [Notification] = []
    private var knownNotifications: Set<Notification> = []
    private var notificationByteCount = 0
    /// LISTEN and UNLISTEN count from the commit on; nil stands for UNLISTEN *.
    var listening: [(channel: String?, isOn: Bool)] = []
    /// What the session's settings were before it, and outside of SET LOCAL.
    let settingsBefore: SessionSettings
    var settingsToKeep: SessionSettings

    struct Savepoint {
        let name: String
        /// To SQLite it is `s<number>`.
        let number: Int
        let settings: SessionSettings
        let settingsToKeep: SessionSettings
        let notificationCount: Int
        let listeningCount: Int
        /// Portals that exist before it.
        let portalNumber: Int
    }

    init(isBlock: Bool, isolation: TransactionCommand.Isolation, isReadOnly: Bool, settings: SessionSettings) {
        self.isBlock = isBlock
        self.isolation = isolation
        self.isReadOnly = isReadOnly
        settingsBefore = settings
        settingsToKeep = settings
    }

    var keepsSnapshot: Bool { isolation == .repeatableRead || isolation == .serializable }

    func addSavepoint(_ name: String, settings: SessionSettings, portalNumber: Int) -> Savepoint {
        savepointNumber += 1
        let savepoint = Savepoint(
            name: name, number: savepointNumber, settings: settings, settingsToKeep: settingsToKeep,
            notificationCount: notifications.count, listeningCount: listening.count, portalNumber: portalNumber)
        savepoints.append(savepoint)
        return savepoint
    }

    /// - Returns: false if there are too many already.
    func add(_ notification: Notification) -> Bool {
        guard !knownNotifications.contains(notification) else { return true }
        guard notificationByteCount + notification.byteCount <= Self.notificationByteLimit else { return false }
        knownNotifications.insert(notification)
        notifications.append(notification)
        notificationByteCount += notification.byteCount
        return true
    }

    func forgetNotifications(after count: Int) {
        for notification in notifications[count...] {
            knownNotifications.remove(notification)
            notificationByteCount -= notification.byteCount
        }
        notifications.removeLast(notifications.count - count)
    }

    /// Limits of one transaction; more is refused with 54000.
    static let savepointLimit = 10_000
    static let notificationByteLimit = 16 << 20
}

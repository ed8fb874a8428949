import KernelStructures
import KernelWire
import MessageQueueService
import ShortenerEngine

/// How a shortener is run.
public struct ShortenerSettings {
    public enum Store: Sendable {
        /// A file of SQLite's on the node's disk.
        case file(path: String, text: String)
        case postgres(PostgresURL, text: String)
    }

    public var store: Store
    /// Where clicks wait on the node's disk.
    public var clickDirectory: String
    /// What stands before a code; nil for `http://` and the host that the client asked.
    public var base: String?
    public var codeLength = 6
    public var redirect = Redirect.permanent
    /// Keys of which one has to come with each request to the APIs; empty: anybody may ask.
    public var apiKeys: [String] = []
    /// Links that one client may make in a minute; nil for any number.
    public var createsPerMinute: Int? = 6000
    /// Links that are kept in memory.
    public var cacheCapacity = 100_000
    /// A broker by way of which clicks come into the database; nil for straight.
    public var queue: BrokerPlace?
    /// A cache that several shorteners share, and that speaks Redis's protocol; nil for none.
    public var sharedCache: HostPort?
    /// From a click to its row in the database, and the most that a power failure can take.
    public var flushInterval = LabDuration.seconds(1)
    /// What is added to UTC for the days that clicks are counted by.
    public var zoneSeconds = 0
    /// Whether links may lead into the visitor's own house: 127.0.0.1, 10.0.0.0/8, localhost.
    public var allowsPrivate = true
    /// Where visitors go whose link is over; nil for 410. See `SpecialTarget`.
    public var fallback: String?
    /// What becomes of a path behind a code.
    public var extraPath = ExtraPath.refuse

    /// Shlink's three ways (`REDIRECT_EXTRA_PATH_MODE`).
    public enum ExtraPath: String, CaseIterable, Sendable {
        /// There is no such link.
        case refuse
        /// It is put behind the path that the link leads to.
        case append
        case ignore
    }

    public init(store: Store, clickDirectory: String) {
        self.store = store
        self.clickDirectory = clickDirectory
    }
}

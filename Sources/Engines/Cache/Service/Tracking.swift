import CacheEngine
import KernelHosting
import KernelStructures
import KernelWire

/// How a client wants to be told that what it has cached is no longer true (`CLIENT TRACKING`).
struct Tracking {
    /// Another connection that is told instead.
    var redirection: Int?
    /// Told of every key of its prefixes, whether it has read it or not.
    var isBroadcasting = false
    var prefixes: [[UInt8]] = []
    /// Only commands behind CLIENT CACHING YES count; or all but those behind CLIENT CACHING NO.
    var optsIn = false
    var optsOut = false
    /// Not told of what it changes itself.
    var noLoop = false
    /// What CLIENT CACHING said of the next command.
    var caching: Bool?
    /// Whether the present command's keys are remembered.
    var isTrackingNow = true
    /// The connection that is told instead has gone.
    var isBroken = false
}

/// Which clients have read which keys.
///
/// The problem: a client that keeps values itself is quick until somebody changes one; then it is wrong, and does not
/// know. So the server remembers who has read what, and tells them, once, when it changes. What it remembers is
/// bounded: of the oldest keys the clients are told that they are no longer true, which is safe.
final class TrackingTable {
    private var readers: [[UInt8]: [Int]] = [:]
    private var order = RingQueue<[UInt8]>()
    /// Clients that track, by connection number.
    private(set) var clients: [Int: CacheClient] = [:]
    private(set) var broadcasters: [CacheClient] = []

    var isOn: Bool { !clients.isEmpty }
    var keyCount: Int { readers.count }

    func start(_ client: CacheClient) {
        clients[client.connection.number] = client
        broadcasters.removeAll { $0 === client }
        if client.tracking?.isBroadcasting == true { broadcasters.append(client) }
    }

    /// What it has read is forgotten when the key changes.
    func stop(_ client: CacheClient) {
        client.tracking = nil
        clients[client.connection.number] = nil
        broadcasters.removeAll { $0 === client }
        if clients.isEmpty {
            readers = [:]
            order.removeAll()
        }
    }

    func add(_ key: [UInt8], _ client: CacheClient) {
        let number = client.connection.number
        if readers[key] == nil {
            readers[key] = [number]
            order.append(key)
        } else if !readers[key]!.contains(number) {
            readers[key]!.append(number)
        }
    }

    /// Who has read a key; from now on nobody has.
    func take(_ key: [UInt8]) -> [Int] { readers.removeValue(forKey: key) ?? [] }

    /// The oldest key that somebody has read, if there are more of them than that.
    func oldest(beyond limit: Int) -> [UInt8]? {
        while let key = order.first, readers[key] == nil || readers.count > limit {
            _ = order.popFirst()
            if readers[key] != nil { return key }
        }
        return nil
    }

    func removeAll() {
        readers = [:]
        order.removeAll()
    }
}

extension CacheNode {
    /// Before each command of a client that tracks: whether its keys count.
    func prepareTracking(_ client: CacheClient) {
        guard var tracking = client.tracking else { return }
        if tracking.optsIn {
            tracking.isTrackingNow = tracking.caching == true
        } else if tracking.optsOut {
            tracking.isTrackingNow = tracking.caching != false
        }
        tracking.caching = nil
        client.tracking = tracking
    }

    /// Remembers what a command has read.
    func track(_ connection: RESPServerConnection, _ command: CacheCommand, _ words: RESPArguments) {
        guard let client = connection.context as? CacheClient, let own = client.tracking, own.isTrackingNow,
            !own.isBroadcasting
        else { return }
        for place in command.keyPlaces(words) { tracking.add(words.bytes(place), client) }
        while let key = tracking.oldest(beyond: settings.trackedKeyLimit) { invalidate(key, isForgotten: true) }
    }

    /// A key was changed, or is not remembered any more.
    func invalidate(_ key: [UInt8], isForgotten: Bool = false) {
        for number in tracking.take(key) {
            if let client = tracking.clients[number] { tell(client, key, isForgotten: isForgotten) }
        }
        if isForgotten { return }
        for client in tracking.broadcasters {
            let prefixes = client.tracking?.prefixes ?? []
            if prefixes.isEmpty || prefixes.contains(where: { key.starts(with: $0) }) { tell(client, key) }
        }
    }

    /// Everything was deleted.
    func invalidateAll() {
        tracking.removeAll()
        for client in tracking.clients.values.sorted(by: { $0.connection.number < $1.connection.number }) {
            tell(client, nil)
        }
    }

    private func tell(_ client: CacheClient, _ key: [UInt8]?, isForgotten: Bool = false) {
        guard let own = client.tracking else { return }
        if own.noLoop, !isForgotten, client.connection === current { return }
        var target = client.connection
        if let number = own.redirection {
            guard let other = server.openConnections.first(where: { $0.number == number }) else {
                guard !own.isBroken else { return }
                client.tracking?.isBroken = true
                return announceBroken(client, number)
            }
            target = other
        }
        let isSubscribed = channels.listeners(Self.invalidationChannel, .channel).contains { $0 === target }
        guard target.version == .three || isSubscribed else { return }
        announcements.append(
            Announcement(connection: target) { reply in
                if reply.version == .three {
                    reply.push(2)
                    reply.bulk("invalidate")
                } else {
                    reply.array(3)
                    reply.bulk("message")
                    reply.bulk(Self.invalidationChannel)
                }
                guard let key else { return reply.nullArray() }
                reply.array(1)
                reply.bulk(key)
            })
    }

    private static let invalidationChannel = Array("__redis__:invalidate".utf8)

    private func announceBroken(_ client: CacheClient, _ number: Int) {
        guard client.connection.version == .three else { return }
        announcements.append(
            Announcement(connection: client.connection) { reply in
                reply.push(2)
                reply.bulk("tracking-redir-broken")
                reply.integer(number)
            })
    }
}

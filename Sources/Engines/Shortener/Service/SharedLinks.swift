import CacheLayerEngine
import CacheLayerService
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import ShortenerEngine

/// What stands between a shortener's own memory and the database: the cache layer (see its essay), alone or with a
/// cache that several shorteners share (`--shared-cache redis://…`: the lab's node or cluster, or a Redis).
///
/// However many visitors ask for a link that nobody knows, the database is asked once. In front of it are links as
/// they are answered, without a detour (`LinkCache`); those are forgotten when the layer hears of a change, and not
/// kept at all while it hears of none.
final class SharedLinks {
    private let node: Node
    private var host: LayerHost!
    private let remote: RESPRemote?
    private var listener: NoticeListener?
    private let log: (LogMessage) -> Void
    /// Another shortener has changed the link, or, for nil, it is not known which were changed.
    var onChange: ((_ code: String?) -> Void)?
    /// Whether links may be kept in front of the layer.
    private(set) var mayKeep = true

    private static let channel = "urls:changes"

    /// A link as it is cached; visits are not: they are another number with each.
    private final class Cached: Sendable {
        let link: Link
        init(_ link: Link) { self.link = link }

        static let codec = CacheCodec(
            encode: { object in (object as? Cached).map { LinkTables.encoded($0.link) } ?? [] },
            decode: { bytes in
                guard let link = LinkTables.link(encoded: bytes) else { throw Unreadable() }
                return Cached(link)
            })
    }

    private struct Unreadable: Error {}

    /// - Parameter cache: that others share; nil for none.
    init(_ node: Node, _ database: any LinkDatabase, cache: HostPort?, log: @escaping (LogMessage) -> Void) {
        self.node = node
        self.log = log
        var configuration = CacheConfiguration(strategy: [.readThrough], ttl: .seconds(600), keyPrefix: "url:")
        // What is not there may be made at any moment.
        configuration.negativeTTL = .zero
        configuration.localTTL = cache == nil ? nil : .seconds(1)
        let layer = CacheLayer(
            configuration, codec: cache == nil ? nil : Cached.codec, hasRemote: cache != nil,
            random: node.draw { $0.fork("links") })
        remote = cache.map { place in
            RESPRemote(
                node: node, destination: place, timeout: .seconds(1),
                dialect: RESPDialect(origin: "\(node.name)-\(node.draw { $0.next() })"))
        }
        host = LayerHost(
            node: node, layer: layer, source: Self.source(database), remote: remote, log: nil)
        host.onTrouble = { log($0) }
    }

    private static func source(_ database: any LinkDatabase) -> LayerHost.Source {
        LayerHost.Source(
            load: { code, done in
                database.run([LinkTables.select(code)]) { result in
                    switch result {
                    case .failure(let failure): done(.failed(failure.description))
                    case .success(let rows):
                        let found = rows.first?.first.flatMap(LinkTables.link)
                        done(found.map { .value(Cached($0.link), version: UInt64(max(0, $0.link.version))) } ?? .absent)
                    }
                }
            }, store: { _, _, done in done(.refused("links are not written through the cache")) },
            storeAll: { _, done in done(.success([])) })
    }

    /// Follows what others change. Until that works, nothing is kept in front of the shared cache.
    func start() {
        guard let remote else { return }
        mayKeep = false
        host.hears(false)
        let listener = NoticeListener(node: node, destination: remote.destination, channel: Self.channel)
        listener.onHearing = { [weak self] isHearing in self?.hears(isHearing) }
        listener.onNotice = { [weak self] text in
            guard let self, let notice = remote.dialect.notice(text) else { return }
            host.heard(notice)
            if case .key(let key) = notice { onChange?(String(key.dropFirst("url:".utf8.count))) }
        }
        self.listener = listener
        listener.start()
    }

    private func hears(_ isHearing: Bool) {
        remote?.dialect.channel = listener?.isUnsupported == true ? nil : Self.channel
        if isHearing != mayKeep { log(isHearing ? "Shared cache connected" : "Shared cache lost") }
        mayKeep = isHearing
        host.hears(isHearing)
        // What was said meanwhile is never said again.
        onChange?(nil)
    }

    /// Looks a link up; nil: there is none.
    func read(_ code: String, _ done: @escaping (Result<Link?, LinkDatabaseFailure>) -> Void) {
        host.read(code, by: node.name) { result in
            switch result {
            case .success(let answer): done(.success((answer?.value as? Cached)?.link))
            case .failure(let failure):
                done(.failure(LinkDatabaseFailure(description: "\(failure)", isPassing: true)))
            }
        }
    }

    /// The database says that another shortener has changed it.
    func heard(_ code: String) { host.heard(.key("url:" + code)) }

    /// The link was changed in the database: nobody gets the old one after `done`, or, where the shared cache does not
    /// answer, after that has thrown it away itself.
    func invalidate(_ code: String, _ done: @escaping () -> Void = {}) { host.invalidate(code) { _ in done() } }

    var counters: CacheCounters { host.layer.counters }

    func close() {
        listener?.close()
        remote?.close()
    }
}

import KernelAMQP
import KernelHosting
import KernelStructures
import KernelWorld
import MessageQueueService
import ShopKitService

/// Publishes what stands in the outbox, and strikes it off once the broker has confirmed it.
///
/// An event is written together with the change that it tells of, and published afterwards: so there is none without
/// its change, and none is forgotten. One may be published twice, if a crash comes between the confirm and the striking
/// off; consumers know it by its identifier. They go out one after the other, in the order in which they happened.
final class OutboxRelay {
    private let host: ShopHost
    private let database: ShopDatabase
    private let link: BrokerLink
    private var isBusy = false
    private var hasMore = false
    private var timer: TimerID?
    private(set) var publishedCount = 0

    private static let batch = 100

    init(_ host: ShopHost, _ database: ShopDatabase, _ link: BrokerLink) {
        self.host = host
        self.database = database
        self.link = link
    }

    /// There may be something.
    func kick() {
        guard !isBusy else {
            hasMore = true
            return
        }
        guard link.isReady else { return }
        isBusy = true
        hasMore = false
        let sql = "select number, event_id, key, body, traceparent from outbox order by number limit \(Self.batch)"
        database.rows(sql) { [weak self] result in
            guard let self else { return }
            guard case .success(let rows) = result else { return later() }
            if rows.count == Self.batch { hasMore = true }
            publish(rows[...])
        }
    }

    private func publish(_ rows: ArraySlice<ShopRow>) {
        guard let row = rows.first else { return done() }
        let orderID = String(row.text(1).prefix { $0 != "-" })
        host.runtime.log("→ Publishing \(row.text(2)) event...")
        var headers: AMQPTable?
        if let trace = row.optional(4) { headers = ["traceparent": .string(Array(trace.utf8))] }
        link.publish(Array(row.text(3).utf8), key: row.text(2), messageID: row.text(1), headers: headers) {
            [weak self] isThere in
            guard let self else { return }
            guard isThere else { return later() }
            publishedCount += 1
            host.node.log("MQ", "Published: \(row.text(2)) (\(id: orderID))")
            database.execute("delete from outbox where number = $1", [.number(row.number(0))]) { [weak self] result in
                guard case .success = result else { self?.later(); return }
                self?.publish(rows.dropFirst())
            }
        }
    }

    private func done() {
        isBusy = false
        if hasMore { kick() }
    }

    private func later() {
        isBusy = false
        host.node.cancel(timer)
        timer = host.node.after(.seconds(1)) { [weak self] in self?.kick() }
    }
}

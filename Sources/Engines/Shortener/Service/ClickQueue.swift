import KernelAMQP
import KernelHosting
import KernelJSON
import KernelStorage
import KernelStructures
import KernelWorld
import MessageQueueService
import ShortenerEngine

/// Clicks by way of a message broker (`--queue amqp://…` or `amqps://…`: the lab's or a RabbitMQ) in place of straight
/// into the database: one that is slow or away holds up the broker's queue, and nobody else.
///
/// The turnstile's book (`ClickLog`) is copied page by page: each page says whose it is, where it begins and where it
/// ends. The broker confirms a page before the next one goes. Whoever enters pages into the database compares where a
/// page begins with where the book of its owner has got to: what has been entered is skipped, a page that comes too
/// early is put back, and two who enter the same page at once cannot both (`url_pages`). So each click is counted once,
/// however often a page comes, and whichever shortener takes it.
final class ClickQueue {
    private unowned let host: ShortenerHost
    private let link: BrokerLink
    private var waiting: [AMQPDelivery] = []
    private var isEntering = false
    private var isClosed = false
    private var early: (id: String, since: LabTime)?
    private var hasSaidForeign = false
    private(set) var pagesSent = 0
    private(set) var pagesEntered = 0

    static let name = "url-clicks"
    static let exchange = "urls"
    /// Bytes of the book on a page.
    static let pageLimitBytes = 64 << 10
    /// How long a page waits for the one before it, until that is given up.
    private static let patience = LabDuration.seconds(30)

    init(_ host: ShortenerHost, _ place: BrokerPlace) {
        self.host = host
        link = BrokerLink(
            host.node, place, exchange: Self.exchange,
            declarations: [
                .queueDeclare(
                    queue: Self.name, passive: false, durable: true, exclusive: false, autoDelete: false, noWait: false,
                    arguments: [:]),
                .queueBind(
                    queue: Self.name, exchange: Self.exchange, routingKey: "clicks", noWait: false, arguments: [:]),
            ])
    }

    /// Whether the broker can be told something now.
    var isReady: Bool { link.isReady }

    func start() {
        link.consume(Self.name)
        link.onTrouble = { [unowned self] in host.runtime.log("Broker: \($0)", level: .warning) }
        link.onMessage = { [unowned self] delivery in
            waiting.append(delivery)
            enterNext()
        }
        // What was not acknowledged comes again on the next connection.
        link.onReady = { [unowned self] in waiting = [] }
        link.start()
    }

    func close() {
        isClosed = true
        link.close()
    }

    // MARK: Sending

    /// A part of somebody's book.
    struct Page {
        /// Whose clicks they are; nil for a page of a version that did not say it.
        var database: UInt64?
        var node: String
        var life: Int
        var begin: ClickPosition
        var end: ClickPosition
        var syncedAt: LabTime
        /// Each with where it ends.
        var clicks: [(end: ClickPosition, click: Click)]
    }

    /// Sends a page; `done` hears whether the broker has it.
    func send(_ page: Page, _ done: @escaping (Bool) -> Void) {
        let id = "\(page.node) \(page.begin.segment) \(page.begin.offset)"
        link.publish(page.json.bytes(), key: "clicks", messageID: id) { [self] isTaken in
            if isTaken { pagesSent += 1 }
            done(isTaken)
        }
    }

    // MARK: Entering

    private func enterNext() {
        guard !isEntering, !isClosed, let delivery = waiting.first else { return }
        guard let page = Page(delivery.body) else {
            host.runtime.log("Broker: a message that is no page of clicks was put aside", level: .warning)
            waiting.removeFirst()
            link.settle(delivery, .hopeless)
            return enterNext()
        }
        isEntering = true
        guard let database = host.clicks.database else { return settle(delivery, .again, after: .milliseconds(500)) }
        guard page.database ?? database == database else { return giveBack(delivery) }
        host.database.run("SELECT segment, place FROM url_positions WHERE name = $1", [.text(page.node)]) {
            [self] result in
            switch result {
            case .failure: settle(delivery, .again, after: .milliseconds(500))
            case .success(let rows):
                let known = rows.first.map { ClickPosition(segment: $0[0].integer ?? 0, offset: $0[1].integer ?? 0) }
                enter(page, known ?? ClickPosition(), delivery)
            }
        }
    }

    /// A page of another database: whoever has that takes it.
    private func giveBack(_ delivery: AMQPDelivery) {
        if !hasSaidForeign {
            let remedy = "give each a virtual host of its own: amqp://HOST/NAME"
            host.runtime.log("Broker: clicks of another database come by the same queue; \(remedy)", level: .warning)
        }
        hasSaidForeign = true
        settle(delivery, .again, after: .milliseconds(100))
    }

    private func enter(_ page: Page, _ known: ClickPosition, _ delivery: AMQPDelivery) {
        guard known < page.end else { return settle(delivery, .done) }
        if known < page.begin, isTooEarly(page) { return settle(delivery, .again, after: .milliseconds(50)) }
        let clicks = page.clicks.filter { known < $0.end }.map(\.click)
        let book = LifeBook(node: page.node, life: page.life)
        let entry = ClickEntry(host: host, name: page.node, end: page.end)
        let more = { (count: Int) -> [LinkStatement] in
            [book.counted(count, syncedAt: page.syncedAt, lost: nil)] + LinkTables.page(page.node, page.end)
        }
        entry.make(clicks, with: more) { [self] result in
            switch result {
            case .failure: settle(delivery, .again, after: .milliseconds(500))
            case .success:
                pagesEntered += 1
                settle(delivery, .done)
            }
        }
    }

    /// Whether the page before it may still come.
    private func isTooEarly(_ page: Page) -> Bool {
        let id = "\(page.node) \(page.begin.segment) \(page.begin.offset)"
        let now = host.node.world.now
        if early?.id != id { early = (id, now) }
        guard let since = early?.since, now - since > Self.patience else { return true }
        host.runtime.log("Clicks of \(page.node) before page \(id) never came from the broker", level: .error)
        return false
    }

    private func settle(_ delivery: AMQPDelivery, _ verdict: BrokerLink.Verdict, after pause: LabDuration = .zero) {
        let finish = { [self] in
            isEntering = false
            // The connection may have been made anew meanwhile: then it is another delivery that comes.
            guard !isClosed, let first = waiting.first, first.deliveryTag == delivery.deliveryTag,
                first.properties.messageID == delivery.properties.messageID
            else { return enterNext() }
            waiting.removeFirst()
            link.settle(delivery, verdict)
            enterNext()
        }
        if pause > .zero { host.node.after(pause, finish) } else { finish() }
    }
}

extension ClickQueue.Page {
    var json: JSONValue {
        [
            "database": database.map { .string(hexadecimal($0)) } ?? .null, "node": .string(node),
            "life": .integer(life), "begin": Self.json(begin), "end": Self.json(end),
            "synced_at": .string("\(syncedAt)"),
            "clicks": .array(
                clicks.map { end, click in
                    var members: [(key: String, value: JSONValue)] = [
                        ("end", .integer(end.offset)), ("code", .string(click.code)),
                        ("time", .string("\(click.time)")), ("referrer", .string(click.referrer)),
                        ("agent", .string(click.agent.rawValue)), ("visitor", .string(hexadecimal(click.visitor))),
                    ]
                    if let name = click.name { members.append(("name", Self.json(name))) }
                    return .object(members)
                }),
        ]
    }

    private static func json(_ name: ClickName) -> JSONValue {
        [.integer(Int(name.book)), .integer(Int(name.serial))]
    }

    private static func name(_ cursor: JSONCursor) throws -> ClickName {
        let parts = try cursor.array()
        guard parts.count == 2 else { throw cursor.error("no name") }
        let numbers = try parts.map { UInt64(try $0.integer(in: 0...((1 << 62) - 1))) }
        return ClickName(book: numbers[0], serial: numbers[1])
    }

    private static func json(_ position: ClickPosition) -> JSONValue {
        [.integer(position.segment), .integer(position.offset)]
    }

    private static func position(_ cursor: JSONCursor) throws -> ClickPosition {
        let parts = try cursor.array()
        guard parts.count == 2 else { throw cursor.error("no position") }
        return ClickPosition(
            segment: try parts[0].integer(in: 0...(1 << 40)), offset: try parts[1].integer(in: 0...(1 << 40)))
    }

    /// Nil for what is none.
    init?(_ body: [UInt8]) {
        do {
            let cursor = JSONCursor(try JSONValue(parsing: body))
            database = try cursor["database"].ifPresent.flatMap { UInt64(try $0.string(), radix: 16) }
            node = try cursor["node"].string()
            life = try cursor["life"].integer(in: 0...(1 << 40))
            begin = try Self.position(cursor["begin"])
            let end = try Self.position(cursor["end"])
            self.end = end
            guard let syncedAt = LabTime(parsing: try cursor["synced_at"].string()) else { return nil }
            self.syncedAt = syncedAt
            clicks = try cursor["clicks"].array().map { one in
                guard let time = LabTime(parsing: try one["time"].string()),
                    let visitor = UInt64(try one["visitor"].string(), radix: 16)
                else { throw one.error("no click") }
                let click = Click(
                    code: try one["code"].string(), time: time, referrer: try one["referrer"].string(),
                    agent: VisitorAgent(rawValue: try one["agent"].string()) ?? .other, visitor: visitor,
                    name: try one["name"].ifPresent.map(Self.name))
                let place = try one["end"].integer(in: 0...(1 << 40))
                return (ClickPosition(segment: end.segment, offset: place), click)
            }
        } catch { return nil }
    }
}

import KernelStorage
import KernelStructures
import KernelWorld
import ShortenerEngine

/// Takes clicks from the log into the database, a second's worth at a time, each exactly once: where the counting has
/// got to is written in the same transaction as what was counted.
final class ClickCounter {
    private unowned let host: ShortenerHost
    private let log: ClickLog
    private var position = ClickPosition()
    /// With a broker: the end of the last page that it has, and how many clicks are on their way from there into the
    /// database, up to which name.
    private var sentEnd = ClickPosition()
    private var sentCount = 0
    private var sentName: ClickName?
    /// Up to where the present flush goes: traffic that never rests must not keep those who wait for it.
    private var goal = ClickPosition()
    private var book: LifeBook
    /// Whether the database may know this life already.
    private var hasBegun = false
    /// What the next click is called.
    private(set) var nextName = ClickName(book: 0, serial: 0)
    /// How names look to those who have clicked; nil until the database has told its secret.
    private(set) var seal: ClickSeal!
    private var isFlushing = false
    private var flushWaiters: [(LinkDatabaseFailure?) -> Void] = []
    private var timer: TimerID?
    private(set) var countedCount = 0
    private(set) var waitingCount = 0
    /// Of those that the disk has not taken, how many the database knows of.
    private var enteredLosses = 0
    private var trouble: String?
    /// Bytes of an earlier life that were no whole record.
    private var tornBytes = 0
    /// When what is being counted was synced.
    private var syncedAt = LabTime(nanoseconds: 0)
    private var limited = LimitedClicks()
    /// The database's own, so that a visitor is the same one to each life, and to all who share it. Until the database
    /// has told it, what is proposed to it.
    private(set) var secret: UInt64
    /// Which database this is, among those whose clicks come by one broker; nil until it has told.
    private(set) var database: UInt64?

    init(_ host: ShortenerHost, _ log: ClickLog) {
        self.host = host
        self.log = log
        book = LifeBook(node: host.node.name, life: log.end.segment)
        secret = host.node.draw { $0.next() }
    }

    var complaints: [String] { trouble.map { ["clicks: \($0)"] } ?? [] }

    /// Clicks on their way, of a code whose visits are limited.
    func uncounted(_ code: String) -> Int { limited.count(of: code) }

    // MARK: The beginning and the end of a life

    /// Learns the database's secrets, and where an earlier life has stopped, and counts what it has left.
    func open(_ done: @escaping (LinkDatabaseFailure?) -> Void) {
        var proposals = [(name: "visitors", value: secret)]
        for name in ["click names 1", "click names 2", "database"] {
            proposals.append((name, host.node.draw { $0.next() }))
        }
        let questions = [
            LinkStatement("SELECT segment, place FROM url_positions WHERE name = $1", [.text(host.node.name)]),
            LinkStatement("SELECT max(life) FROM url_lives WHERE node = $1", [.text(host.node.name)]),
        ]
        host.database.run(questions + LinkTables.secrets(proposals)) { [self] result in
            switch result {
            case .failure(let failure): done(failure)
            case .success(let answers):
                let secrets = answers.suffix(proposals.count).map {
                    UInt64(bitPattern: Int64($0.first?.first?.integer ?? 0))
                }
                secret = secrets[0]
                seal = ClickSeal(key: (secrets[1], secrets[2]))
                database = secrets[3]
                if let row = answers[0].first {
                    position = ClickPosition(segment: row[0].integer ?? 0, offset: row[1].integer ?? 0)
                }
                do throws(DiskError) {
                    try goOn(behind: answers[1].first?.first?.integer ?? 0)
                } catch {
                    return done(LinkDatabaseFailure(description: "\(error)", isPassing: true))
                }
                if host.queue != nil {
                    position = max(position, log.handedOn() ?? ClickPosition())
                    sentEnd = position
                    // The broker may be away: nobody waits for it.
                    flush { _ in }
                    return beginLife(recovered: 0, done)
                }
                let before = countedCount
                flush { [self] failure in
                    let count = countedCount - before
                    if count > 0 { host.runtime.log("Recovered \(counted(count, "click")) that had not been counted") }
                    if let failure { done(failure) } else { beginLife(recovered: count, done) }
                }
            }
        }
    }

    /// Where the directory of clicks is another than the one that the database has counted from, positions and lives
    /// go on behind those of the old one.
    private func goOn(behind life: Int) throws(DiskError) {
        // After a beginning that failed half way, the life that is known may be this one.
        guard !hasBegun else { return }
        try log.goOn(behind: max(position.segment, life))
        book = LifeBook(node: host.node.name, life: log.end.segment)
    }

    private func beginLife(recovered count: Int, _ done: @escaping (LinkDatabaseFailure?) -> Void) {
        // Chance, and the life's number, in case that a lab is made again with the same chance on the same disk.
        let number = mixed(host.node.draw { $0.next() } ^ mixed(UInt64(truncatingIfNeeded: book.life))) >> 2
        hasBegun = true
        var statements = book.begin(
            at: host.node.wallClock, number: number, recovered: count, tornBytes: tornBytes, lost: log.earlierLosses)
        // All that earlier lives have left is counted, which whoever looks for a click has to know.
        if host.queue == nil { statements.insert(LinkTables.setPosition(host.node.name, position), at: 0) }
        host.database.run(statements) { [self] result in
            switch result {
            case .failure(let failure): done(failure)
            case .success(let answers):
                let number = answers.last?.first?.first?.integer ?? 0
                nextName = ClickName(book: UInt64(truncatingIfNeeded: number), serial: 0)
                if log.earlierLosses > 0 { try? log.setLost(0) }
                done(nil)
            }
        }
    }

    /// The last entry of this life's book.
    func endLife(_ done: @escaping () -> Void) {
        host.database.run([book.end(at: host.node.wallClock, lost: host.counts.lostClicks)]) { _ in done() }
    }

    func close() {
        host.node.cancel(timer)
        timer = nil
        log.close()
    }

    /// Gives a click its name, and writes it down before any answer leaves: at once, or together with others of the
    /// same round of input.
    ///
    /// - Parameter isLimited: whether its link is good for so many visits only.
    /// - Returns: nil if the disk has not taken it.
    func add(_ click: Click, isLimited: Bool) -> ClickName? {
        let name = nextName
        var click = click
        click.name = name
        log.gather(click)
        let isFirst = log.gatheredCount == 1
        let comesLater = isFirst && host.node.world.network.beforeLeaving { [self] in write() }
        waitingCount += 1
        if isFirst && !comesLater || log.gatheredCount == Self.gatherLimit { guard write() else { return nil } }
        nextName = name.next
        if isLimited || limited.isWatching && limited.isWatched(click.code) { limited.add(name, click.code) }
        flushLater()
        return name
    }

    private func flushLater() {
        guard timer == nil, !isFlushing else { return }
        timer = host.node.after(host.settings.flushInterval) { [self] in flush { _ in } }
    }

    /// Clicks that are written together at most.
    private static let gatherLimit = 1024

    @discardableResult
    private func write() -> Bool {
        let count = log.gatheredCount
        do throws(DiskError) {
            try log.write()
            return true
        } catch {
            if trouble == nil { host.runtime.log("Clicks are lost: \("\(error)")", level: .error) }
            trouble = "\(error)"
            host.counts.lostClicks += count
            waitingCount = max(0, waitingCount - count)
            noteLosses()
            return false
        }
    }

    /// What is lost is written down at once for those who ask after a kill, and told to the database soon.
    private func noteLosses() {
        do throws(DiskError) { try log.setLost(host.counts.lostClicks) } catch {
            host.runtime.log(
                "After a kill nobody will know of \(host.counts.lostClicks) lost clicks: \("\(error)")", level: .error)
        }
        flushLater()
    }

    /// From now on the link's clicks are known at once, also where nobody has limited them so far.
    func watch(_ code: String) { limited.watch(code) }
    func unwatch(_ code: String) { limited.unwatch(code) }

    // MARK: Into the database

    /// Counts all that has been written down until now.
    ///
    /// - Parameter done: with what went wrong; the clicks are still in the log then.
    func flush(_ done: @escaping (LinkDatabaseFailure?) -> Void) {
        flushWaiters.append(done)
        write()
        goal = log.end
        guard !isFlushing else { return }
        isFlushing = true
        host.node.cancel(timer)
        timer = nil
        step()
    }

    private func step() {
        write()
        let reading: ClickLog.Reading
        do throws(DiskError) {
            try log.sync()
            syncedAt = host.node.wallClock
            reading =
                host.queue == nil
                ? try log.read(from: position) : try log.read(from: position, limit: ClickQueue.pageLimitBytes)
        } catch {
            return end(LinkDatabaseFailure(description: "\(error)", isPassing: true))
        }
        if reading.tornBytes > 0 || reading.damagedSegments > 0 {
            tornBytes += reading.tornBytes
            let damage = reading.damagedSegments > 0 ? ", and damaged" : ""
            host.runtime.log(
                "Clicks: \(reading.tornBytes) bytes at the end of a segment were no whole record\(damage)",
                level: .warning)
        }
        // Where another life's clicks end is news to the broker's other end, too.
        let endsLife =
            host.queue?.isReady == true && sentEnd.segment > 0 && reading.end.segment > sentEnd.segment
        guard !reading.clicks.isEmpty || endsLife else {
            position = reading.end
            return sentCount == 0 ? enterLosses() : awaitEntry(until: host.node.world.now + Self.entryPatience)
        }
        if let queue = host.queue { return send(reading, queue) }
        let entry = ClickEntry(host: host, name: host.node.name, end: reading.end)
        let (syncedAt, lost) = (syncedAt, host.counts.lostClicks)
        entry.make(reading.clicks, with: { [book] in [book.counted($0, syncedAt: syncedAt, lost: lost)] }) {
            [self] result in
            switch result {
            case .failure(let failure): end(failure)
            case .success(let totals):
                position = reading.end
                enteredLosses = lost
                countedCount += totals.count
                waitingCount = max(0, waitingCount - totals.count)
                settle(reading.clicks.last?.name) { host.cache.count(1, for: $0) }
                discard()
                if position >= goal { end(nil) } else { step() }
            }
        }
    }

    /// Nothing else is to be counted: where clicks were lost, the database hears of those at least.
    private func enterLosses() {
        let lost = host.counts.lostClicks
        guard hasBegun, enteredLosses != lost else { return end(nil) }
        host.database.run([book.counted(0, syncedAt: syncedAt, lost: lost)]) { [self] result in
            guard case .failure(let failure) = result else {
                enteredLosses = lost
                return end(nil)
            }
            end(failure)
        }
    }

    /// Those up to this one are in the database now, and no longer on their way.
    private func settle(_ last: ClickName?, _ body: (_ code: String) -> Void) {
        guard let last, last.book == nextName.book else { return }
        limited.settle(last, body)
    }

    private func discard() {
        do throws(DiskError) { try log.discard(before: position) } catch { trouble = "\(error)" }
    }

    // MARK: By way of a broker

    private func send(_ reading: ClickLog.Reading, _ queue: ClickQueue) {
        let clicks = zip(reading.ends, reading.clicks).map {
            (end: ClickPosition(segment: reading.end.segment, offset: $0), click: $1)
        }
        let page = ClickQueue.Page(
            database: database, node: host.node.name, life: book.life, begin: sentEnd, end: reading.end,
            syncedAt: syncedAt, clicks: clicks)
        queue.send(page) { [self] isTaken in
            guard isTaken else {
                return end(LinkDatabaseFailure(description: "the broker has not taken them", isPassing: true))
            }
            do throws(DiskError) { try log.setHandedOn(reading.end) } catch { trouble = "\(error)" }
            position = reading.end
            sentEnd = reading.end
            sentCount += reading.clicks.count
            sentName = reading.clicks.last?.name ?? sentName
            waitingCount = max(0, waitingCount - reading.clicks.count)
            discard()
            if position >= goal { awaitEntry(until: host.node.world.now + Self.entryPatience) } else { step() }
        }
    }

    /// Numbers are asked for by people who have just clicked: what is on its way is waited for, a while.
    private func awaitEntry(until deadline: LabTime) {
        host.database.run("SELECT segment, place FROM url_positions WHERE name = $1", [.text(host.node.name)]) {
            [self] result in
            if case .success(let rows) = result, let row = rows.first,
                ClickPosition(segment: row[0].integer ?? 0, offset: row[1].integer ?? 0) >= sentEnd
            {
                countedCount += sentCount
                settle(sentName) { host.forget($0) }
                sentCount = 0
                return end(nil)
            }
            guard host.node.world.now < deadline else { return end(nil) }
            host.node.after(.milliseconds(20)) { [self] in awaitEntry(until: deadline) }
        }
    }

    private static let entryPatience = LabDuration.seconds(1)

    private func end(_ failure: LinkDatabaseFailure?) {
        isFlushing = false
        if let failure, trouble == nil { host.runtime.log("Clicks wait: \(failure.description)", level: .warning) }
        trouble = failure?.description
        if waitingCount > 0 || failure != nil || enteredLosses != host.counts.lostClicks && host.queue == nil {
            timer = host.node.after(host.settings.flushInterval) { [self] in flush { _ in } }
        }
        let waiters = flushWaiters
        flushWaiters = []
        for waiter in waiters { waiter(failure) }
    }
}

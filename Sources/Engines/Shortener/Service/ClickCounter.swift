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
    /// With a broker: the end of the last page that it has, and what is on its way from there into the database.
    private var sentEnd = ClickPosition()
    private var sentClicks: [String: Int] = [:]
    /// Up to where the present flush goes: traffic that never rests must not keep those who wait for it.
    private var goal = ClickPosition()
    private let book: LifeBook
    private var isFlushing = false
    private var flushWaiters: [(LinkDatabaseFailure?) -> Void] = []
    private var timer: TimerID?
    private(set) var countedCount = 0
    private(set) var waitingCount = 0
    private var trouble: String?
    /// Bytes of an earlier life that were no whole record.
    private var tornBytes = 0
    /// When what is being counted was synced.
    private var syncedAt = LabTime(nanoseconds: 0)
    /// Clicks of links with a limit that the database has not counted yet.
    private var uncountedClicks: [String: Int] = [:]
    let secret: UInt64

    init(_ host: ShortenerHost, _ log: ClickLog) {
        self.host = host
        self.log = log
        book = LifeBook(node: host.node.name, life: log.end.segment)
        secret = host.node.draw { $0.next() }
    }

    var complaints: [String] { trouble.map { ["clicks: \($0)"] } ?? [] }

    /// Clicks of a code on their way.
    func uncounted(_ code: String) -> Int { uncountedClicks[code] ?? 0 }

    /// Learns where an earlier life has stopped, and counts what it has left.
    func open(_ done: @escaping (LinkDatabaseFailure?) -> Void) {
        host.database.run("SELECT segment, place FROM url_positions WHERE name = $1", [.text(host.node.name)]) {
            [self] result in
            switch result {
            case .failure(let failure): done(failure)
            case .success(let rows):
                if let row = rows.first {
                    position = ClickPosition(segment: row[0].integer ?? 0, offset: row[1].integer ?? 0)
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

    private func beginLife(recovered count: Int, _ done: @escaping (LinkDatabaseFailure?) -> Void) {
        let statements = book.begin(at: host.node.wallClock, recovered: count, tornBytes: tornBytes)
        host.database.run(statements) { result in
            if case .failure(let failure) = result { done(failure) } else { done(nil) }
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

    /// Writes a click down.
    func add(_ click: Click) {
        do throws(DiskError) {
            try log.append(click)
        } catch {
            if trouble == nil { host.runtime.log("Clicks are lost: \("\(error)")", level: .error) }
            trouble = "\(error)"
            host.counts.lostClicks += 1
            return
        }
        waitingCount += 1
        uncountedClicks[click.counter, default: 0] += 1
        if timer == nil, !isFlushing {
            timer = host.node.after(host.settings.flushInterval) { [self] in flush { _ in } }
        }
    }

    // MARK: Into the database

    /// Counts all that has been written down until now.
    ///
    /// - Parameter done: with what went wrong; the clicks are still in the log then.
    func flush(_ done: @escaping (LinkDatabaseFailure?) -> Void) {
        flushWaiters.append(done)
        goal = log.end
        guard !isFlushing else { return }
        isFlushing = true
        host.node.cancel(timer)
        timer = nil
        step()
    }

    private func step() {
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
        guard !reading.clicks.isEmpty else {
            position = reading.end
            return sentClicks.isEmpty ? end(nil) : awaitEntry(until: host.node.world.now + Self.entryPatience)
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
                countedCount += totals.count
                waitingCount = max(0, waitingCount - totals.count)
                settle(totals.clicks) { host.cache.count($1, for: $0) }
                discard()
                if position >= goal { end(nil) } else { step() }
            }
        }
    }

    /// They are in the database now, and no longer on their way.
    private func settle(_ counts: [String: Int], _ body: (_ code: String, _ count: Int) -> Void) {
        for (code, count) in counts {
            body(code, count)
            let left = (uncountedClicks[code] ?? 0) - count
            uncountedClicks[code] = left > 0 ? left : nil
        }
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
            node: host.node.name, life: book.life, begin: sentEnd, end: reading.end, syncedAt: syncedAt, clicks: clicks)
        queue.send(page) { [self] isTaken in
            guard isTaken else {
                return end(LinkDatabaseFailure(description: "the broker has not taken them", isPassing: true))
            }
            do throws(DiskError) { try log.setHandedOn(reading.end) } catch { trouble = "\(error)" }
            position = reading.end
            sentEnd = reading.end
            for click in reading.clicks { sentClicks[click.counter, default: 0] += 1 }
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
                countedCount += sentClicks.values.reduce(0, +)
                settle(sentClicks) { code, _ in host.forget(code) }
                sentClicks = [:]
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
        if waitingCount > 0 || failure != nil {
            timer = host.node.after(host.settings.flushInterval) { [self] in flush { _ in } }
        }
        let waiters = flushWaiters
        flushWaiters = []
        for waiter in waiters { waiter(failure) }
    }
}

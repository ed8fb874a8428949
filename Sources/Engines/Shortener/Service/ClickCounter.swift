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
    /// Up to where the present flush goes: traffic that never rests must not keep those who wait for it.
    private var goal = ClickPosition()
    private var isFlushing = false
    private var flushWaiters: [(LinkDatabaseFailure?) -> Void] = []
    private var timer: TimerID?
    private(set) var countedCount = 0
    private(set) var waitingCount = 0
    private var trouble: String?
    /// Clicks of links with a limit that the database has not counted yet.
    private var uncountedClicks: [String: Int] = [:]
    let secret: UInt64

    init(_ host: ShortenerHost, _ log: ClickLog) {
        self.host = host
        self.log = log
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
                let before = countedCount
                flush { [self] failure in
                    let count = countedCount - before
                    if count > 0 { host.runtime.log("Recovered \(counted(count, "click")) that had not been counted") }
                    done(failure)
                }
            }
        }
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
        uncountedClicks[click.code, default: 0] += 1
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
            reading = try log.read(from: position)
        } catch {
            return end(LinkDatabaseFailure(description: "\(error)", isPassing: true))
        }
        if reading.tornBytes > 0 || reading.damagedSegments > 0 {
            let damage = reading.damagedSegments > 0 ? ", and damaged" : ""
            host.runtime.log(
                "Clicks: \(reading.tornBytes) bytes at the end of a segment were no whole record\(damage)",
                level: .warning)
        }
        guard !reading.clicks.isEmpty else {
            position = reading.end
            return end(nil)
        }
        var totals = ClickTotals()
        for click in reading.clicks { totals.add(click, zoneSeconds: host.settings.zoneSeconds) }
        merge(totals.visitors.sorted { $0.key < $1.key }[...], []) { [self] visitors in
            switch visitors {
            case .failure(let failure): end(failure)
            case .success(let visitors): write(totals, visitors, reading.end)
            }
        }
    }

    /// What the database knows of visitors, with those that came.
    private func merge(
        _ rest: ArraySlice<(key: String, value: DistinctEstimate)>, _ merged: [LinkStatement],
        _ done: @escaping (Result<[LinkStatement], LinkDatabaseFailure>) -> Void
    ) {
        guard !rest.isEmpty else { return done(.success(merged)) }
        let questions = rest.prefix(Self.questionCount).map {
            LinkStatement("SELECT registers FROM url_visitors WHERE code = $1", [.text($0.key)])
        }
        host.database.run(questions) { [self] result in
            switch result {
            case .failure(let failure): done(.failure(failure))
            case .success(let answers):
                let statements = zip(rest, answers).map { visitor, rows in
                    var estimate = visitor.value
                    if let row = rows.first { estimate.merge(LinkTables.visitors(row)) }
                    return LinkTables.setVisitors(visitor.key, estimate)
                }
                merge(rest.dropFirst(questions.count), merged + statements, done)
            }
        }
    }

    private static let questionCount = 256

    private func write(_ totals: ClickTotals, _ visitors: [LinkStatement], _ end: ClickPosition) {
        let statements = LinkTables.add(totals) + visitors + [LinkTables.setPosition(host.node.name, end)]
        host.database.run(statements) { [self] result in
            if case .failure(let failure) = result { return self.end(failure) }
            position = end
            countedCount += totals.count
            waitingCount = max(0, waitingCount - totals.count)
            for (code, count) in totals.clicks {
                host.cache.count(count, for: code)
                let left = (uncountedClicks[code] ?? 0) - count
                uncountedClicks[code] = left > 0 ? left : nil
            }
            do throws(DiskError) { try log.discard(before: end) } catch { trouble = "\(error)" }
            if position >= goal { self.end(nil) } else { step() }
        }
    }

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

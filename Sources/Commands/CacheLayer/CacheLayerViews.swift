import CacheLayerEngine
import CacheLayerService
import CommandKit
import KernelJSON
import KernelStructures

/// Views of a cache layer.
enum CacheLayerViews {
    private static func until(_ time: LabTime, _ now: LabTime) -> View.Cell {
        let left = time - now
        let text = left > .zero ? "in \(left.rounded)" : left == .zero ? "now" : "\((.zero - left).rounded) ago"
        return .init(text, json: .milliseconds(left))
    }

    static func explanation(_ about: CacheExplanation, _ now: LabTime) -> View {
        var fields = [View.Field("key", key: "key", .text(about.key))]
        if let entry = about.entry {
            fields += [
                .init(
                    "state", key: "state",
                    .text(entry.state.rawValue + (entry.isNegative ? ", and nobody is there" : ""))),
                .init("came from", key: "origin", .text(origin(entry.origin))),
                .init("loaded", key: "loaded_at", until(entry.loadedAt, now)),
                .init("that took", key: "load_ms", .duration(entry.loadDuration)),
                .init("asked by", key: "loaded_by", .text(entry.loadedBy)),
                .init("waited for it", key: "waited", .text(counted(entry.waiterCount, "more request"))),
                .init("hits since", key: "hits", .integer(entry.hitCount)),
                .init("version", key: "version", .integer(Int(clamping: entry.version))),
            ]
            if let early = entry.earlyFrom { fields.append(.init("early from", key: "early_from", until(early, now))) }
            fields.append(.init("fresh until", key: "fresh_until", until(entry.freshUntil, now)))
            if entry.staleUntil > entry.freshUntil {
                fields.append(.init("stale until", key: "stale_until", until(entry.staleUntil, now)))
            }
            if entry.errorUntil > entry.freshUntil {
                fields.append(.init("if loading fails, until", key: "error_until", until(entry.errorUntil, now)))
            }
            if !entry.tags.isEmpty {
                fields.append(.init("tags", key: "tags", .text(entry.tags.joined(separator: ", "))))
            }
        } else {
            fields.append(.init("state", key: "state", .text("not in this process")))
        }
        return View(.record(fields + surroundings(about, now)))
    }

    private static func surroundings(_ about: CacheExplanation, _ now: LabTime) -> [View.Field] {
        var fields: [View.Field] = []
        if let load = about.flight {
            let waiting = counted(load.waiterCount, "more waits", "more wait")
            fields.append(
                .init(
                    "being loaded", key: "load",
                    .text("for \(load.by), since \((now - load.since).rounded), at step \(load.step); \(waiting)")))
        }
        if about.isBeingWritten { fields.append(.init("being written", key: "being_written", .text("now"))) }
        if let since = about.pendingSince {
            fields.append(.init("waits for the source", key: "pending_since", until(since, now)))
        }
        if about.isSuspect {
            fields.append(.init("shared cache", key: "suspect", .text("may be wrong about it", style: .warning)))
        }
        if let removal = about.lastRemoval {
            fields.append(
                .init(
                    "last entry went", key: "last_removal",
                    .text("\((now - removal.time).rounded) ago: \(reason(removal.reason))")))
        }
        return fields
    }

    private static func origin(_ origin: CacheEntry.Origin) -> String {
        switch origin {
        case .source: "the database"
        case .remote: "the shared cache"
        case .write: "a write"
        case .put: "the program"
        }
    }

    private static func reason(_ reason: RemovalReason) -> String {
        switch reason {
        case .expired: "its time was over"
        case .evicted: "others needed the room"
        case .invalidated: "it was invalidated"
        case .written: "it was written"
        case .tag: "one of its tags was invalidated"
        case .notified: "another process has changed it"
        }
    }

    static func keys(_ layer: CacheLayer, _ now: LabTime) -> View {
        let rows = layer.keys.prefix(1_000).compactMap { key -> [View.Cell]? in
            guard let entry = layer.explain(key, now: now).entry else { return nil }
            return [
                .text(key), .text(entry.state.rawValue), .text(entry.origin.rawValue), .integer(entry.hitCount),
                until(entry.loadedAt, now), until(entry.freshUntil, now),
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("KEY", key: "key", flexible: true), .init("STATE", key: "state"),
                        .init("FROM", key: "origin"), .init("HITS", key: "hits", right: true),
                        .init("LOADED", key: "loaded_at_ms", right: true),
                        .init("FRESH UNTIL", key: "fresh_until_ms", right: true),
                    ], rows: rows, whenEmpty: "nothing is known")))
    }

    private static func percent(_ share: Double) -> View.Cell {
        .init(fixedDecimal(share * 100, places: 1) + "%", json: .number(share))
    }

    static func staleness(_ audit: StalenessAudit) -> View {
        View(
            .record([
                .init("hits compared", key: "checked", .integer(audit.checked)),
                .init("stale", key: "stale", .integer(audit.stale, style: audit.stale > 0 ? .warning : .good)),
                .init("share", key: "share", percent(audit.staleShare)),
                .init("oldest", key: "oldest_ms", .duration(audit.oldest)),
                .init("mean of the stale", key: "mean_ms", .duration(audit.meanAge)),
                .init("first seen by the audit", key: "undated", .integer(audit.undated)),
                .init("versions behind", key: "versions_behind", .integer(Int(clamping: audit.mostVersionsBehind))),
                .init("gone from the database", key: "gone", .integer(audit.removed)),
                .init("not answered", key: "failed", .integer(audit.failed)),
            ]))
    }

    static func stampede(
        _ results: [StampedeReplay.Result], _ settings: StampedeReplay.Settings, _ glyphs: Sparkline.Glyphs
    ) -> View {
        let line = Sparkline(glyphs, top: results.flatMap(\.graph).max() ?? 1)
        let rows = results.map { result -> [View.Cell] in
            [
                .text(result.protection.rawValue), .integer(result.loads), .integer(result.mostLoads),
                .integer(result.waited), .duration(result.longestWait), .integer(result.staleAnswers),
                .init(line.text(result.graph), json: .array(result.graph.map { .integer($0) })),
            ]
        }
        let readers = results.first?.readers ?? 0
        let cold = results.first?.cold ?? 0
        let text =
            "\(grouped(readers)) readers, an entry that lives \(settings.ttl.rounded), loads of \(settings.loadDuration.rounded)\n"
            + "\(grouped(cold)) of them come during the very first load and wait for it; WAITED has the rest"
        return View(
            .text(text, json: .string(text)),
            .table(
                .init(
                    [
                        .init("PROTECTION", key: "protection"), .init("LOADS", key: "loads", right: true),
                        .init("AT ONCE", key: "at_once", right: true), .init("WAITED", key: "waited", right: true),
                        .init("LONGEST", key: "longest_ms", right: true), .init("STALE", key: "stale", right: true),
                        .init("OVER TIME", key: "graph"),
                    ], rows: rows, whenEmpty: "nobody came")))
    }

    static func worth(_ results: [CacheWorth.Result], _ settings: CacheWorth.Settings) -> View {
        let rows = results.map { result -> [View.Cell] in
            [
                .text(result.workload.name), .text(result.workload.summary), percent(result.hitShare),
                .duration(result.meanWith), .duration(result.meanWithout), .integer(result.sourceRequestsWith),
                .text(
                    result.isWorthIt ? "wins" : "loses", style: result.isWorthIt ? .good : .bad),
            ]
        }
        let text = "\(grouped(settings.requests)) requests of each, \(grouped(settings.requestsPerSecond)) a second"
        return View(
            .text(text, json: .string(text)),
            .table(
                .init(
                    [
                        .init("WORKLOAD", key: "workload"), .init("", key: "summary", flexible: true),
                        .init("HITS", key: "hit_share", right: true), .init("WITH", key: "with_ms", right: true),
                        .init("WITHOUT", key: "without_ms", right: true),
                        .init("ASKED", key: "source_requests", right: true), .init("CACHE", key: "verdict"),
                    ], rows: rows, whenEmpty: "no workloads")))
    }
}

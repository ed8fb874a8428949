import KernelHosting
import KernelStructures
import MetricsCollectorEngine
import TimeSeriesEngine

// What changes the store, and what other collectors take from it.
extension CollectorHost {
    func mountAdministration() {
        for method in ["POST", "PUT"] {
            on(method, "/api/v1/admin/tsdb/delete_series") { host, request, exchange in
                let lists = try request.matchers()
                if lists.isEmpty { throw APIError.badData("no match[] parameter provided") }
                let selection = try request.selection()
                try host.store.delete(lists, selection.from...selection.through)
                exchange.answer(204)
            }
            on(method, "/api/v1/admin/tsdb/clean_tombstones") { host, request, exchange in
                // A block that is being written is through in a moment, or in a minute.
                guard !host.isWritingBlock else {
                    throw APIError.unavailable("a block is being written; try again in a moment")
                }
                try host.store.cleanTombstones(now: request.now)
                exchange.answer(204)
            }
        }
    }

    // MARK: Remote writing

    /// A remote write may have so many bytes, packed.
    private static let writeLimitBytes = 64 << 20
    /// A sample may be so much later than now; one that is would make all others look old.
    private static let futureMilliseconds: Int64 = 600_000

    func mountRemoteWrite() {
        router.on("POST", "/api/v1/write", body: .collected(limitBytes: Self.writeLimitBytes)) {
            [unowned self] exchange in
            apiRequestCount += 1
            do {
                let refused = try write(try RemoteWriteRequest(snappy: exchange.body))
                // What is answered is durable.
                try store.sync()
                if let refused { exchange.answer(400, text: "\(refused)\n") } else { exchange.answer(204) }
                maintainIfDue()
            } catch let error as RemoteWriteRequest.Malformed {
                apiFailureCount += 1
                exchange.answer(400, text: "\(error)\n")
            } catch {
                apiFailureCount += 1
                exchange.answer(500, text: "\(error)\n")
            }
        }
    }

    /// Takes what can be taken; returns why something could not, the first such thing.
    private func write(_ request: RemoteWriteRequest) throws -> String? {
        var batch = TimeSeriesStore.Batch()
        var exemplars: [Exemplar] = []
        var refused: String?
        let limit = node.milliseconds + Self.futureMilliseconds
        for series in request.series {
            do throws(AppendError) {
                guard RemoteWriteRequest.isValid(series.labels) else { throw .invalid("names that are none") }
                if series.hasLabelTwice { throw .invalid("a label that stands there twice") }
                let handle = try store.handle(series.labels)
                for (time, value) in series.samples {
                    if time > limit { throw .outOfBounds }
                    try store.add(time, value, to: handle, &batch)
                }
                for (time, value) in series.histograms {
                    if time > limit { throw .outOfBounds }
                    try store.add(time, value, to: handle, &batch)
                }
            } catch {
                if refused == nil { refused = "\(series.labels): \(error)" }
            }
            for exemplar in series.exemplars {
                exemplars.append(
                    Exemplar(
                        series: series.labels, labels: exemplar.labels, value: exemplar.value,
                        timestamp: SampleTime.clamped(exemplar.time)))
            }
        }
        store.commit(batch)
        store.add(exemplars)
        return refused
    }
}

import KernelHosting
import KernelStructures
import KernelTelemetry
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

    // MARK: Federation

    func mountFederation() {
        on("GET", "/federate") { host, request, exchange in try host.federate(request, exchange) }
    }

    /// The newest sample of each series that one of the selectors finds, as a page that another collector scrapes.
    private func federate(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let now = request.now
        let from = SampleTime.clamped(now - 300_000 + 1)
        var rows: [Labels: (time: Int64, value: Double)] = [:]
        var column = SampleColumn()
        for matchers in try request.matchers() {
            for series in try store.select(matchers, Selection(from: from, through: now))
            where rows[series.labels] == nil {
                column.removeAll()
                try series.read(into: &column)
                guard let value = column.values.last, let time = column.timestamps.last, !Staleness.isMarker(value),
                    column.histograms.last?.map({ _ in true }) != true
                else { continue }
                rows[series.labels] = (time, value)
            }
        }
        exchange.answer(bytes: page(rows), type: ExpositionFormat.text.contentType)
    }

    /// Samples with their times, and no kinds: nobody knows them any more.
    private func page(_ rows: [Labels: (time: Int64, value: Double)]) -> [UInt8] {
        var page: [UInt8] = []
        // Each metric's series together, by name.
        let sorted = rows.map { (name: $0.key.metricName, labels: $0.key, sample: $0.value) }.sorted {
            let order = byteOrder($0.name, $1.name)
            return order != 0 ? order < 0 : $0.labels < $1.labels
        }
        for row in sorted where !row.name.isEmpty {
            var labels = row.labels.withoutMetricName
            for (name, value) in configuration.externalLabels.pairs where !labels.has(name) {
                labels = labels.setting(name, to: value)
            }
            var pairs = labels.pairs.map { "\($0.name)=\(Labels.quoted($0.value))" }
            // So that the one who scrapes it does not put its own in that place.
            if !labels.has("instance") { pairs.append("instance=\"\"") }
            page.append(utf8: row.name)
            page.append(utf8: "{" + pairs.joined(separator: ",") + "} ")
            appendSampleText(row.sample.value, to: &page)
            page.append(utf8: " \(row.sample.time)\n")
        }
        return page
    }
}

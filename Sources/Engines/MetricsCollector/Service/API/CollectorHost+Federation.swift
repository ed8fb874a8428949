import KernelHosting
import KernelStructures
import KernelTelemetry
import MetricsCollectorEngine
import PromQLEngine
import TimeSeriesEngine

// Federation: what is newest, as a page that another collector scrapes.
extension CollectorHost {
    func mountFederation() {
        on("GET", "/federate") { host, request, exchange in try host.federate(request, exchange) }
    }

    /// The newest sample of each series that one of the selectors finds, as a page that another collector scrapes.
    private func federate(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let selection = Selection(from: SampleTime.clamped(request.now - 300_000 + 1), through: request.now)
        let lists = try request.matchers()
        let external = configuration.externalLabels
        try answer(exchange, request, type: ExpositionFormat.text.contentType) {
            [store] limits, giveWay throws(PromQLError) in
            Self.page(try Self.newest(in: store, lists, selection, limits), external, giveWay)
        }
    }

    private typealias NewestSamples = [Labels: (time: Int64, value: Double)]

    private static func newest(
        in store: TimeSeriesStore, _ lists: [[LabelMatcher]], _ selection: Selection, _ limits: QueryLimits
    ) throws(PromQLError) -> NewestSamples {
        var rows = NewestSamples()
        var column = SampleColumn()
        var work = 0
        for matchers in lists {
            for series in try found(in: store, matchers, selection) where rows[series.labels] == nil {
                column.removeAll()
                do throws(QueryableError) { try series.read(into: &column) } catch { throw PromQLError(error) }
                work += 1 + column.count
                if work >= 20_000 {
                    if limits.isExpired?(work) == true { throw .timedOut }
                    work = 0
                }
                guard let value = column.values.last, let time = column.timestamps.last, !Staleness.isMarker(value),
                    column.histograms.last?.map({ _ in true }) != true
                else { continue }
                rows[series.labels] = (time, value)
            }
        }
        return rows
    }

    private static func found(
        in store: TimeSeriesStore, _ matchers: [LabelMatcher], _ selection: Selection
    ) throws(PromQLError) -> [SelectedSeries] {
        do throws(QueryableError) { return try store.select(matchers, selection) } catch { throw PromQLError(error) }
    }

    /// Samples with their times, and no kinds: nobody knows them any more.
    private static func page(_ rows: NewestSamples, _ external: Labels, _ giveWay: () -> Bool) -> [UInt8] {
        var page: [UInt8] = []
        // Each metric's series together, by name.
        let sorted = rows.map { (name: $0.key.metricName, labels: $0.key, sample: $0.value) }.sorted {
            let order = byteOrder($0.name, $1.name)
            return order != 0 ? order < 0 : $0.labels < $1.labels
        }
        for (index, row) in sorted.enumerated() where !row.name.isEmpty {
            if index % 1024 == 1023, !giveWay() { return page }
            var labels = row.labels.withoutMetricName
            for (name, value) in external.pairs where !labels.has(name) {
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

import KernelProtobuf
import TimeSeriesEngine

// Pages in the delimited protobuf exposition.
extension TargetScraper {
    func readProtobuf(
        _ bytes: [UInt8], _ time: Int64, _ batch: inout TimeSeriesStore.Batch, _ outcome: inout Outcome
    ) throws {
        let families: [MetricFamilyMessage]
        do throws(ProtobufError) {
            families = try MetricFamilyMessage.read(bytes)
        } catch {
            throw ScrapeFailure("the page is no delimited protobuf: \(error)")
        }
        for family in families {
            guard RemoteWriteRequest.isMetricName(family.name) else {
                throw ScrapeFailure("'\(family.name.prefix(64))' is no metric's name")
            }
            if family.hasLabelTwice { throw ScrapeFailure("a label of \(family.name) stands there twice") }
            describe(family.name) {
                $0.type = family.type
                $0.help = family.help
            }
            for sample in family.samples { try take(sample, time, &batch, &outcome) }
        }
    }

    private func take(
        _ sample: MetricFamilyMessage.Sample, _ time: Int64, _ batch: inout TimeSeriesStore.Batch,
        _ outcome: inout Outcome
    ) throws {
        outcome.scrapedSamples += 1
        guard let handle = try handle(sample, &outcome) else { return }
        try countKept(&outcome)
        guard let moment = moment(sample.timestamp, time, &outcome) else { return }
        do throws(AppendError) {
            switch sample.value {
            case .float(let value): try store.add(moment, value, to: handle, &batch)
            case .histogram(let histogram): try store.add(moment, histogram, to: handle, &batch)
            }
        } catch {
            try count(error, &outcome)
        }
        for exemplar in sample.exemplars {
            outcome.exemplars.append(
                Exemplar(
                    series: store.labels(of: handle), labels: Labels(exemplar.labels), value: exemplar.value,
                    timestamp: exemplar.timestamp ?? moment))
        }
    }

    private func handle(_ sample: MetricFamilyMessage.Sample, _ outcome: inout Outcome) throws
        -> TimeSeriesStore.SeriesHandle?
    {
        let raw = Labels(sample.labels)
        // No page of text begins so.
        let key = [0] + raw.bytes
        let isTracked = !(configuration.honorsTimestamps && sample.timestamp != nil)
        let place = key.withUnsafeBytes { cache.find($0) }
        if let place, cache.isValid(place) { return cache.use(place, page: page, isTracked: isTracked) }
        for (name, _) in sample.labels where name != Labels.metricNameLabel {
            guard RelabelRule.isLabelName(name) else { throw ScrapeFailure("'\(name.prefix(64))' is no label's name") }
        }
        var handle: TimeSeriesStore.SeriesHandle?
        if let labels = labels(sample.labels) {
            try check(labels)
            do throws(AppendError) { handle = try store.handle(labels) } catch { throw ScrapeFailure("\(error)") }
        }
        if handle != nil, place == nil { outcome.addedSeries += 1 }
        key.withUnsafeBytes { cache.add($0, handle, at: place, page: page, isTracked: isTracked) }
        return handle
    }
}

import KernelHosting
import KernelStructures
import MetricsCollectorEngine
import TimeSeriesEngine

// Queries: expressions evaluated at one time, or at many.
extension CollectorHost {
    /// How far back a sample still counts.
    static let lookbackMilliseconds: Int64 = 300_000

    func selectors(of query: String) throws(APIError) -> [[LabelMatcher]] {
        do throws(SelectorError) { return [try SelectorReader.matchers(query)] } catch {
            throw .badData("invalid parameter \"query\": \(error)")
        }
    }

    func query(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        let matchers = try selectors(of: try request.required("query"))[0]
        let time = try request.moment("time") ?? request.now
        let from = SampleTime.clamped(time - Self.lookbackMilliseconds + 1)
        let found = try store.select(matchers, Selection(from: from, through: time))
        var column = SampleColumn()
        var rows: [(Labels, Double)] = []
        for series in found {
            column.removeAll()
            try series.read(into: &column)
            guard let value = column.values.last, !Staleness.isMarker(value) else { continue }
            rows.append((series.labels, value))
        }
        Self.answer(
            exchange,
            APIWriter.success { writer in
                writer.append("{\"resultType\":\"vector\",\"result\":[")
                for (index, (labels, value)) in rows.enumerated() {
                    // A row a line, for those who read it in a terminal.
                    writer.append(index > 0 ? ",\n{\"metric\":" : "\n{\"metric\":")
                    writer.append(labels)
                    writer.append(",\"value\":")
                    writer.appendPoint(time, value)
                    writer.append("}")
                }
                writer.append(rows.isEmpty ? "]}" : "\n]}")
            })
    }

    func queryRange(_ request: APIRequest, _ exchange: HTTPExchange) throws {
        throw APIError.unavailable("range queries are not there yet")
    }
}

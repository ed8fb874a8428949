import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import TracingEngine

/// What a search says in its address, in Jaeger's words of either version.
enum TraceParameters {
    /// Traces that one search gives.
    private static let limits = 1...1_500

    /// `service, operation, tag=key:value, tags={…}, start, end (µs), lookback, minDuration, maxDuration, limit`
    static func version1(_ parameters: HTTPQuery, now: LabTime) throws -> TraceQuery {
        var parameters = parameters
        guard let service = try parameters.take("service"), !service.isEmpty else {
            throw HTTPProblem(400, "parameter 'service' is required")
        }
        var query = TraceQuery(service: service)
        query.operation = try parameters.take("operation") ?? ""
        if query.operation == "all" { query.operation = "" }
        let limit = try parameters.take("limit") ?? ""
        query.limit = limit.isEmpty ? 100 : try integer(limit, "limit", limits)
        let end = try microseconds(try parameters.take("end"), "end")
        query.through = end ?? .max
        let moment = end ?? UInt64(max(0, now.nanoseconds))
        query.from =
            try microseconds(try parameters.take("start"), "start")
            ?? lookback(try parameters.take("lookback"), before: moment)
        try setDurations(&query, try parameters.take("minDuration"), try parameters.take("maxDuration"))
        for text in parameters.takeAll("tag") {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw HTTPProblem(400, "malformed 'tag' parameter, expecting key:value, received: \(text)")
            }
            query.tags.append((String(parts[0]), String(parts[1])))
        }
        for text in parameters.takeAll("tags") where !text.isEmpty { query.tags += try tags(text) }
        return query
    }

    /// `query.service_name`, `query.start_time_min` (RFC 3339) …
    static func version3(_ parameters: HTTPQuery) throws -> TraceQuery {
        var parameters = parameters
        func take(_ name: String) throws -> String? { try parameters.take("query.\(name)") }
        var query = TraceQuery(service: try take("service_name") ?? "")
        query.operation = try take("operation_name") ?? ""
        guard let from = try take("start_time_min"), let through = try take("start_time_max") else {
            throw HTTPProblem(400, "query.start_time_min and query.start_time_max are required")
        }
        query.from = try moment(from, "query.start_time_min")
        query.through = try moment(through, "query.start_time_max")
        try setDurations(&query, try take("duration_min"), try take("duration_max"))
        for name in ["search_depth", "num_traces"] {
            if let text = try take(name), !text.isEmpty { query.limit = try integer(text, "query.\(name)", limits) }
        }
        if let text = try take("attributes"), !text.isEmpty { query.tags = try tags(text) }
        return query
    }

    /// Nanoseconds of a number of milliseconds.
    static func milliseconds(_ text: String?, _ name: String) throws(HTTPProblem) -> UInt64? {
        guard let text, !text.isEmpty else { return nil }
        return UInt64(try integer(text, name, 0...9_000_000_000_000)) * 1_000_000
    }

    // MARK: Pieces

    private static func microseconds(_ text: String?, _ name: String) throws(HTTPProblem) -> UInt64? {
        guard let text, !text.isEmpty else { return nil }
        return UInt64(try integer(text, name, 0...9_000_000_000_000_000)) * 1000
    }

    private static func integer(_ text: String, _ name: String, _ range: ClosedRange<Int>) throws(HTTPProblem) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw HTTPProblem(
                400,
                "unable to parse param '\(name)': '\(text)' is no whole number of \(range.lowerBound) to "
                    + "\(range.upperBound)")
        }
        return number
    }

    /// `1h`, `2d`, or what Jaeger's page sends where it says start and end: `custom`. Two days without it.
    private static func lookback(_ text: String?, before end: UInt64) throws(HTTPProblem) -> UInt64 {
        var duration = LabDuration.seconds(2 * 86_400)
        if let text, !text.isEmpty, text != "custom" {
            guard let read = LabDuration(parsing: text), read.nanoseconds >= 0 else {
                throw HTTPProblem(400, "unable to parse param 'lookback': '\(text)' is no duration, such as 1h")
            }
            duration = read
        }
        let length = UInt64(duration.nanoseconds)
        return end > length ? end - length : 0
    }

    private static func setDurations(_ query: inout TraceQuery, _ least: String?, _ most: String?) throws(HTTPProblem) {
        query.shortest = try duration(least, "minDuration") ?? 0
        query.longest = try duration(most, "maxDuration")
        if let longest = query.longest, longest < query.shortest {
            throw HTTPProblem(400, "'maxDuration' should be greater than 'minDuration'")
        }
    }

    private static func duration(_ text: String?, _ name: String) throws(HTTPProblem) -> UInt64? {
        guard let text, !text.isEmpty else { return nil }
        guard let duration = LabDuration(parsing: text), duration.nanoseconds >= 0 else {
            throw HTTPProblem(400, "unable to parse param '\(name)': '\(text)' is no duration, such as 1.5s or 100ms")
        }
        return UInt64(duration.nanoseconds)
    }

    private static func moment(_ text: String, _ name: String) throws(HTTPProblem) -> UInt64 {
        guard let time = LabTime(parsing: text), time.nanoseconds >= 0 else {
            throw HTTPProblem(400, "malformed parameter \(name): '\(text)' is no time of RFC 3339")
        }
        return UInt64(time.nanoseconds)
    }

    private static func tags(_ text: String) throws -> [(key: String, value: String)] {
        let members = try JSONCursor(try JSONValue(parsing: Array(text.utf8))).members()
        return try members.map { member in
            switch member.value.value {
            case .string(let text)?: (member.name, text)
            case .array?, .object?, nil: throw HTTPProblem(400, "malformed 'tags' parameter: \(member.name)")
            case let other?: (member.name, other.text(.compact))
            }
        }
    }
}

import KernelStructures

/// What a metric is.
public enum MetricKind: String, Sendable { case counter, gauge, histogram, summary, unknown }

/// How a page of metrics is written.
public enum ExpositionFormat: String, Sendable, CaseIterable {
    /// Prometheus's text format 0.0.4.
    case text
    /// OpenMetrics 1.0: the same, stricter, with an end that tells a whole page from a part.
    case openMetrics
    /// Messages of Protocol Buffers, each behind its length: the only form with native histograms.
    case protobuf

    public var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        case .protobuf: "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
        }
    }

    /// What a request's `Accept` asks for: OpenMetrics or protobuf where they are named and preferred to plain text,
    /// otherwise text. Whoever cannot be understood gets text.
    public static func negotiated(accept: String?) -> ExpositionFormat {
        var best: [ExpositionFormat: Double] = [:]
        for range in (accept ?? "").split(separator: ",") {
            let parts = range.split(separator: ";").map { $0.filter { !$0.isWhitespace }.lowercased() }
            guard let format = format(ofRange: parts) else { continue }
            let quality = parts.first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
            best[format] = max(best[format] ?? 0, quality)
        }
        // Of equals the first one here.
        var chosen = ExpositionFormat.text
        for format in [ExpositionFormat.openMetrics, .protobuf] where best[format] ?? 0 > best[chosen] ?? 0 {
            chosen = format
        }
        return chosen
    }

    private static func format(ofRange parts: [String]) -> ExpositionFormat? {
        switch parts.first {
        case "application/openmetrics-text":
            let version = parts.first { $0.hasPrefix("version=") }?.dropFirst("version=".count)
            return version == nil || version == "1.0.0" || version == "0.0.1" ? .openMetrics : nil
        case "application/vnd.google.protobuf":
            // There are forms of it in which nobody can read ours.
            let isOurs =
                parts.contains("encoding=delimited") && parts.contains("proto=io.prometheus.client.metricfamily")
            return isOurs ? .protobuf : nil
        case "text/plain", "text/*", "*/*": return .text
        default: return nil
        }
    }
}

/// A page of metrics while it is being written: the one place where the exposition formats stand.
///
/// ```
/// page     = { family }                                     ; OpenMetrics: page "# EOF\n"
/// family   = "# HELP " name " " help "\n" "# TYPE " name " " kind "\n" { sample }
/// sample   = name [ suffix ] [ "{" label { "," label } "}" ] " " number [ exemplar ] "\n"
/// exemplar = ' # {trace_id="' 32 digits '"} ' number " " seconds      ; OpenMetrics, buckets only
/// label    = name "=" '"' value '"'                         ; \ " and line ends of the value are escaped
/// number   = whole | decimal | "+Inf" | "-Inf" | "NaN"
/// ```
///
/// In protobuf a page is a stream of `io.prometheus.client.MetricFamily` (see `ProtobufSamples`).
///
/// The samples of a family stand together however many collectors add to it. OpenMetrics calls a family of counters by
/// its name without `_total`. Bounds of buckets and quantiles have a decimal point in both formats (`le="1.0"`), so
/// that a series is the same whichever format was read.
public struct MetricWriter {
    public let format: ExpositionFormat
    private var families: [Family] = []
    private var positions: [String: Int] = [:]
    /// What was left out because it cannot be written: a bad name, or a name of two kinds.
    public private(set) var problems: [String] = []
    private var droppedCount = 0

    private struct Family {
        let kind: MetricKind
        var bytes: [UInt8]
        var sampleCount: Int
    }

    /// Samples of one family; more are left out, and counted in `metric_samples_dropped`.
    public static let sampleLimit = 20_000

    public init(_ format: ExpositionFormat = .text) { self.format = format }

    /// Adds samples to the family of that name, which begins with the first of them. A family without samples is left
    /// out, as is one whose name is none, or that was of another kind before.
    ///
    /// - Parameter name: of counters, with `_total`.
    public mutating func family(
        _ name: String, _ kind: MetricKind, _ help: String, _ body: (inout SampleWriter) -> Void
    ) {
        guard MetricName.isValid(name) else { return problems.append("'\(name.prefix(64))' is no name of a metric") }
        let position = positions[name]
        if let position, families[position].kind != kind {
            return problems.append("\(name) is both a \(families[position].kind.rawValue) and a \(kind.rawValue)")
        }
        var bytes: [UInt8] = []
        var count = 0
        if let position {
            swap(&bytes, &families[position].bytes)
            count = families[position].sampleCount
        } else {
            writeHead(name, kind, help, into: &bytes)
        }
        var samples = SampleWriter(name: name, kind: kind, format: format, bytes: bytes, sampleCount: count)
        bytes = []
        body(&samples)
        droppedCount += samples.droppedCount
        if let position {
            families[position].bytes = samples.bytes
            families[position].sampleCount = samples.sampleCount
        } else if samples.sampleCount > 0 {
            positions[name] = families.count
            families.append(Family(kind: kind, bytes: samples.bytes, sampleCount: samples.sampleCount))
        }
    }

    private func writeHead(_ name: String, _ kind: MetricKind, _ help: String, into bytes: inout [UInt8]) {
        if format == .protobuf {
            bytes = ProtobufSamples.head(name, kind, help)
            return
        }
        var family = name
        var word = kind.rawValue
        switch (format, kind) {
        case (.text, .unknown): word = "untyped"
        case (.openMetrics, .counter) where name.hasSuffix("_total"): family = String(name.dropLast("_total".count))
        // Its samples would have to end in `_total`.
        case (.openMetrics, .counter): word = "unknown"
        default: break
        }
        bytes.append(utf8: "# HELP \(family) ")
        SampleWriter.append(escaping: help, quotes: format == .openMetrics, to: &bytes)
        bytes.append(utf8: "\n# TYPE \(family) \(word)\n")
    }

    public mutating func counter(_ name: String, _ help: String, _ value: Int, _ labels: [(String, String)] = []) {
        family(name, .counter, help) { $0.add(value, labels) }
    }

    public mutating func gauge(_ name: String, _ help: String, _ value: Int, _ labels: [(String, String)] = []) {
        family(name, .gauge, help) { $0.add(value, labels) }
    }

    public mutating func gauge(_ name: String, _ help: String, _ value: Double, _ labels: [(String, String)] = []) {
        family(name, .gauge, help) { $0.add(value, labels) }
    }

    /// The page as it is to be sent.
    public consuming func finish() -> [UInt8] {
        if droppedCount > 0 {
            let dropped = droppedCount
            gauge("metric_samples_dropped", "Samples left out because their family has too many", dropped)
        }
        var page: [UInt8] = []
        page.reserveCapacity(families.reduce(6) { $0 + $1.bytes.count })
        if format == .protobuf { return ProtobufSamples.page(families.map(\.bytes)) }
        for family in families { page.append(contentsOf: family.bytes) }
        if format == .openMetrics { page.append(utf8: "# EOF\n") }
        return page
    }
}

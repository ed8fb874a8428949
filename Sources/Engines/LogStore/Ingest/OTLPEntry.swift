import KernelOTLP
import KernelTelemetry
import TimeSeriesEngine

/// A log record of OpenTelemetry as an entry, as Loki maps it: few of the resource's attributes are labels, everything
/// else is metadata, and points in names become underscores.
public struct OTLPEntry: Equatable, Sendable {
    public let labels: Labels
    public let entry: LokiPush.Entry

    /// Loki's default of attributes that make streams.
    private static let labelKeys: Set<String> = [
        "service.name", "service.namespace", "service.instance.id", "deployment.environment",
        "deployment.environment.name", "cloud.region", "cloud.availability_zone", "k8s.cluster.name",
        "k8s.namespace.name", "k8s.container.name", "container.name", "k8s.replicaset.name", "k8s.deployment.name",
        "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name",
    ]

    /// - Parameter now: nanoseconds since 1970, for records that say no time.
    public init(_ record: OTLPLogRecord, _ group: OTLPLogs.Group, now: Int64) {
        var labels = [("service_name", group.resource.serviceName)]
        var more: [(String, String)] = []
        for attribute in group.resource.attributes where attribute.key != "service.name" {
            let pair = (Self.name(attribute.key), attribute.value.text)
            if Self.labelKeys.contains(attribute.key) { labels.append(pair) } else { more.append(pair) }
        }
        if !group.scope.name.isEmpty { more.append(("scope_name", group.scope.name)) }
        if !group.scope.version.isEmpty { more.append(("scope_version", group.scope.version)) }
        for attribute in record.attributes { more.append((Self.name(attribute.key), attribute.value.text)) }
        if record.severityNumber > 0 { more.append(("severity_number", String(record.severityNumber))) }
        if !record.severityText.isEmpty { more.append(("severity_text", record.severityText)) }
        more.append(("level", Self.level(record)))
        if let trace = record.traceID { more.append(("trace_id", "\(trace)")) }
        if let span = record.spanID { more.append(("span_id", "\(span)")) }
        self.labels = Labels(labels)
        let time = record.timeUnixNano > 0 ? record.timeUnixNano : record.observedTimeUnixNano
        entry = LokiPush.Entry(
            time: time > 0 ? Int64(clamping: time) : now, line: Array(record.body.text.utf8), metadata: Labels(more))
    }

    private static func name(_ key: String) -> String {
        var name: [UInt8] = []
        for byte in key.utf8 {
            let isOfName = byte == 0x5F || byte &- 48 < 10 || (byte | 0x20) &- 97 < 26
            name.append(isOfName ? byte : 0x5F)
        }
        if let first = name.first, first &- 48 < 10 { name.insert(0x5F, at: 0) }
        return String(decoding: name, as: UTF8.self)
    }

    private static func level(_ record: OTLPLogRecord) -> String {
        switch record.severityNumber {
        case 1...4: "trace"
        case 5...8: "debug"
        case 9...12: "info"
        case 13...16: "warn"
        case 17...20: "error"
        case 21...: "fatal"
        default: record.severityText.lowercased()
        }
    }
}

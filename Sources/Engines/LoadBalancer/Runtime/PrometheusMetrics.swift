import KernelStructures
import KernelTelemetry

/// The balancer's numbers for Prometheus, under the names and labels that HAProxy's own exporter gives them: a
/// dashboard made for that one shows this one.
///
/// Each family is one column of the table that `show stat` writes (`StatTable`), so the two never disagree. A column
/// that is empty in a row has no sample there.
package struct PrometheusMetrics {
    private struct Family {
        let name: String
        let column: String
        let kind: MetricKind
        let help: String

        init(_ name: String, _ column: String, _ help: String) {
            self.name = name
            self.column = column
            kind = name.hasSuffix("_total") ? .counter : .gauge
            self.help = help
        }
    }

    private static let common: [Family] = [
        .init("current_queue", "qcur", "Requests that wait now"),
        .init("max_queue", "qmax", "The most requests that waited at a time"),
        .init("current_sessions", "scur", "Sessions now"),
        .init("max_sessions", "smax", "The most sessions at a time"),
        .init("limit_sessions", "slim", "Sessions that are allowed at a time"),
        .init("sessions_total", "stot", "Sessions so far"),
        .init("bytes_in_total", "bin", "Bytes of requests"),
        .init("bytes_out_total", "bout", "Bytes of responses"),
        .init("request_errors_total", "ereq", "Requests that could not be read"),
        .init("connection_errors_total", "econ", "Connections that could not be made"),
        .init("response_errors_total", "eresp", "Requests without an answer that makes sense"),
        .init("retry_warnings_total", "wretr", "Further attempts after a failed one"),
        .init("redispatch_warnings_total", "wredis", "Clients sent to another server than the one they stick to"),
        .init("weight", "weight", "Weight, as far as it counts now"),
        .init("uweight", "uweight", "Weight, as the operator wants it"),
        .init("active_servers", "act", "Servers in the pool that are no backups"),
        .init("backup_servers", "bck", "Backups that could be used"),
        .init("check_failures_total", "chkfail", "Checks that failed while the server was up"),
        .init("check_up_down_total", "chkdown", "How often it went down"),
        .init("check_last_change_seconds", "lastchg", "Since the last change of state"),
        .init("downtime_seconds_total", "downtime", "Time spent down or in maintenance"),
        .init("current_throttle", "throttle", "Percent of its weight that a server has while it starts slowly"),
        .init("loadbalanced_total", "lbtot", "How often the algorithm chose it"),
        .init("max_session_rate", "rate_max", "The most sessions in a second"),
        .init("check_code", "check_code", "The status that the last check met"),
        .init("check_duration_seconds", "check_duration", "How long the last check took"),
        .init("http_requests_rate_max", "req_rate_max", "The most requests in a second"),
        .init("http_requests_total", "req_tot", "Requests so far"),
        .init("client_aborts_total", "cli_abrt", "Requests that the client gave up"),
        .init("server_aborts_total", "srv_abrt", "Responses that the server cut short"),
        .init("last_session_seconds", "lastsess", "Since the last session; -1 if there was none"),
        .init("connect_time_average_seconds", "ctime", "Average time to connect, of the last 1024"),
        .init("total_time_average_seconds", "ttime", "Average time of a request, of the last 1024"),
        .init("max_connect_time_seconds", "ctime_max", "The longest time to connect"),
        .init("max_total_time_seconds", "ttime_max", "The longest time of a request"),
        .init("connections_rate_max", "conn_rate_max", "The most new connections in a second"),
        .init("connections_total", "conn_tot", "Connections so far"),
        .init("connection_attempts_total", "connect", "Connections to servers that were begun"),
        .init("connection_reuses_total", "reuse", "Requests over connections that were open already"),
        .init("idle_connections_current", "srv_icur", "Connections that are open and unused"),
        .init("idle_connections_limit", "src_ilim", "Unused connections that are kept"),
        .init("used_connections_current", "used_conn_cur", "Connections in use"),
    ]

    /// Columns that HAProxy's exporter does not tell of a kind of row.
    private static let unnamed: [StatTable.Kind: Set<String>] = [
        .frontend: [], .backend: ["chkfail"], .server: ["act", "bck", "req_tot"],
    ]
    private static let milliseconds: Set<String> = ["check_duration", "ctime", "ttime", "ctime_max", "ttime_max"]
    private static let checkStates = ["INI", "L4OK", "L4CON", "L4TOUT", "L7OK", "L7RSP", "L7STS", "L7TOUT"]

    private let table: StatTable
    private var page: MetricWriter

    /// Adds the balancer's numbers to a page.
    package static func collect(
        _ engine: LoadBalancer, _ front: FrontSide, now: LabTime, into page: inout MetricWriter
    ) {
        var metrics = PrometheusMetrics(table: StatTable(engine, front, now: now), page: page)
        metrics.writeProcess(engine, front, now: now)
        for (kind, prefix) in [(StatTable.Kind.frontend, "frontend"), (.backend, "backend"), (.server, "server")] {
            metrics.write(kind, prefix)
        }
        page = metrics.page
    }

    private mutating func writeProcess(_ engine: LoadBalancer, _ front: FrontSide, now: LabTime) {
        let uptime = Int((now - front.startedAt).seconds)
        for (name, help, value) in [
            ("uptime_seconds", "Since the start", uptime),
            ("start_time_seconds", "When it was started", Int(front.startedAt.unixSeconds)),
            ("current_connections", "Connections of clients now", front.open),
            ("connections_total", "Connections of clients so far", front.connections),
            ("requests_total", "Requests so far", engine.counters.requests),
            ("bytes_out_total", "Bytes to clients", front.bytesOut),
            ("stopping", "1 while it finishes what is under way, otherwise 0", front.isStopping ? 1 : 0),
        ] {
            page.family("haproxy_process_\(name)", name.hasSuffix("_total") ? .counter : .gauge, help) {
                $0.add(value)
            }
        }
        page.gauge(
            "haproxy_process_build_info", "The version, as a label", 1, [("version", RuntimeInterpreter.version)])
    }

    private mutating func write(_ kind: StatTable.Kind, _ prefix: String) {
        let rows = table.rows.filter { $0.kind == kind }
        for family in Self.common where !Self.unnamed[kind]!.contains(family.column) {
            page.family("haproxy_\(prefix)_\(family.name)", family.kind, family.help) { samples in
                for row in rows {
                    guard let value = row.number(family.column) else { continue }
                    if Self.milliseconds.contains(family.column) {
                        samples.add(Double(value) / 1000, Self.labels(row))
                    } else {
                        samples.add(value, Self.labels(row))
                    }
                }
            }
        }
        writeStates("haproxy_\(prefix)_status", "Which state it is in", rows, Self.states(of: kind), "status")
        if kind == .server {
            writeStates(
                "haproxy_server_check_status", "What the last check met", rows, Self.checkStates, "check_status")
        }
        if kind == .backend { writeAggregate() }
        writeAnswers("haproxy_\(prefix)_http_responses_total", rows)
    }

    private static func labels(_ row: StatTable.Row) -> [(String, String)] {
        var labels = [("proxy", row.text("pxname") ?? "")]
        if row.kind == .server { labels.append(("server", row.text("svname") ?? "")) }
        return labels
    }

    // MARK: Families with a further label

    private static func states(of kind: StatTable.Kind) -> [String] {
        kind == .server ? ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"] : ["DOWN", "UP"]
    }

    /// The state without what `show stat` adds to it.
    private static func state(_ text: String) -> String {
        switch text {
        case "OPEN", "no check": return "UP"
        case "STOP": return "DOWN"
        default:
            let word = text.split(separator: " ").first { $0 != "*" }
            return word.map(String.init) ?? ""
        }
    }

    private mutating func writeStates(
        _ name: String, _ help: String, _ rows: [StatTable.Row], _ states: [String], _ column: String
    ) {
        page.family(name, .gauge, help) { samples in
            for row in rows {
                guard let present = row.text(column).map(Self.state) else { continue }
                for state in states {
                    samples.add(state == present ? 1 : 0, Self.labels(row) + [("state", state)])
                }
            }
        }
    }

    /// How many servers are in each state.
    private mutating func writeAggregate() {
        let servers = table.rows.filter { $0.kind == .server }.map { Self.state($0.text("status") ?? "") }
        guard let backend = table.rows.first(where: { $0.kind == .backend }) else { return }
        page.family("haproxy_backend_agg_server_status", .gauge, "Servers in each state") { samples in
            for state in Self.states(of: .server) {
                samples.add(servers.count { $0 == state }, Self.labels(backend) + [("state", state)])
            }
        }
    }

    private mutating func writeAnswers(_ name: String, _ rows: [StatTable.Row]) {
        page.family(name, .counter, "Answers by the first digit of their status") { samples in
            for row in rows where row["hrsp_2xx"] != nil {
                for code in ["1xx", "2xx", "3xx", "4xx", "5xx", "other"] {
                    guard let count = row.number("hrsp_\(code)") else { continue }
                    samples.add(count, Self.labels(row) + [("code", code)])
                }
            }
        }
    }
}

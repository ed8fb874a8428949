import KernelStructures

/// A setting of `pgbouncer.ini`: its name, default and kind, as SHOW CONFIG lists it.
public struct PoolerSetting: Sendable {
    enum Kind: Sendable {
        case text
        /// - from, to: what it may be.
        case integer(ClosedRange<Int>)
        /// Seconds, with a fraction or without.
        case seconds
        case boolean
        case choice([String])
        /// A file, whose content is read with the configuration.
        case file
        /// Versions of TLS.
        case tlsVersions
        /// It is accepted, and means nothing here.
        case ignored
    }

    public let name: String
    public let preset: String
    let kind: Kind
    /// Whether RELOAD and SET can change it.
    public let isChangeable: Bool

    private init(_ name: String, _ preset: String, _ kind: Kind, isChangeable: Bool = true) {
        self.name = name
        self.preset = preset
        self.kind = kind
        self.isChangeable = isChangeable
    }

    private static let count = Kind.integer(0...1_000_000)

    public static let all: [PoolerSetting] = [
        .init("admin_users", "", .text),
        .init("auth_file", "", .text),
        .init("auth_type", "md5", .choice(["any", "trust", "plain", "md5", "scram-sha-256"])),
        .init("client_idle_timeout", "0", .seconds),
        .init("client_login_timeout", "60", .seconds),
        .init("client_tls_ca_file", "", .file),
        .init("client_tls_cert_file", "", .file),
        .init("client_tls_ciphers", "fast", .text),
        .init("client_tls_key_file", "", .file),
        .init("client_tls_protocols", "secure", .tlsVersions),
        .init("client_tls_sslmode", "disable", .choice(PoolerTLSMode.allCases.map(\.rawValue))),
        .init("default_pool_size", "20", .integer(1...10_000)),
        .init("idle_transaction_timeout", "0", .seconds),
        .init("ignore_startup_parameters", "", .text),
        .init("listen_addr", "", .ignored, isChangeable: false),
        .init("listen_port", "6432", .integer(1...65_535), isChangeable: false),
        .init("log_connections", "1", .boolean),
        .init("log_disconnections", "1", .boolean),
        .init("log_pooler_errors", "1", .boolean),
        .init("log_stats", "1", .boolean),
        .init("max_client_conn", "100", .integer(1...1_000_000)),
        .init("max_db_connections", "0", count),
        .init("max_prepared_statements", "200", count),
        .init("max_user_connections", "0", count),
        .init("min_pool_size", "0", .integer(0...10_000)),
        .init("pool_mode", "session", .choice(PoolingMode.allCases.map(\.rawValue))),
        .init("query_timeout", "0", .seconds),
        .init("query_wait_timeout", "120", .seconds),
        .init("reserve_pool_size", "0", .integer(0...10_000)),
        .init("reserve_pool_timeout", "5", .seconds),
        .init("server_check_delay", "30", .seconds),
        .init("server_check_query", "select 1", .text),
        .init("server_connect_timeout", "15", .seconds),
        .init("server_idle_timeout", "600", .seconds),
        .init("server_lifetime", "3600", .seconds),
        .init("server_reset_query", "DISCARD ALL", .text),
        .init("server_reset_query_always", "0", .boolean),
        .init("server_tls_ca_file", "", .file),
        .init("server_tls_cert_file", "", .file),
        .init("server_tls_ciphers", "fast", .text),
        .init("server_tls_key_file", "", .file),
        .init("server_tls_protocols", "secure", .tlsVersions),
        .init("server_tls_sslmode", "disable", .choice(PoolerTLSMode.allCases.map(\.rawValue))),
        .init("stats_period", "60", .integer(1...86_400)),
        .init("stats_users", "", .text),
    ]

    /// Of pgbouncer 1.18; here they mean nothing: what they are about is the lab's own affair, or is not there.
    static let ignored: Set<String> = [
        "application_name_add_host", "autodb_idle_timeout", "client_tls_dheparams", "client_tls_ecdhcurve",
        "conffile", "disable_pqexec", "dns_max_ttl", "dns_nxdomain_ttl",
        "dns_zone_check_period", "job_name", "listen_backlog", "logfile", "max_packet_size", "pidfile", "pkt_buf",
        "resolv_conf", "sbuf_loopcnt", "server_fast_close", "server_login_retry", "server_round_robin",
        "service_name", "so_reuseport", "suspend_timeout", "syslog",
        "syslog_facility", "syslog_ident", "tcp_defer_accept", "tcp_keepalive", "tcp_keepcnt", "tcp_keepidle",
        "tcp_keepintvl", "tcp_socket_buffer", "tcp_user_timeout", "track_extra_parameters", "unix_socket_dir",
        "unix_socket_group", "unix_socket_mode", "user", "verbose", "cancel_wait_timeout",
    ]

    /// Settings that name a file.
    public static let files = all.filter { if case .file = $0.kind { true } else { false } }.map(\.name)

    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// Why a value cannot be; nil if it can.
    func objection(to value: String) -> String? {
        switch kind {
        case .text, .ignored, .file: return nil
        case .tlsVersions: return PoolerTLS.versions(value) == nil ? "secure, all, or of tlsv1.2 and tlsv1.3" : nil
        case .integer(let range):
            if let number = Int(value), range.contains(number) { return nil }
            return "a number from \(range.lowerBound) to \(range.upperBound)"
        case .seconds:
            if let number = Double(value), number >= 0, number <= 1e9 { return nil }
            return "a number of seconds from 0"
        case .boolean:
            return ["0", "1", "on", "off", "yes", "no", "true", "false"].contains(value.lowercased()) ? nil : "0 or 1"
        case .choice(let choices):
            return choices.contains(value) ? nil : "one of \(choices.joined(separator: ", "))"
        }
    }
}

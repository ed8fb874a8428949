extension SessionSettings {
    /// In the order of names.
    static let ordered: [Entry] = [
        Entry(name: "application_name", kind: .text, initial: "", isReported: true),
        Entry(name: "autovacuum", kind: .boolean, initial: "off", isFixed: true),
        Entry(name: "backslash_quote", kind: .choice(["safe_encoding", "on", "off"]), initial: "safe_encoding"),
        Entry(name: "bytea_output", kind: .choice(["hex"]), initial: "hex"),
        Entry(name: "check_function_bodies", kind: .boolean, initial: "on"),
        Entry(name: "client_encoding", kind: .choice(["UTF8"]), initial: "UTF8", isReported: true),
        Entry(
            name: "client_min_messages",
            kind: .choice(["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]),
            initial: "notice"),
        Entry(name: "constraint_exclusion", kind: .choice(["partition", "on", "off"]), initial: "partition"),
        Entry(name: "cursor_tuple_fraction", kind: .real, initial: "0.1"),
        Entry(name: "datestyle", kind: .choice([]), initial: "ISO, MDY", isReported: true),
        Entry(name: "deadlock_timeout", kind: milliseconds, initial: "1s"),
        Entry(name: "default_tablespace", kind: .text, initial: ""),
        Entry(
            name: "default_transaction_isolation",
            kind: .choice(["serializable", "repeatable read", "read committed", "read uncommitted"]),
            initial: "read committed"),
        Entry(name: "default_transaction_deferrable", kind: .boolean, initial: "off"),
        Entry(name: "default_transaction_read_only", kind: .boolean, initial: "off", isReported: true),
        Entry(name: "enable_seqscan", kind: .boolean, initial: "on"),
        Entry(name: "enable_indexscan", kind: .boolean, initial: "on"),
        // Numbers are always written so that they can be read again as they were; 0 and less would round them.
        Entry(name: "extra_float_digits", kind: .integer(unit: nil, in: 1...3), initial: "1"),
        Entry(name: "fsync", kind: .boolean, initial: "on", isFixed: true),
        Entry(name: "idle_in_transaction_session_timeout", kind: milliseconds, initial: "0"),
        Entry(name: "idle_session_timeout", kind: milliseconds, initial: "0"),
        Entry(name: "in_hot_standby", kind: .boolean, initial: "off", isReported: true, isFixed: true),
        Entry(name: "integer_datetimes", kind: .boolean, initial: "on", isReported: true, isFixed: true),
        Entry(
            name: "intervalstyle", kind: .choice(["postgres"]), initial: "postgres", isReported: true),
        Entry(name: "is_superuser", kind: .boolean, initial: "on", isReported: true, isFixed: true),
        Entry(name: "jit", kind: .boolean, initial: "off"),
        Entry(name: "lc_collate", kind: .text, initial: "C", isFixed: true),
        Entry(name: "lc_ctype", kind: .text, initial: "C.UTF-8", isFixed: true),
        Entry(name: "lc_messages", kind: .text, initial: "C"),
        Entry(name: "lc_monetary", kind: .text, initial: "C"),
        Entry(name: "lc_numeric", kind: .text, initial: "C"),
        Entry(name: "lc_time", kind: .text, initial: "C"),
        Entry(name: "lock_timeout", kind: milliseconds, initial: "0"),
        Entry(name: "log_statement", kind: .choice(["none", "ddl", "mod", "all"]), initial: "none"),
        Entry(name: "maintenance_work_mem", kind: kilobytes, initial: "64MB"),
        // The server's own is set for each session: `DatabaseOptions.sessionLimit`.
        Entry(name: "max_connections", kind: .integer(unit: nil, in: 1...262_143), initial: "100", isFixed: true),
        Entry(name: "max_identifier_length", kind: .integer(unit: nil, in: 63...63), initial: "63", isFixed: true),
        Entry(name: "max_index_keys", kind: .integer(unit: nil, in: 32...32), initial: "32", isFixed: true),
        Entry(name: "password_encryption", kind: .choice(["scram-sha-256", "md5"]), initial: "scram-sha-256"),
        Entry(name: "port", kind: .integer(unit: nil, in: 0...65_535), initial: "5432", isFixed: true),
        Entry(name: "quote_all_identifiers", kind: .boolean, initial: "off"),
        Entry(name: "role", kind: .text, initial: "none"),
        Entry(name: "row_security", kind: .boolean, initial: "on"),
        Entry(name: "search_path", kind: .text, initial: "\"$user\", public"),
        Entry(name: "server_encoding", kind: .text, initial: "UTF8", isReported: true, isFixed: true),
        Entry(name: "server_version", kind: .text, initial: DatabaseVersion.text, isReported: true, isFixed: true),
        Entry(name: "server_version_num", kind: .text, initial: String(DatabaseVersion.number), isFixed: true),
        Entry(name: "session_authorization", kind: .text, initial: "postgres", isReported: true),
        Entry(
            name: "session_replication_role", kind: .choice(["origin", "replica", "local"]), initial: "origin"),
        Entry(name: "shared_buffers", kind: kilobytes, initial: "128MB", isFixed: true),
        Entry(name: "standard_conforming_strings", kind: .boolean, initial: "on", isReported: true, isFixed: true),
        Entry(name: "statement_timeout", kind: milliseconds, initial: "0"),
        Entry(
            name: "synchronous_commit",
            kind: .choice(["local", "remote_write", "remote_apply", "on", "off", "true", "false"]), initial: "on"),
        Entry(name: "synchronize_seqscans", kind: .boolean, initial: "on"),
        Entry(name: "temp_buffers", kind: .integer(unit: "8kB", in: 100...1_073_741_823), initial: "8MB"),
        Entry(name: "timezone", kind: .text, initial: "UTC", isReported: true),
        Entry(
            name: "transaction_isolation",
            kind: .choice(["serializable", "repeatable read", "read committed", "read uncommitted"]),
            initial: "read committed"),
        Entry(name: "transaction_deferrable", kind: .boolean, initial: "off"),
        Entry(name: "transaction_read_only", kind: .boolean, initial: "off"),
        Entry(name: "wal_level", kind: .choice(["minimal", "replica", "logical"]), initial: "replica", isFixed: true),
        Entry(name: "work_mem", kind: kilobytes, initial: "4MB"),
        Entry(name: "xmloption", kind: .choice(["content", "document"]), initial: "content"),
    ]

    static let entries = Dictionary(uniqueKeysWithValues: ordered.map { ($0.name, $0) })

    private static let milliseconds = Kind.integer(unit: "ms", in: 0...2_147_483_647)
    private static let kilobytes = Kind.integer(unit: "kB", in: 64...2_147_483_647)
}

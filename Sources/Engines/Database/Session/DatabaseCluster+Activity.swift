import KernelSQLite
import KernelStructures

/// What the cluster knows about its sessions and databases, as tables of `pg_catalog`.
extension DatabaseCluster {
    func rows(of table: String, for session: DatabaseSession) -> [[String: SQLiteValue]] {
        switch table {
        case "pg_database": databaseNames.enumerated().map(databaseRow)
        case "pg_stat_database": databaseNames.enumerated().map(databaseStatisticsRow)
        case "pg_stat_activity": openSessions.filter { $0.phase == .ready }.map(activityRow)
        case "pg_locks": lockRows
        case "pg_prepared_statements":
            session.preparedStatements.sorted { $0.key < $1.key }.map {
                ["name": .text($0.key), "statement": .text($0.value.sql)]
            }
        case "pg_cursors":
            session.portals.values.filter { $0.cursor != nil }.sorted { $0.number < $1.number }.map {
                ["name": .text($0.name), "is_holdable": .integer($0.cursor?.isHoldable == true ? 1 : 0)]
            }
        case "pg_roles": roleNames.enumerated().map(roleRow)
        case "pg_user": roleNames.enumerated().map(userRow)
        default: []
        }
    }

    private func oid(_ index: Int) -> SQLiteValue { .integer(Int64(5 + index)) }

    private func databaseRow(_ index: Int, _ name: String) -> [String: SQLiteValue] {
        [
            "oid": oid(index), "datname": .text(name), "datdba": .integer(10), "encoding": .integer(6),
            "datlocprovider": .text("c"), "datistemplate": .integer(name == "template1" ? 1 : 0),
            "datallowconn": .integer(1), "datconnlimit": .integer(-1), "dattablespace": .integer(1663),
            "datcollate": .text("C.UTF-8"), "datctype": .text("C.UTF-8"),
        ]
    }

    private func databaseStatisticsRow(_ index: Int, _ name: String) -> [String: SQLiteValue] {
        guard let database = databases[name] else { return [:] }
        return [
            "datid": oid(index), "datname": .text(name), "numbackends": .integer(Int64(database.sessionCount)),
            "xact_commit": .integer(Int64(database.commitCount)),
            "xact_rollback": .integer(Int64(database.rollbackCount)),
            "conflicts": .integer(0), "deadlocks": .integer(0),
        ]
    }

    /// Everybody may do everything: there is one role that owns all, and those that may come.
    private var roleNames: [String] { ["postgres"] + options.secrets.keys.filter { $0 != "postgres" }.sorted() }

    private func roleRow(_ index: Int, _ name: String) -> [String: SQLiteValue] {
        var row: [String: SQLiteValue] = ["rolname": .text(name), "oid": .integer(Int64(10 + index))]
        for flag in ["super", "inherit", "createrole", "createdb", "canlogin"] { row["rol\(flag)"] = .integer(1) }
        for flag in ["replication", "bypassrls"] { row["rol\(flag)"] = .integer(0) }
        row["rolconnlimit"] = .integer(-1)
        row["rolpassword"] = .text("********")
        return row
    }

    private func userRow(_ index: Int, _ name: String) -> [String: SQLiteValue] {
        [
            "usename": .text(name), "usesysid": .integer(Int64(10 + index)), "usecreatedb": .integer(1),
            "usesuper": .integer(1), "userepl": .integer(0), "usebypassrls": .integer(0), "passwd": .text("********"),
        ]
    }

    private func activityRow(_ session: DatabaseSession) -> [String: SQLiteValue] {
        let activity = session.activity
        func moment(_ time: LabTime) -> SQLiteValue { .integer(time.postgresMicroseconds) }
        var row: [String: SQLiteValue] = [
            "datname": .text(session.context.database), "pid": .integer(Int64(session.key.process)),
            "usename": .text(session.context.user), "usesysid": .integer(10),
            "application_name": .text(session.context.settings.value("application_name") ?? ""),
            "backend_start": moment(activity.backendStart), "query_start": moment(activity.queryStart),
            "state_change": moment(activity.stateChange), "state": .text(activity.state.rawValue),
            "query": .text(activity.query), "backend_type": .text("client backend"),
        ]
        if let index = databaseNames.firstIndex(of: session.context.database) { row["datid"] = oid(index) }
        if let address = session.context.clientAddress { row["client_addr"] = .text(address) }
        if session.transaction != nil { row["xact_start"] = moment(session.context.transactionTime) }
        if let (type, event) = session.waitEvent {
            row["wait_event_type"] = .text(type)
            row["wait_event"] = .text(event)
        }
        return row
    }

    /// Who has the pen of each database, and who waits for it.
    private var lockRows: [[String: SQLiteValue]] {
        let advisory = databaseNames.enumerated().flatMap { index, name in
            (databases[name]?.advisoryLocks.rows ?? []).map { row in
                [
                    "locktype": .text("advisory"), "database": oid(index), "classid": .integer(Int64(row.key.classID)),
                    "objid": .integer(Int64(row.key.objectID)), "objsubid": .integer(row.key.kind),
                    "pid": .integer(Int64(row.session.key.process)), "mode": .text(row.mode),
                    "granted": .integer(row.isGranted ? 1 : 0), "fastpath": .integer(0),
                ] as [String: SQLiteValue]
            }
        }
        return advisory + writerRows
    }

    private var writerRows: [[String: SQLiteValue]] {
        openSessions.compactMap { session in
            let holds = session.database?.writer === session
            guard holds || session.wait == .writer else { return nil }
            return [
                "locktype": .text("database"), "pid": .integer(Int64(session.key.process)),
                "mode": .text("ExclusiveLock"), "granted": .integer(holds ? 1 : 0), "fastpath": .integer(0),
            ]
        }
    }

    /// `pg_cancel_backend` and `pg_terminate_backend`.
    func signal(_ process: Int32, terminates: Bool) -> Bool {
        guard let session = openSessions.first(where: { $0.key.process == process }) else { return false }
        // Not in the midst of whoever calls it.
        signals.append((session, terminates))
        return true
    }
}

extension DatabaseSession {
    /// What it waits for, as `pg_stat_activity` names it.
    var waitEvent: (type: String, event: String)? {
        switch wait {
        case .writer: ("Lock", "transactionid")
        case .advisoryLock: ("Lock", "advisory")
        case .time: ("Timeout", "PgSleep")
        case .output: ("Client", "ClientWrite")
        case .copyData: ("Client", "ClientRead")
        case .turn: nil
        case nil: isIdle || running == nil ? ("Client", "ClientRead") : nil
        }
    }
}

import KernelSQLite
import KernelWire

/// EXPLAIN: how SQLite would carry a statement out, in PostgreSQL's manner as far as that goes.
extension DatabaseSession {
    func start(_ explain: ExplainPlan, _ portal: Portal, _ connection: DatabaseConnection) throws(PostgresError)
        -> Progress
    {
        guard let plan = portal.entry?.plan else { return .done }
        let inner = try Translator.translate(
            explain.statement, catalogue: connection.catalogue, parameterTypes: portal.givenTypes, context: context)
        var lines = inner.sql.isEmpty ? ["Utility Statement"] : try self.lines(inner, portal.parameters, connection)
        if explain.isAnalyze, !inner.sql.isEmpty {
            let statement = try prepare(inner, portal.parameters, connection)
            var count = 0
            do throws(SQLiteError) {
                while try statement.step() { count += 1 }
            } catch {
                throw ErrorMapping.postgresError(for: error, on: connection)
            }
            lines.append("Rows: \(inner.countsChanges ? connection.sqlite.changes : count)")
        }
        if portal.describesRows { output.rowDescription(portal.columns) }
        if explain.isJSON {
            let quoted = lines.map { "\"\($0.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\"" }
            lines = ["[{\"Plan\": [\(quoted.joined(separator: ", "))]}]"]
        }
        for line in lines {
            output.beginRow(columnCount: 1)
            output.value(utf8: line)
            output.endRow()
        }
        complete(portal, plan.tag.text(rows: lines.count))
        return .done
    }

    private func lines(_ plan: Plan, _ parameters: [SQLiteValue], _ connection: DatabaseConnection)
        throws(PostgresError) -> [String]
    {
        do throws(SQLiteError) {
            let statement = try connection.sqlite.prepare("EXPLAIN QUERY PLAN " + plan.sql, isKept: false)
            var depths: [Int64: Int] = [0: -1]
            var lines: [String] = []
            while try statement.step() {
                let depth = (depths[statement.integer(1)] ?? -1) + 1
                depths[statement.integer(0)] = depth
                let arrow = depth == 0 ? "" : String(repeating: " ", count: depth * 6 - 4) + "->  "
                lines.append(arrow + Self.renamed(statement.text(3)))
            }
            return lines.isEmpty ? ["Result"] : lines
        } catch {
            throw ErrorMapping.postgresError(for: error, on: connection)
        }
    }

    /// `SCAN t_16384` as `Seq Scan on t`, `SEARCH t_16384 USING INDEX …` as `Index Scan on t …`.
    private static func renamed(_ line: String) -> String {
        var words = line.split(separator: " ").map(String.init)
        guard words.count >= 2, words[0] == "SCAN" || words[0] == "SEARCH" else { return line }
        let table = words[1].split(separator: "_").dropLast().joined(separator: "_")
        words[1] = table.isEmpty ? words[1] : table
        return (words[0] == "SCAN" ? "Seq Scan on " : "Index Scan on ") + words[1...].joined(separator: " ")
    }
}

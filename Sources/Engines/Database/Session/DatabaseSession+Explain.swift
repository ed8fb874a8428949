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
        var found: [(depth: Int, text: String)] = []
        do throws(SQLiteError) {
            let statement = try connection.sqlite.prepare("EXPLAIN QUERY PLAN " + plan.sql, isKept: false)
            var depths: [Int64: Int] = [0: -1]
            while try statement.step() {
                let depth = (depths[statement.integer(1)] ?? -1) + 1
                depths[statement.integer(0)] = depth
                found.append((depth, statement.text(3)))
            }
        } catch {
            throw ErrorMapping.postgresError(for: error, on: connection)
        }
        var lines: [String] = []
        for (depth, text) in found {
            let arrow = depth == 0 ? "" : String(repeating: " ", count: depth * 6 - 4) + "->  "
            let line = try renamed(text, plan, connection.catalogue)
            lines.append(arrow + line)
        }
        return lines.isEmpty ? ["Result"] : lines
    }

    /// `SCAN a1` as `Seq Scan on t`, `SEARCH a1 USING INDEX t_pkey_16385 (a_1=?)` as
    /// `Index Scan on t USING INDEX t_pkey (a=?)`.
    private func renamed(_ line: String, _ plan: Plan, _ catalogue: Catalogue) throws(PostgresError) -> String {
        var text = ""
        var word = ""
        // Columns stand in parentheses.
        var depth = 0
        for character in line + " " {
            if character == "_" || character.isLetter || character.isNumber {
                word.append(character)
                continue
            }
            text += try depth > 0 ? Self.column(word) : relation(word, plan, catalogue)
            word = ""
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            text.append(character)
        }
        text.removeLast()
        for (old, new) in [("SCAN ", "Seq Scan on "), ("SEARCH ", "Index Scan on ")] where text.hasPrefix(old) {
            return new + String(text.dropFirst(old.count))
        }
        return text
    }

    /// What an alias, or a name in SQLite with a number behind it (`StorageName`), stands for.
    private func relation(_ word: String, _ plan: Plan, _ catalogue: Catalogue) throws(PostgresError) -> String {
        if let name = plan.tableNames[word] { return name }
        guard let number = StorageName.number(of: word), number >= 16_384,
            let row = try catalogue.rows("SELECT relname FROM pg_class WHERE oid = ?1", [.integer(number)]).first
        else { return word }
        return CatalogueRow(row).text(0)
    }

    private static func column(_ word: String) -> String {
        guard StorageName.number(of: word) != nil, let end = word.lastIndex(of: "_") else { return word }
        return String(word[..<end])
    }
}

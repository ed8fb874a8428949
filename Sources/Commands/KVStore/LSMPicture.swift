import CommandKit
import KVStoreEngine
import KVStoreService
import KernelJSON
import KernelStructures

/// The tree as a drawing: how full the memtable is, what each level holds, which part of the keys each table covers,
/// and what runs.
extension KVServer {
    /// Columns in which the keys of all tables are laid out, by their rank.
    private static let mapWidth = 44

    var picture: View {
        let shape = store.describe()
        return View(
            .record([
                .init("directory", key: "directory", .text(settings.directoryText)),
                .init("memtable", key: "memtable", memtableCell(shape)),
                .init("immutable", key: "immutable", immutableCell(shape)),
                .init("running", key: "running", workCell(shape)),
                .init("stall", key: "stall", .text(shape.stall?.description ?? "none")),
            ]),
            .table(levelTable(shape)), .text(map(shape), json: mapJSON(shape)))
    }

    private func memtableCell(_ shape: KVStoreDescription) -> View.Cell {
        let share = shape.memtableLimitByteCount == 0 ? 0 : shape.memtableByteCount * 20 / shape.memtableLimitByteCount
        let bar = String(repeating: "█", count: min(20, share)) + String(repeating: "░", count: max(0, 20 - share))
        let sizes = "\(byteCountText(shape.memtableByteCount)) of \(byteCountText(shape.memtableLimitByteCount))"
        return View.Cell(
            "\(bar)  \(shape.memtableEntries) entries, \(sizes)",
            json: .object([
                ("entries", .integer(shape.memtableEntries)), ("bytes", .integer(shape.memtableByteCount)),
                ("limit_bytes", .integer(shape.memtableLimitByteCount)),
            ]))
    }

    private func immutableCell(_ shape: KVStoreDescription) -> View.Cell {
        guard let entries = shape.immutableEntries, let byteCount = shape.immutableByteCount else { return .none }
        return View.Cell(
            "\(entries) entries, \(byteCountText(byteCount)), being written to a table",
            json: .object([("entries", .integer(entries)), ("bytes", .integer(byteCount))]))
    }

    private func workCell(_ shape: KVStoreDescription) -> View.Cell {
        guard let work = shape.work else { return .none }
        let what =
            work.kind == "flush" ? "flush" : "L\(work.level) (\(work.tables)) + L\(work.level + 1) (\(work.nextTables))"
        let done = "\(byteCountText(work.doneByteCount)) of \(byteCountText(work.totalByteCount))"
        return View.Cell(
            "\(what), \(done)",
            json: .object([
                ("kind", .string(work.kind)), ("level", .integer(work.level)), ("tables", .integer(work.tables)),
                ("next_tables", .integer(work.nextTables)), ("done_bytes", .integer(work.doneByteCount)),
                ("total_bytes", .integer(work.totalByteCount)),
            ]))
    }

    private func levelTable(_ shape: KVStoreDescription) -> View.Table {
        let rows = shape.levels.filter { !$0.tables.isEmpty }.map { level -> [View.Cell] in
            let overlaps = level.tables.reduce(0) { $0 + $1.overlaps }
            let limit = level.number == 0 ? counted(level.limit, "table") : byteCountText(level.limit)
            return [
                .text("L\(level.number)"), .integer(level.tables.count), .integer(level.byteCount),
                View.Cell(limit, json: .integer(level.limit)),
                View.Cell(fixedDecimal(level.score, places: 2), json: .number(level.score)), .integer(overlaps),
            ]
        }
        return .init(
            [
                .init("LEVEL", key: "level"), .init("TABLES", key: "tables", right: true),
                .init("BYTES", key: "bytes", right: true), .init("LIMIT", key: "limit", right: true),
                .init("SCORE", key: "score", right: true), .init("OVERLAPS BELOW", key: "overlaps_below", right: true),
            ], rows: rows, whenEmpty: "no tables: all is in the memtable")
    }

    /// Level 0 has a line a table, because its tables overlap; below, a level is a line.
    private func map(_ shape: KVStoreDescription) -> String {
        let tables = shape.levels.flatMap(\.tables)
        guard !tables.isEmpty else { return "" }
        let ranks = Ranks(tables.flatMap { [$0.smallest, $0.largest] })
        var lines: [String] = []
        for level in shape.levels where !level.tables.isEmpty {
            if level.number == 0 {
                for table in level.tables {
                    let mark = table.isBeingCompacted ? "*" : " "
                    lines.append(line(table.label + mark, [table], ranks, byteCountText(table.byteCount)))
                }
            } else {
                lines.append(line("L\(level.number)", level.tables, ranks, counted(level.tables.count, "table")))
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func line(_ label: String, _ tables: [KVStoreDescription.Table], _ ranks: Ranks, _ note: String) -> String {
        var cells = [Character](repeating: " ", count: Self.mapWidth)
        for (index, table) in tables.enumerated() {
            let first = ranks.place(table.smallest, Self.mapWidth)
            let last = max(first, ranks.place(table.largest, Self.mapWidth))
            let glyph: Character = table.isBeingCompacted ? "▓" : index % 2 == 0 ? "█" : "▒"
            for place in first...last { cells[place] = glyph }
        }
        return "\(label.rightPadded(to: 9)) │\(String(cells))│ \(note)"
    }

    private func mapJSON(_ shape: KVStoreDescription) -> JSONValue {
        .array(
            shape.levels.flatMap(\.tables).map { table in
                .object([
                    ("table", .string(table.label)), ("level", .integer(table.level)),
                    ("bytes", .integer(table.byteCount)),
                    ("smallest", .string(String(decoding: table.smallest, as: UTF8.self))),
                    ("largest", .string(String(decoding: table.largest, as: UTF8.self))),
                    ("overlaps", .integer(table.overlaps)), ("compacting", .bool(table.isBeingCompacted)),
                ])
            })
    }

    /// Keys by their rank among all ends of tables.
    private struct Ranks {
        private let sorted: [[UInt8]]

        init(_ keys: [[UInt8]]) { sorted = keys.sorted { $0.lexicographicallyPrecedes($1) } }

        func place(_ key: [UInt8], _ width: Int) -> Int {
            let rank = sorted.firstIndex { !$0.lexicographicallyPrecedes(key) } ?? 0
            return sorted.count < 2 ? 0 : rank * (width - 1) / (sorted.count - 1)
        }
    }
}

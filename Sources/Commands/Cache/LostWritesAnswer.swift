import CommandKit
import KernelJSON
import KernelStructures
import KernelWire

/// What the nodes of a cluster say of acknowledged writes that are gone, together.
struct LostWritesAnswer {
    private var rows: [[View.Cell]] = []
    /// Nodes that did not answer: what they know of is not here.
    var silent: [String] = []

    /// - Parameter reply: of one node to CLUSTER LOST-WRITES.
    mutating func add(_ reply: RESPValue) {
        for write in reply.elements ?? [] {
            let fields = write.elements ?? []
            var values: [String: RESPValue] = [:]
            for index in stride(from: 0, to: fields.count - 1, by: 2) {
                if let name = fields[index].text { values[name] = fields[index + 1] }
            }
            rows.append(Self.row(values))
        }
    }

    private static func row(_ values: [String: RESPValue]) -> [View.Cell] {
        func text(_ name: String) -> String { values[name]?.text ?? "" }
        let command = text("command").split(separator: " ", maxSplits: 1).map(String.init)
        let (master, successor) = (text("master-name"), text("successor-name"))
        let why =
            text("reason") == "died"
            ? "it died before \(successor) had it (the lab saw it)" : "it was cut off; \(successor) took over"
        return [
            .text(command.count > 1 ? command[1] : "-"), .text(command.first ?? "-"),
            // `2023-12-20T19:40:04.600Z`: the time is enough for people.
            View.Cell(
                text("at").split(separator: "T").last.map { String($0.prefix(12)) } ?? "", json: .string(text("at"))),
            .text(master), .text(why),
        ]
    }

    var view: View {
        let table = View.Table(
            [
                .init("KEY", key: "key", flexible: true), .init("COMMAND", key: "command"),
                .init("WRITTEN", key: "written"), .init("AT", key: "at"), .init("WHY", key: "why", flexible: true),
            ], rows: rows, whenEmpty: "no acknowledged write is known to be lost")
        var view = View(.table(table))
        if !silent.isEmpty {
            let names = silent.joined(separator: ", ")
            view.parts.append(.text("not asked, because it does not answer: \(names)\n", json: .null))
            view.json = .object([
                ("writes", .array(rows.map { row in .object(zip(table.columns, row).map { ($0.key, $1.json) }) })),
                ("silent", .array(silent.map { .string($0) })),
            ])
        }
        return view
    }

    /// From the reply to CLUSTER NODES: `id 127.0.0.2:7002@17002 master …`, without the one that was asked.
    static func others(_ lines: String) -> [HostPort] {
        lines.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 2, !fields[2].split(separator: ",").contains("myself") else { return nil }
            return HostPort(parsing: fields[1].prefix { $0 != "@" })
        }
    }
}

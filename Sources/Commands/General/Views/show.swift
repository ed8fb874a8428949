import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension GeneralCommands {
    /// `show lsm`
    static var show: Command {
        let description = CommandDescription(
            "show", "draws what a component looks like inside", usage: "[NODE|KIND…] [FLAGS]",
            flags: [CommonFlags.glyphs, CommonFlags.json], arguments: .init([.node], 0...100),
            examples: ["show lsm", "show lsm --json"],
            group: .views,
            details: """
                With --json the picture of one; of several, a list with {"node", "kind",
                "picture"} for each.
                """)
        return Command(description) { invocation in
            let running = invocation.session.jobs.running.flatMap(\.running).compactMap { process in
                process.component.map { (name: process.nodeName ?? process.name, component: $0) }
            }
            let wanted = invocation.arguments.arguments.map { word in
                running.contains { isMeant($0.name, $0.component.kind, by: word) }
                    ? word : invocation.session.nodeName(meantBy: word)
            }
            for word in wanted where !running.contains(where: { isMeant($0.name, $0.component.kind, by: word) }) {
                throw CommandFailure("nothing called '\(word)' runs\(didYouMean(word, among: running.map(\.name)))")
            }
            let chosen =
                wanted.isEmpty
                ? running : running.filter { one in wanted.contains { isMeant(one.name, one.component.kind, by: $0) } }
            let pictures = chosen.compactMap { $0.component.picture ?? $0.component.stats.map(drawing) }
            let drawn = chosen.filter { $0.component.picture != nil || $0.component.stats != nil }
            guard !pictures.isEmpty else {
                let why = wanted.isEmpty ? "nothing runs that can be drawn" : "there is no drawing of that; try stats"
                throw CommandFailure(why)
            }
            var view = View()
            for (one, picture) in zip(drawn, pictures) {
                // Whose is which, where there are several.
                if pictures.count > 1 { view.parts.append(.text(one.name + "\n", json: .string(one.name))) }
                view.parts += picture.parts
            }
            if pictures.count > 1 {
                view.json = .array(
                    zip(drawn, pictures).map { one, picture in
                        .object([
                            ("node", .string(one.name)), ("kind", .string(one.component.kind)),
                            ("picture", invocation.session.renderer.value(of: picture)),
                        ])
                    })
            }
            return .view(view)
        }
    }

    /// A component that has no picture of its own is drawn from what it counts: a bar for each number, all at one
    /// scale; the rest as it stands.
    private static func drawing(of stats: View) -> View {
        var view = View()
        for part in stats.parts {
            guard case .record(let fields) = part else {
                view.parts.append(part)
                continue
            }
            let counts = fields.map { field -> Int? in
                if case .integer(let number) = field.cell.json, number >= 0 { number } else { nil }
            }
            let scale = BarScale(.block, top: Double(counts.compactMap(\.self).max() ?? 0), width: 30)
            let width = fields.map { displayWidth($0.cell.text) }.max() ?? 0
            view.parts.append(
                .record(
                    zip(fields, counts).map { field, count in
                        guard let count, count > 0 else { return field }
                        let space = String(repeating: " ", count: width - displayWidth(field.cell.text))
                        let bar = width > 30 ? "" : space + "  " + scale.text(Double(count))
                        return .init(
                            field.name, key: field.key, View.Cell(field.cell.text + bar, json: field.cell.json))
                    }))
        }
        return view
    }

    private static func isMeant(_ name: String, _ kind: String, by word: String) -> Bool {
        name.lowercased() == word.lowercased() || kind == word.lowercased()
    }
}

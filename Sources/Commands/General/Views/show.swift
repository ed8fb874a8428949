import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension GeneralCommands {
    /// `show lsm`
    static var show: Command {
        let description = CommandDescription(
            "show", "draws what a component looks like inside", usage: "[NODE|KIND…] [--json]",
            flags: [CommonFlags.json], arguments: .init([.node], 0...100), examples: ["show lsm", "show lsm --json"],
            group: .views)
        return Command(description) { invocation in
            let running = invocation.session.jobs.running.flatMap(\.running).compactMap { process in
                process.component.map { (name: process.nodeName ?? process.name, component: $0) }
            }
            let wanted = invocation.arguments.arguments
            for word in wanted where !running.contains(where: { isMeant($0.name, $0.component.kind, by: word) }) {
                throw CommandFailure("nothing called '\(word)' runs\(didYouMean(word, among: running.map(\.name)))")
            }
            let chosen =
                wanted.isEmpty
                ? running : running.filter { one in wanted.contains { isMeant(one.name, one.component.kind, by: $0) } }
            let pictures = chosen.compactMap(\.component.picture)
            guard !pictures.isEmpty else {
                let why = wanted.isEmpty ? "nothing runs that can be drawn" : "there is no drawing of that; try stats"
                throw CommandFailure(why)
            }
            var view = View()
            for picture in pictures { view.parts += picture.parts }
            return .view(view)
        }
    }

    private static func isMeant(_ name: String, _ kind: String, by word: String) -> Bool {
        name.lowercased() == word.lowercased() || kind == word.lowercased()
    }
}

import CommandKit
import CommandServices
import HashRingEngine
import HashRingService
import KernelStructures
import ShellSession

extension HashRingCommands {
    /// `ring`
    static var ring: Command {
        let description = CommandDescription(
            "ring", "a hash ring: shares, tokens, keys, and what moved",
            usage: "[NODE] [--glyphs block|braille|ascii] [--json]", flags: [CommonFlags.glyphs, CommonFlags.json],
            arguments: .init([.node], 0...1), examples: ["ring", "ring --glyphs ascii", "watch 1s ring"],
            group: .views,
            details: """
                TOKENS is the ring unrolled, from 0 to 2^64 in 64 equal parts, each with the
                mark of the node that has its middle. BEFORE is what a node had before the
                last change. Bars are all at the same scale.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let glyphs = arguments.glyphs
            let host = try invocation.session.ring(named: arguments.arguments.first)
            return .view(host.keeper.ringView(glyphs))
        }
    }
}

extension RingKeeper {
    private static let mapWidth = 64

    func ringView(_ glyphs: Sparkline.Glyphs) -> View {
        let shares = Ownership(ring).shares
        let before = lastChange.map { change in
            Dictionary(
                uniqueKeysWithValues: zip(change.before.nodes.map(\.name), Ownership(change.before).shares))
        }
        let marks = Self.marks(ring.nodes.map(\.name))
        let bar = BarScale(glyphs, top: shares.max() ?? 1)
        var rows = ring.nodes.indices.map { index -> [View.Cell] in
            let name = ring.nodes[index].name
            return [
                .text(String(marks[index])), .text(name), .share(shares[index]),
                before?[name].map { .share($0) } ?? .none,
                bar.cell(shares[index]),
            ]
        }
        // One that has left is shown for as long as nothing else happens.
        if let change = lastChange, change.kind == .remove {
            rows.append([.none, .text(change.name), .share(0), .share(before?[change.name] ?? 0), .text("")])
        }
        var view = View(
            .table(
                .init(
                    [
                        .init("MARK", key: "mark"), .init("NODE", key: "node", flexible: true),
                        .init("SHARE", key: "share", right: true),
                        .init("BEFORE", key: "before", right: true), .init("", key: "bar"),
                    ], rows: rows, whenEmpty: "no nodes yet")))
        if !ring.isEmpty { view.parts.append(tokenMap(marks)) }
        if !recentKeys.isEmpty, !ring.isEmpty {
            view.parts += Self.table(of: recentKeys.map { lookup($0, settings.replicationFactor) }).parts
        }
        if let change = lastChange {
            view.parts.append(
                .text(Self.sentence(change, isDone: true), json: .number(change.movement.fraction)))
        }
        return view
    }

    /// The ring unrolled: who has the middle of each part.
    private func tokenMap(_ marks: [Character]) -> View.Content {
        let part = UInt64.max / UInt64(Self.mapWidth) + 1
        let owners = (0..<UInt64(Self.mapWidth)).map { ring.ownerIndex(at: $0 * part + part / 2)! }
        let map = String(owners.map { marks[$0] })
        return .text("TOKENS  " + map, json: .array(owners.map { .string(ring.nodes[$0].name) }))
    }

    /// One character a node: the last of its name where that tells them apart, otherwise letters in order.
    private static func marks(_ names: [String]) -> [Character] {
        let last = names.map { $0.last! }
        if Set(last).count == names.count, last.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) }) {
            return last
        }
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        return names.indices.map { $0 < letters.count ? letters[$0] : "?" }
    }
}

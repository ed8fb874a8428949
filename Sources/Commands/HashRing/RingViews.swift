import CommandKit
import HashRingEngine
import HashRingService
import KernelJSON
import KernelStructures

extension RingKeeper {
    /// An answer as it is shown: by `hash-ring-cli`, by curl, and as JSON.
    func view(of answer: RingAnswer) -> View {
        switch answer {
        case .changed(let lines): View(.text(lines.joined(separator: "\n"), json: changeJSON(lines)))
        case .stats: statsView
        case .drawing(let lines): View(.text(lines.joined(separator: "\n"), json: .array(lines.map { .string($0) })))
        case .export: View(.text(exportJSON.text, json: exportJSON))
        case .lookup(let found): found.count == 1 ? Self.view(of: found[0]) : Self.table(of: found)
        case .preview(let change): Self.view(of: change, isDone: false, ranges: 0)
        case .moved(let change, let ranges):
            change.map { Self.view(of: $0, isDone: true, ranges: ranges) }
                ?? View(.text("nothing has changed yet", json: .null))
        case .comparison(let comparison, let settings): comparison.view(settings, nodes: ring.nodes.count)
        case .advice(let advice): advice.view(hash: ring.scheme.name)
        case .hotKeys(let hotKeys): hotKeys.view(nodes: ring.nodes.count)
        }
    }

    // MARK: Members

    private var statsView: View {
        let ownership = Ownership(ring)
        let rows = zip(ring.nodes, zip(ownership.shares, ownership.expectedShares)).map { node, share in
            [
                View.Cell.text(node.name), .integer(node.virtualNodes), .integer(node.weight),
                node.zone.map { .text($0) } ?? .none, .share(share.0), .share(share.1),
                View.Cell(fixedDecimal(share.0 / share.1, places: 3), json: .number(share.0 / share.1)),
            ]
        }
        return View(
            .record(summary(ownership)),
            .table(
                .init(
                    [
                        .init("NODE", key: "node", flexible: true), .init("VNODES", key: "vnodes", right: true),
                        .init("WEIGHT", key: "weight", right: true),
                        .init("ZONE", key: "zone", flexible: true), .init("SHARE", key: "share", right: true),
                        .init("FAIR", key: "fair", right: true),
                        .init("RATIO", key: "ratio", right: true),
                    ], rows: rows, whenEmpty: "no nodes yet")))
    }

    private func summary(_ ownership: Ownership) -> [View.Field] {
        var fields: [View.Field] = [
            .init("nodes", key: "nodes", .integer(ring.nodes.count)),
            .init("points", key: "points", .integer(ring.pointCount)),
            .init("hash", key: "hash", .text(ring.scheme.name)),
            .init("copies", key: "replication_factor", .integer(settings.replicationFactor)),
            .init("lookups", key: "lookups", .integer(lookupCount)),
        ]
        guard let first = ring.nodes.first else { return fields }
        let peak = ownership.peakToMean
        fields.append(
            .init("peak/mean", key: "peak_to_mean", .init(fixedDecimal(peak, places: 3), json: .number(peak))))
        let deviation = ownership.relativeDeviation
        let areAlike = ring.nodes.allSatisfy { $0.virtualNodes == first.virtualNodes && $0.weight == first.weight }
        let chance = Ownership.expectedDeviation(
            nodes: ring.nodes.count, virtualNodes: first.virtualNodes * first.weight)
        fields.append(
            .init(
                "deviation", key: "deviation",
                .init(
                    percent(deviation) + (areAlike ? " of a share (by chance \(percent(chance)))" : " of a share"),
                    json: .number(deviation))))
        return fields
    }

    private func changeJSON(_ lines: [String]) -> JSONValue {
        .object([
            ("log", .array(lines.map { .string($0) })),
            ("moved", .number(lastChange?.movement.fraction ?? 0)),
            ("nodes", nodesJSON),
        ])
    }

    private var nodesJSON: JSONValue {
        .array(
            zip(ring.nodes, Ownership(ring).shares).map { node, share in
                .object([
                    ("name", .string(node.name)), ("vnodes", .integer(node.virtualNodes)),
                    ("weight", .integer(node.weight)), ("zone", node.zone.map { .string($0) } ?? .null),
                    ("share", .number(share)),
                ])
            })
    }

    /// Positions are text: JSON's readers keep 53 bits of a number.
    private var exportJSON: JSONValue {
        .object([
            ("hash", .string(ring.scheme.name)), ("replication_factor", .integer(settings.replicationFactor)),
            ("nodes", nodesJSON),
            (
                "points",
                .array(
                    ring.positions.indices.map { index in
                        let (node, number) = ring.label(ofPoint: index)
                        return .object([
                            ("position", .string(Self.hex(ring.positions[index]))), ("node", .string(node)),
                            ("number", .integer(number)),
                        ])
                    })
            ),
        ])
    }

    static func hex(_ position: UInt64) -> String { "0x" + hexadecimal(position, 16).uppercased() }

    // MARK: Keys

    private static func view(of found: Lookup) -> View {
        let key = printable(found.key)
        let missing = found.replicationFactor - found.replicas.count
        let factor = "RF=\(found.replicationFactor)" + (missing > 0 ? ", \(missing) more than there are nodes" : "")
        return View(
            .text(
                """
                Key '\(key)' → \(found.owner) (hash: \(hex(found.position)))
                Replicas: [\(found.replicas.joined(separator: ", "))] (\(factor))
                """, json: json(of: found)))
    }

    private static func json(of found: Lookup) -> JSONValue {
        .object([
            ("key", .string(found.key)), ("hash", .string(hex(found.position))), ("node", .string(found.owner)),
            ("replicas", .array(found.replicas.map { .string($0) })),
            ("replication_factor", .integer(found.replicationFactor)),
        ])
    }

    static func table(of found: [Lookup]) -> View {
        let rows = found.map { one -> [View.Cell] in
            [
                .init(printable(one.key), json: .string(one.key)), .text(hex(one.position)),
                .text(one.owner),
                .init(one.replicas.joined(separator: ", "), json: .array(one.replicas.map { .string($0) })),
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("KEY", key: "key", flexible: true), .init("HASH", key: "hash"),
                        .init("NODE", key: "node", flexible: true),
                        .init("REPLICAS", key: "replicas", flexible: true),
                    ], rows: rows, whenEmpty: "no key was looked up yet")))
    }

    // MARK: Movement

    static func sentence(_ change: Change, isDone: Bool) -> String {
        let moved = percent(change.movement.fraction)
        let verbs =
            isDone ? ("added", "removed", "reweighted", "moved") : ("adding", "removing", "reweighting", "moves")
        let what = [Change.Kind.add: verbs.0, .remove: verbs.1, .reweight: verbs.2][change.kind]!
        return isDone
            ? "\(what) \(change.name): \(moved) of keys moved" : "\(what) \(change.name) moves \(moved) of keys"
    }

    private static func view(of change: Change, isDone: Bool, ranges: Int) -> View {
        let movement = change.movement
        let stray = movement.strayFraction(besides: change.name)
        var view = View(
            .record([
                .init(
                    "change", key: "change",
                    .init(sentence(change, isDone: isDone), json: .string(change.kind.rawValue))),
                .init("node", key: "node", .text(change.name)), .init("moved", key: "moved", .share(movement.fraction)),
                .init("between others", key: "between_others", .share(stray)),
                .init("ranges", key: "ranges", .integer(movement.ranges.count)),
            ]),
            .table(
                .init(
                    [
                        .init("FROM", key: "from", flexible: true), .init("TO", key: "to", flexible: true),
                        .init("RANGES", key: "ranges", right: true), .init("KEYS", key: "share", right: true),
                    ],
                    rows: movement.transfers.map { transfer in
                        [
                            transfer.from.map { .text($0) } ?? .none, transfer.to.map { .text($0) } ?? .none,
                            .integer(transfer.rangeCount), .share(transfer.fraction),
                        ]
                    }, whenEmpty: "nothing moves")))
        if ranges > 0 { view.parts.append(.table(table(of: movement.ranges.prefix(ranges)))) }
        let more = movement.ranges.count - ranges
        if ranges > 0, more > 0 {
            view.parts.append(
                .text("and \(grouped(more)) more: --ranges \(movement.ranges.count)", json: .integer(more)))
        }
        return view
    }

    private static func table(of ranges: ArraySlice<Movement.Range>) -> View.Table {
        .init(
            [
                .init("FIRST", key: "first"), .init("LAST", key: "last"), .init("FROM", key: "from", flexible: true),
                .init("TO", key: "to", flexible: true),
                .init("KEYS", key: "share", right: true),
            ],
            rows: ranges.map { range in
                let share = Double(range.length) / Double(Ownership.whole)
                return [
                    .text(hex(range.first)), .text(hex(range.last)), range.from.map { .text($0) } ?? .none,
                    range.to.map { .text($0) } ?? .none,
                    .init(fixedDecimal(share * 100, places: 3) + "%", json: .number(share)),
                ]
            }, whenEmpty: "nothing moved")
    }
}

extension Comparison {
    fileprivate func view(_ settings: Settings, nodes: Int) -> View {
        let cells = { (shift: Shift?) -> [View.Cell] in
            shift.map { [.share($0.moved), .share($0.stray, isBad: $0.stray > 0)] } ?? [.none, .none]
        }
        let rows = rows.map { row -> [View.Cell] in
            [
                .text(row.algorithm.rawValue),
                .init(fixedDecimal(row.peakToMean, places: 3), json: .number(row.peakToMean)),
                .share(row.relativeDeviation),
            ] + cells(row.adding) + cells(row.removing)
        }
        return View(
            .record([
                .init("nodes", key: "nodes", .integer(nodes)), .init("keys", key: "keys", .integer(settings.keys)),
                .init("hash", key: "hash", .text(settings.hash.rawValue)),
                .init("one more", key: "least_adding", leastAdding.map { .share($0, note: " must move") } ?? .none),
                .init("one less", key: "least_removing", leastRemoving.map { .share($0, note: " must move") } ?? .none),
            ]),
            .table(
                .init(
                    [
                        .init("ALGORITHM", key: "algorithm"), .init("PEAK/MEAN", key: "peak_to_mean", right: true),
                        .init("DEVIATION", key: "deviation", right: true),
                        .init("+1 MOVES", key: "adding_moved", right: true),
                        .init("STRAY", key: "adding_stray", right: true),
                        .init("-1 MOVES", key: "removing_moved", right: true),
                        .init("STRAY", key: "removing_stray", right: true),
                    ], rows: rows, whenEmpty: "")))
    }
}

func percent(_ share: Double) -> String { fixedDecimal(share * 100, places: 1) + "%" }

extension View.Cell {
    /// A part of a whole: a percentage for people, 0…1 for programs.
    static func share(_ share: Double, isBad: Bool = false, note: String = "") -> View.Cell {
        .init(percent(share) + note, json: .number(share), style: isBad ? .warning : .plain)
    }
}

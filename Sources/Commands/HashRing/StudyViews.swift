import CommandKit
import HashRingEngine
import KernelStructures

extension RingAdvice {
    func view(hash: String) -> View {
        let rows = rows.map { row -> [View.Cell] in
            [
                .integer(row.virtualNodes, style: row.virtualNodes == virtualNodes ? .good : .plain),
                .share(row.expectedDeviation), row.measuredDeviation.map { .share($0) } ?? .none,
                row.measuredPeakToMean.map { .init(fixedDecimal($0, places: 3), json: .number($0)) } ?? .none,
                .init(byteCountText(row.bytes), json: .integer(row.bytes)),
            ]
        }
        return View(
            .record([
                .init("nodes", key: "nodes", .integer(nodes)),
                .init("deviation", key: "deviation_limit", .share(deviation, note: " of a share at most")),
                .init("virtual nodes", key: "vnodes", .integer(virtualNodes)),
                .init("hash", key: "hash", .text(hash)),
            ]),
            .table(
                .init(
                    [
                        .init("VNODES", key: "vnodes", right: true), .init("BY CHANCE", key: "expected", right: true),
                        .init("MEASURED", key: "measured", right: true),
                        .init("PEAK/MEAN", key: "peak_to_mean", right: true),
                        .init("MEMORY", key: "bytes", right: true),
                    ], rows: rows, whenEmpty: "")))
    }
}

extension HotKeys {
    func view(nodes: Int) -> View {
        let bound = "at most \(fixedDecimal(Double(settings.boundPercent) / 100, places: 2)) of the mean"
        let rows = [("ring", ring), ("bounded loads", bounded)].map { name, row -> [View.Cell] in
            [
                .text(name), .init(fixedDecimal(row.peakToMean, places: 3), json: .number(row.peakToMean)),
                .text(row.busiest), .share(row.busiestShare), .share(row.elsewhere), .integer(row.nodesOfHottest),
            ]
        }
        return View(
            .record([
                .init("nodes", key: "nodes", .integer(nodes)), .init("keys", key: "keys", .integer(settings.keys)),
                .init("requests", key: "requests", .integer(settings.requests)),
                .init(
                    "skew", key: "skew",
                    .init(
                        "1/k^" + trimmedDecimal(Double(settings.skewPercent) / 100, places: 2),
                        json: .number(Double(settings.skewPercent) / 100))),
                .init("hottest key", key: "hottest_share", .share(hottestShare, note: " of all requests")),
                .init("bound", key: "bound", .init(bound, json: .number(Double(settings.boundPercent) / 100))),
            ]),
            .table(
                .init(
                    [
                        .init("ALGORITHM", key: "algorithm"), .init("PEAK/MEAN", key: "peak_to_mean", right: true),
                        .init("BUSIEST", key: "busiest", flexible: true),
                        .init("HAS", key: "busiest_share", right: true),
                        .init("ELSEWHERE", key: "elsewhere", right: true),
                        .init("NODES OF HOTTEST", key: "nodes_of_hottest", right: true),
                    ], rows: rows, whenEmpty: "")))
    }
}

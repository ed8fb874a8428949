import CommandKit
import KernelStructures
import LoadBalancerEngine
import LoadBalancerService

extension LoadBalancerHost {
    var stats: View {
        let totals = engine.counters
        let rows = engine.present.map { _, server -> [View.Cell] in
            [
                .text(server.name),
                .text(server.state, style: server.isInPool ? .good : .bad),
                .integer(server.weight), .integer(server.counters.requests), .integer(server.active),
                .integer(server.counters.errors),
                lastProbe(server),
            ]
        }
        return View(
            .record([
                .init("pool", .text("\(engine.poolSize)/\(engine.present.count)")),
                .init("requests", .integer(totals.requests)), .init("retries", .integer(totals.retries)),
                .init("errors", .integer(totals.errors)), .init("unserved", .integer(totals.unserved)),
            ]),
            .table(
                .init(
                    [
                        .init("SERVER", flexible: true), .init("STATE"), .init("WEIGHT", right: true),
                        .init("REQUESTS", right: true),
                        .init("ACTIVE", right: true), .init("ERRORS", right: true), .init("LAST CHECK", flexible: true),
                    ], rows: rows, whenEmpty: "no servers")))
    }

    private func lastProbe(_ server: Server) -> View.Cell {
        switch server.lastProbe {
        case nil: .none
        case .passed: .text("passed")
        case .failed(let reason): .text(reason, style: .warning)
        }
    }
}

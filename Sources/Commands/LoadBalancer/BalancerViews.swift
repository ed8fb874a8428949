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
                .integer(server.counters.errors), answers(server, 5),
                lastProbe(server),
            ]
        }
        return View(
            .record([
                .init("pool", key: "pool", .text("\(engine.poolSize)/\(engine.present.count)")),
                .init("requests", key: "requests", .integer(totals.requests)),
                .init("retries", key: "retries", .integer(totals.retries)),
                .init("errors", key: "errors", .integer(totals.errors)),
                .init("unserved", key: "unserved", .integer(totals.unserved)),
            ]),
            .table(
                .init(
                    [
                        .init("SERVER", key: "server", flexible: true), .init("STATE", key: "state"),
                        .init("WEIGHT", key: "weight", right: true),
                        .init("REQUESTS", key: "requests", right: true),
                        .init("ACTIVE", key: "active", right: true), .init("ERRORS", key: "errors", right: true),
                        .init("5XX", key: "answers_5xx", right: true),
                        .init("LAST CHECK", key: "last_check", flexible: true),
                    ], rows: rows, whenEmpty: "no servers")))
    }

    /// Answers whose status begins with this digit. An answer 503 is one, and no error of the way there.
    private func answers(_ server: Server, _ digit: Int) -> View.Cell {
        let count = server.counters.answers[digit]
        return .integer(count, style: count > 0 ? .warning : .plain)
    }

    private func lastProbe(_ server: Server) -> View.Cell {
        switch server.lastProbe {
        case nil: .none
        case .passed: .text("passed")
        case .failed(let reason): .text(reason, style: .warning)
        }
    }
}

import CommandKit
import GatewayEngine
import GatewayService
import KernelService
import KernelStructures

extension GatewayHost {
    var stats: View {
        View(.record(statistics.map(View.Field.init)), routesTable)
    }

    var routesView: View { View(routesTable) }

    private var routesTable: View.Content {
        let rows = routeStates.map { state -> [View.Cell] in
            let counters = state.counters
            let limit = state.route.limit.map { "\($0.quota.count)/\($0.quota.period)" }
            return [
                .text(state.route.name), .text(state.route.paths.map(\.description).joined(separator: " ")),
                .text(state.route.destinationText), .text(state.route.accessText),
                limit.map { .text($0) } ?? .none, .integer(counters.requests),
                .integer(counters.denied, style: counters.denied > 0 ? .warning : .plain),
                .integer(counters.limited, style: counters.limited > 0 ? .warning : .plain),
                .integer(counters.failed, style: counters.failed > 0 ? .bad : .plain),
            ]
        }
        return .table(
            .init(
                [
                    .init("ROUTE", key: "route", flexible: true), .init("PATH", key: "path", flexible: true),
                    .init("SERVICE", key: "service", flexible: true), .init("AUTH", key: "auth", flexible: true),
                    .init("LIMIT", key: "limit"), .init("REQS", key: "requests", right: true),
                    .init("DENIED", key: "denied", right: true), .init("LIMITED", key: "limited", right: true),
                    .init("FAILED", key: "failed", right: true),
                ], rows: rows, whenEmpty: "no routes"))
    }

    var servicesView: View {
        let rows = serviceStates.flatMap { service -> [[View.Cell]] in
            let circuit: View.Cell = service.circuit.map { .text($0, style: $0 == "CLOSED" ? .good : .bad) } ?? .none
            if service.servers.isEmpty {
                let absence = service.absence ?? "no server is written down"
                let state = View.Cell.text("none", style: .bad)
                return [[.text(service.name), .text(absence), state, .none, .none, .none, circuit]]
            }
            return service.servers.map { server in
                [
                    .text(service.name), .text(server.destination.description),
                    .text(server.state, style: server.isInPool ? .good : .bad), .integer(server.counters.requests),
                    .integer(server.active), .integer(server.counters.errors), circuit,
                ]
            }
        }
        return View(
            .table(
                .init(
                    [
                        .init("SERVICE", key: "service", flexible: true),
                        .init("SERVER", key: "server", flexible: true), .init("STATE", key: "state"),
                        .init("REQUESTS", key: "requests", right: true), .init("ACTIVE", key: "active", right: true),
                        .init("ERRORS", key: "errors", right: true), .init("CIRCUIT", key: "circuit"),
                    ], rows: rows, whenEmpty: "no services")))
    }
}

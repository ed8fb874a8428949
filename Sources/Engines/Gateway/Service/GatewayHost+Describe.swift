import GatewayEngine
import KernelService
import KernelStructures
import KernelTelemetry
import LoadBalancerEngine

extension GatewayHost {
    /// A route, and what it has seen.
    package struct RouteState: Sendable {
        package let route: Route
        package let counters: Gateway.RouteCounters
    }

    /// A service, its servers and its breaker.
    package struct ServiceState: Sendable {
        package let name: String
        package let servers: [Server]
        /// Why there are none, in a few words, as far as the registry is asked for them.
        package let absence: String?
        /// Nil: it has none.
        package let circuit: String?
    }

    package var routeStates: [RouteState] {
        zip(configuration.routes, engine.counters).map { RouteState(route: $0, counters: $1) }
    }

    package var serviceStates: [ServiceState] {
        presentClusters.map { cluster in
            ServiceState(
                name: cluster.name, servers: cluster.engine.present.map(\.server), absence: cluster.absence?.words,
                circuit: cluster.breaker?.state.rawValue)
        }
    }

    public var complaints: [String] {
        presentClusters.filter { $0.engine.poolSize == 0 }.map { cluster in
            let absence = cluster.engine.present.isEmpty ? cluster.absence?.sentence : nil
            return "\(cluster.name) has no server\(absence.map { ": \($0)" } ?? "")"
        }
    }

    public var statistics: [Statistic] {
        let counters = engine.counters
        func sum(_ value: (Gateway.RouteCounters) -> Int) -> Int { counters.reduce(0) { $0 + value($1) } }
        let statistics = tokenStatistics
        return [
            .init("routes", configuration.routes.count),
            .init("requests", sum(\.requests) + engine.unmatched + engine.malformed),
            .init(
                "unmatched", engine.unmatched,
                .counter("gateway_unmatched_requests_total", "Requests that no route fits")),
            .init(
                "malformed", engine.malformed,
                .counter("gateway_malformed_paths_total", "Requests whose path is refused")),
            .init("denied", sum(\.denied)), .init("limited", sum(\.limited)), .init("failed", sum(\.failed)),
            .init(
                "tokens_known", statistics.cacheHits,
                .counter("gateway_token_cache_hits_total", "Tokens that had been verified before")),
            .init(
                "tokens_verified", statistics.verifications,
                .counter("gateway_token_verifications_total", "Signatures of tokens that were checked")),
            .init(
                "key_fetches", statistics.fetches,
                .counter("gateway_key_fetches_total", "How often keys were fetched")),
        ]
    }

    public func collect(into page: inout MetricWriter) {
        let states = routeStates
        page.family("gateway_requests_total", .counter, "Answers, by route and the first digit of the status") {
            for state in states {
                for digit in 1...5 where state.counters.answers[digit] > 0 {
                    $0.add(state.counters.answers[digit], [("route", state.route.name), ("code", "\(digit)xx")])
                }
            }
        }
        let families: [(String, String, KeyPath<Gateway.RouteCounters, Int>)] = [
            ("gateway_rate_limited_total", "Requests that came too often", \.limited),
            ("gateway_failed_total", "Requests that no server has answered", \.failed),
            ("gateway_retries_total", "Further attempts at another server", \.retried),
            ("gateway_mirrored_total", "Copies of requests", \.mirrored),
            ("gateway_incomplete_total", "Answers in which a part was missing", \.incomplete),
        ]
        for (name, help, path) in families {
            page.family(name, .counter, help) {
                for state in states { $0.add(state.counters[keyPath: path], [("route", state.route.name)]) }
            }
        }
        page.family("gateway_denied_total", .counter, "Requests without leave, by reason") {
            for (reason, count) in denials.sorted(by: { $0.key < $1.key }) { $0.add(count, [("reason", reason)]) }
        }
        page.family("gateway_circuit_open", .gauge, "1 if the circuit of a service lets nothing through") {
            for service in serviceStates {
                guard let circuit = service.circuit else { continue }
                $0.add(circuit == "OPEN" || circuit == "FORCED_OPEN" ? 1 : 0, [("service", service.name)])
            }
        }
        page.family("gateway_service_servers", .gauge, "Servers of a service that may get requests") {
            for service in serviceStates {
                $0.add(service.servers.count(where: \.isInPool), [("service", service.name)])
            }
        }
    }
}

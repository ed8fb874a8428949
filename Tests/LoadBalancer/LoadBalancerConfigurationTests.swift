import KernelConfiguration
import KernelStructures
import LoadBalancerEngine
import TestSupport
import Testing

@Suite("The load balancer's configuration")
struct LoadBalancerConfigurationTests {
    private func read(_ text: String) throws(ConfigurationError) -> LoadBalancerConfiguration {
        try LoadBalancerConfiguration(yaml: Array(text.utf8), file: "lb.yaml")
    }

    private func complaint(_ text: String) -> String {
        do throws(ConfigurationError) {
            _ = try read(text)
            return "accepted"
        } catch {
            return error.description
        }
    }

    @Test("a list of ports is enough, and the rest has its documented values")
    func defaults() throws {
        let configuration = try read("backends: [8081, users:80]")
        #expect(
            configuration
                == LoadBalancerConfiguration(backends: [
                    .init(name: "8081", destination: HostPort(host: "localhost", port: 8081)),
                    .init(name: "users:80", destination: HostPort(host: "users", port: 80)),
                ]))
        #expect(configuration.mode == .http && configuration.algorithm == .roundRobin && configuration.retries == 3)
        let check = configuration.healthCheck
        #expect(
            check.interval == .seconds(5) && check.timeout == .seconds(2) && check.path == "/"
                && check.unhealthyAfter == 3 && check.healthyAfter == 2)
        let timeouts = configuration.timeouts
        #expect(
            timeouts.connect == .seconds(5) && timeouts.response == .seconds(60) && timeouts.idle == .seconds(75)
                && timeouts.shutdown == .seconds(30))
    }

    @Test("every key is read")
    func everything() throws {
        let configuration = try read(
            """
            mode: tcp
            algorithm: roundrobin
            health_check: {interval: 1s, timeout: 500ms, path: /health?x=1, unhealthy_after: 7, healthy_after: 4}
            timeouts: {connect: 1s, response: 2s, idle: 3s, shutdown: 4s}
            retries: 0
            backends:
              - {address: "h:1", weight: 256, name: a}
              - {address: 2}
            """)
        var expected = LoadBalancerConfiguration(backends: [
            .init(name: "a", destination: HostPort(host: "h", port: 1), weight: 256),
            .init(name: "2", destination: HostPort(host: "localhost", port: 2)),
        ])
        expected.mode = .tcp
        expected.retries = 0
        expected.healthCheck.interval = .seconds(1)
        expected.healthCheck.timeout = .milliseconds(500)
        expected.healthCheck.path = "/health?x=1"
        expected.healthCheck.unhealthyAfter = 7
        expected.healthCheck.healthyAfter = 4
        (expected.timeouts.connect, expected.timeouts.response, expected.timeouts.idle, expected.timeouts.shutdown) = (
            .seconds(1), .seconds(2), .seconds(3), .seconds(4)
        )
        #expect(configuration == expected)
    }

    @Test("a probe may not take longer than the pause to the next by default")
    func probeTimeout() throws {
        #expect(try read("backends: [1]\nhealth_check: {interval: 1s}").healthCheck.timeout == .seconds(1))
        #expect(try read("backends: [1]\nhealth_check: {interval: 10s}").healthCheck.timeout == .seconds(2))
    }

    @Test(
        "what is wrong is said with its place",
        arguments: [
            ("", "lb.yaml:1:1: there are no backends; add backends: [8081, 8082]"),
            ("mode: http", "lb.yaml:1:1: there are no backends"),
            ("backends: []", "lb.yaml:1:11: the list of backends is empty"),
            ("backends: 8081", "lb.yaml:1:11: backends must be a list, not '8081'"),
            ("backends: {a: 1}", "lb.yaml:1:11: backends must be a list, not a mapping"),
            ("backend: [1]", "lb.yaml:1:1: unknown key 'backend' in the load balancer; did you mean backends?"),
            ("backends: [0]", "lb.yaml:1:12: '0' is neither a port (1 to 65535) nor host:port"),
            ("backends: [65536]", "lb.yaml:1:12: '65536'"),
            ("backends: [http://h:1]", "lb.yaml:1:12: 'http://h:1' is neither"),
            ("backends: [[1]]", "lb.yaml:1:12: a backend must be a single value, not a list"),
            ("backends: [~]", "lb.yaml:1:12: a backend must be a single value, not nothing"),
            ("backends: [1, 1]", "lb.yaml:1:15: two backends are called 1; give one a name"),
            ("backends: [{weight: 2}]", "lb.yaml:1:12: a backend needs an address"),
            (
                "backends: [{address: 1, wieght: 2}]",
                "lb.yaml:1:25: unknown key 'wieght' in a backend; did you mean weight?"
            ),
            ("backends: [{address: 1, weight: -1}]", "lb.yaml:1:33: weight must be a whole number of 0 to 256"),
            ("backends: [{address: 1, weight: 257}]", "lb.yaml:1:33: "),
            ("backends: [1]\nmode: udp", "lb.yaml:2:7: mode 'udp' is unknown; "),
            (
                "backends: [1]\nalgorithm: round-robbin",
                "lb.yaml:2:12: algorithm 'round-robbin' is unknown; did you mean round-robin?"
            ),
            ("backends: [1]\nretries: 11", "lb.yaml:2:10: retries must be a whole number of 0 to 10, not '11'"),
            ("backends: [1]\nretries: -1", "lb.yaml:2:10: "),
            ("backends: [1]\nhealth_check: 5s", "lb.yaml:2:15: health_check must be a mapping"),
            ("backends: [1]\nhealth_check: {interval: 5}", "lb.yaml:2:26: interval must be a duration"),
            ("backends: [1]\nhealth_check: {interval: 0s}", "lb.yaml:2:26: "),
            ("backends: [1]\nhealth_check: {timeout: x}", "lb.yaml:2:25: timeout must be a duration"),
            ("backends: [1]\nhealth_check: {path: health}", "lb.yaml:2:22: path must begin with /"),
            ("backends: [1]\nhealth_check: {path: \"/a b\"}", "lb.yaml:2:22: path must"),
            ("backends: [1]\nhealth_check: {path: \"/a\\r\\nX: y\"}", "lb.yaml:2:22: path must"),
            ("backends: [1]\nhealth_check: {unhealthy_after: 0}", "lb.yaml:2:33: unhealthy_after must"),
            ("backends: [1]\nhealth_check: {healthy_after: 101}", "lb.yaml:2:31: healthy_after must"),
            (
                "backends: [1]\nhealth_check: {unhealthyafter: 3}",
                "lb.yaml:2:16: unknown key 'unhealthyafter' in health_check; did you mean unhealthy_after?"
            ),
            (
                "backends: [1]\ntimeouts: {conect: 1s}",
                "lb.yaml:2:12: unknown key 'conect' in timeouts; did you mean connect?"
            ), ("backends: [1]\ntimeouts: {idle: -1s}", "lb.yaml:2:18: idle must"),
            ("backends: [1\n", "lb.yaml:"),
        ])
    func complaints(_ text: String, _ expected: String) {
        #expect(complaint(text).hasPrefix(expected), "\(complaint(text))")
    }

    @Test("a thousand backends are the most")
    func limit() {
        let list = { (count: Int) in "backends: [" + (1...count).map(String.init).joined(separator: ", ") + "]" }
        #expect(complaint(list(1000)) == "accepted" && complaint(list(1001)) == "lb.yaml:1:11: more than 1000 backends")
    }
}

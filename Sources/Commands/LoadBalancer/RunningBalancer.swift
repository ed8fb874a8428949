import CommandServices
import LoadBalancerService
import ShellSession

extension Session {
    /// The load balancers that run, with the names of their nodes.
    var balancers: [(name: String, host: LoadBalancerHost)] { running(LoadBalancerHost.self) }

    /// A running load balancer by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func balancer(named name: String?) throws -> LoadBalancerHost {
        try running(
            LoadBalancerHost.self, named: name, what: "load balancer",
            start: "loadbalancer --backends 8081,8082 --port 8080",
            elsewhere: "one with --runtime 9999 answers: echo 'show stat' | socat - TCP:localhost:9999")
    }
}

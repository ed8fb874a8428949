import ShellSession

/// What is typed to start load balancers and to look into them.
package enum LoadBalancerCommands {
    package static var all: [Command] { [loadbalancer, reload, balancer, pool, explain, replay] }
}

import ShellSession

/// What is typed to start load balancers and to look into them.
package enum LoadBalancerCommands {
    package static var all: [Command] { [loadbalancer, balancer, pool, explain, replay] }
}

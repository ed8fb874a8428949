import ShellSession

/// What is typed to try circuit breakers and to operate them.
package enum CircuitBreakerCommands {
    package static var all: [Command] { [circuitTest, breaker] }
}

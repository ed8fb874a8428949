import CircuitBreakerEngine
import KernelStructures

/// The seed's breaker: five failures of the last ten calls, 30 s, two successes.
let seedConfiguration = CircuitBreakerConfiguration(
    failureThreshold: 5, successThreshold: 2, timeout: .seconds(30), windowSize: 10)

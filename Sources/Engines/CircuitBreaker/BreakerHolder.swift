/// Something that runs and has circuit breakers in it, for whoever looks at them or gives them orders.
public protocol BreakerHolder: AnyObject {
    /// Their names, in a stable order.
    var breakerNames: [String] { get }
    func snapshot(ofBreaker name: String) -> BreakerSnapshot
    /// The states that its last calls met, and how they ended, one letter each.
    func strips(ofBreaker name: String) -> (states: String, endings: String)
    func order(_ state: CircuitState, ofBreaker name: String)
    /// - Parameter configuration: a valid one.
    func reconfigure(_ configuration: CircuitBreakerConfiguration, breaker name: String)
}

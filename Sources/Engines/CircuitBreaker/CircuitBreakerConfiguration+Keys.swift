import KernelStructures

// The configuration as names and texts: what files and commands have.
extension CircuitBreakerConfiguration {
    /// All names, in the order in which they are shown.
    public static var keys: [String] { fields.map(\.name) }

    /// Sets a value from its text: `failureRateThreshold` to `50`, `waitDurationInOpenState` to `30s`. `none` stands
    /// for a threshold that is not used.
    ///
    /// - Throws: for an unknown name and a text that is no value of that kind. What only makes no sense beside the
    ///   other values is found by `validate`.
    public mutating func set(_ name: String, to text: String) throws(CircuitBreakerConfigurationError) {
        guard let field = Self.fields.first(where: { $0.name == name }) else {
            throw .init(name, "'\(name)'", "a setting of a circuit breaker\(didYouMean(name, among: Self.keys))")
        }
        guard field.kind.write(text, &self) else { throw .init(name, "'\(text)'", field.kind.what) }
    }

    /// A value as its text. The name must be one of `keys`.
    public func text(of name: String) -> String { Self.fields.first { $0.name == name }!.kind.read(self) }

    private struct Field: Sendable {
        let name: String
        let kind: Kind
    }

    private enum Kind: @unchecked Sendable {
        case percentage(WritableKeyPath<CircuitBreakerConfiguration, Double?>)
        case number(WritableKeyPath<CircuitBreakerConfiguration, Int>)
        case optionalNumber(WritableKeyPath<CircuitBreakerConfiguration, Int?>)
        case factor(WritableKeyPath<CircuitBreakerConfiguration, Double>)
        case duration(WritableKeyPath<CircuitBreakerConfiguration, LabDuration>)
        case type
        case flag(WritableKeyPath<CircuitBreakerConfiguration, Bool>)

        var what: String {
            switch self {
            case .percentage: "a percentage such as 50, or none"
            case .number: "a whole number"
            case .optionalNumber: "a whole number, or none"
            case .factor: "a number such as 1.5"
            case .duration: "a duration such as 30s or 200ms"
            case .type: "COUNT_BASED or TIME_BASED"
            case .flag: "true or false"
            }
        }

        func read(_ configuration: CircuitBreakerConfiguration) -> String {
            switch self {
            case .percentage(let path): configuration[keyPath: path].map { trimmedDecimal($0, places: 3) } ?? "none"
            case .number(let path): String(configuration[keyPath: path])
            case .optionalNumber(let path): configuration[keyPath: path].map { String($0) } ?? "none"
            case .factor(let path): trimmedDecimal(configuration[keyPath: path], places: 3)
            case .duration(let path): configuration[keyPath: path].description
            case .type: configuration.slidingWindowType.rawValue
            case .flag(let path): String(configuration[keyPath: path])
            }
        }

        /// - Returns: whether the text is such a value.
        func write(_ text: String, _ configuration: inout CircuitBreakerConfiguration) -> Bool {
            switch self {
            case .percentage(let path):
                let digits = text.hasSuffix("%") ? String(text.dropLast()) : text
                guard text == "none" || Double(digits) != nil else { return false }
                configuration[keyPath: path] = Double(digits)
            case .number(let path):
                guard let number = Int(text) else { return false }
                configuration[keyPath: path] = number
            case .optionalNumber(let path):
                guard text == "none" || Int(text) != nil else { return false }
                configuration[keyPath: path] = Int(text)
            case .factor(let path):
                guard let number = Double(text) else { return false }
                configuration[keyPath: path] = number
            case .duration(let path):
                guard let duration = LabDuration(parsing: text) else { return false }
                configuration[keyPath: path] = duration
            case .type:
                guard let type = SlidingWindowType(rawValue: text.uppercased()) else { return false }
                configuration.slidingWindowType = type
            case .flag(let path):
                guard let flag = Bool(text) else { return false }
                configuration[keyPath: path] = flag
            }
            return true
        }
    }

    private static let fields: [Field] = [
        .init(name: "failureRateThreshold", kind: .percentage(\.failureRateThreshold)),
        .init(name: "slowCallRateThreshold", kind: .percentage(\.slowCallRateThreshold)),
        .init(name: "slowCallDurationThreshold", kind: .duration(\.slowCallDurationThreshold)),
        .init(name: "slidingWindowType", kind: .type),
        .init(name: "slidingWindowSize", kind: .number(\.slidingWindowSize)),
        .init(name: "minimumNumberOfCalls", kind: .number(\.minimumNumberOfCalls)),
        .init(name: "waitDurationInOpenState", kind: .duration(\.waitDurationInOpenState)),
        .init(name: "exponentialBackoffMultiplier", kind: .factor(\.exponentialBackoffMultiplier)),
        .init(
            name: "exponentialMaxWaitDurationInOpenState", kind: .duration(\.exponentialMaxWaitDurationInOpenState)),
        .init(name: "randomizedWaitFactor", kind: .factor(\.randomizedWaitFactor)),
        .init(name: "permittedNumberOfCallsInHalfOpenState", kind: .number(\.permittedNumberOfCallsInHalfOpenState)),
        .init(name: "maxWaitDurationInHalfOpenState", kind: .duration(\.maxWaitDurationInHalfOpenState)),
        .init(
            name: "automaticTransitionFromOpenToHalfOpenEnabled",
            kind: .flag(\.automaticTransitionFromOpenToHalfOpenEnabled)),
        .init(name: "failureThreshold", kind: .optionalNumber(\.failureThreshold)),
        .init(name: "successThreshold", kind: .optionalNumber(\.successThreshold)),
    ]
}

import Glibc
import TimeSeriesEngine

extension BinaryOperator {
    /// The result for two numbers; for a comparison whether it holds. Not for set operators.
    @inline(__always)
    func apply(_ left: Double, _ right: Double) -> (value: Double, holds: Bool) {
        switch self {
        case .add: (left + right, true)
        case .subtract: (left - right, true)
        case .multiply: (left * right, true)
        case .divide: (left / right, true)
        case .modulo: (fmod(left, right), true)
        case .power: (pow(left, right), true)
        case .atan2: (Glibc.atan2(left, right), true)
        case .equal: (left, left == right)
        case .notEqual: (left, left != right)
        case .less: (left, left < right)
        case .atMost: (left, left <= right)
        case .greater: (left, left > right)
        case .atLeast: (left, left >= right)
        case .and, .or, .unless: (left, true)
        }
    }
}

/// A sample of either kind, for the rare way through operators on which a histogram lies.
enum MixedSample {
    case float(Double)
    case histogram(NativeHistogram)

    /// Nil where the operator has no meaning for these two, and there is no result.
    static func apply(_ operation: BinaryOperator, _ left: MixedSample, _ right: MixedSample) -> MixedSample? {
        switch (left, right) {
        case (.float(let left), .float(let right)):
            let (value, holds) = operation.apply(left, right)
            return holds ? .float(value) : nil
        case (.histogram(let left), .histogram(let right)):
            switch operation {
            case .add: return .histogram(left.adding(right))
            case .subtract: return .histogram(left.adding(right.scaled(by: -1)))
            case .equal: return left.hasSameBuckets(as: right) ? .histogram(left) : nil
            case .notEqual: return left.hasSameBuckets(as: right) ? nil : .histogram(left)
            default: return nil
            }
        case (.histogram(let histogram), .float(let factor)):
            switch operation {
            case .multiply: return .histogram(histogram.scaled(by: factor))
            case .divide: return .histogram(histogram.scaled(by: 1 / factor))
            default: return nil
            }
        case (.float(let factor), .histogram(let histogram)):
            return operation == .multiply ? .histogram(histogram.scaled(by: factor)) : nil
        }
    }
}

extension StepMatrix {
    func sample(_ place: Int) -> MixedSample {
        histogram(place).map { .histogram($0) } ?? .float(values[place])
    }
}

extension MatrixCollector {
    mutating func put(_ sample: MixedSample, at place: Int) throws(PromQLError) {
        switch sample {
        case .float(let value): try put(value, at: place)
        case .histogram(let histogram): try put(histogram, at: place)
        }
    }
}

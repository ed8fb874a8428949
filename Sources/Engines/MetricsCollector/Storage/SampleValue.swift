import TimeSeriesEngine

/// What a series has at one moment.
public enum SampleValue: Sendable {
    case float(Double)
    indirect case histogram(NativeHistogram)
}

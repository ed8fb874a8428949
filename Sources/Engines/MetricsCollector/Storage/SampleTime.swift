import TimeSeriesEngine

/// Times of samples: milliseconds since 1970.
public enum SampleTime {
    /// Within these bounds, which are 142,000 years either way, differences of differences cannot overflow.
    public static let range: ClosedRange<Int64> = -(1 << 52)...(1 << 52)

    /// The nearest time within the bounds.
    public static func clamped(_ time: Int64) -> Int64 { min(max(time, range.lowerBound), range.upperBound) }

    /// A duration as Prometheus writes it, `1h30m`, in milliseconds; nil for what is none.
    public static func duration(parsing text: String) -> Int64? { try? PrometheusDuration.parse(text) }

    /// Where the piece of time begins that `time` lies in, pieces of `width` counted from 1970.
    static func floor(_ time: Int64, to width: Int64) -> Int64 {
        let rest = time % width
        return rest < 0 ? time - rest - width : time - rest
    }
}

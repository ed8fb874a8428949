import TimeSeriesEngine

/// Durations in queries: what is wrong with one is said in Prometheus's words.
enum PromQLDuration {
    /// - Returns: milliseconds, or the error.
    static func parse(_ text: String) -> Result<Int64, PromQLError> {
        do throws(PrometheusDuration.Malformed) {
            return .success(try PrometheusDuration.parse(text))
        } catch {
            let message =
                switch error {
                case .empty: "empty duration string"
                case .invalid: "not a valid duration string: \(quotedByGo(text))"
                case .outOfRange: "duration out of range"
                }
            return .failure(PromQLError(.badData, message))
        }
    }

    static func text(_ milliseconds: Int64) -> String { PrometheusDuration.text(milliseconds) }
}

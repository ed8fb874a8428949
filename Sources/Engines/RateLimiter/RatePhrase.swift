import KernelStructures

/// `10`, `600/minute`, `100/15s`.
public struct RatePhrase: Equatable, Sendable {
    public let count: Int
    public let period: LabDuration?

    public init?(parsing text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), let count = Int(parts[0]), (1...Quota.countLimit).contains(count) else {
            return nil
        }
        self.count = count
        guard parts.count == 2 else {
            period = nil
            return
        }
        let word = parts[1]
        let text = word.first?.isNumber == true ? word : "1" + word
        guard let period = LabDuration(parsing: text), period > .zero else { return nil }
        self.period = period
    }
}

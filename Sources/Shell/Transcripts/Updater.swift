import KernelStructures
import KernelWorld

/// `test -u`: rewrites what does not match, one difference at a time, until the case passes.
///
/// After each repair the case runs again from the start, so what is written is what the case really does; lines that
/// matched, with their holes, stay as they are.
public struct Updater {
    private let tags: [String]
    private var options: TestOptions

    /// Repairs of one file after which something must be wrong.
    private static let limit = 2_000

    public init(_ options: TestOptions, tags: [String]) {
        self.options = options
        self.options.looksAhead = true
        self.tags = tags
    }

    public struct Result: Sendable {
        public let text: String
        public let repairCount: Int
        /// What no repair helps with.
        public let failure: CaseFailure?
    }

    /// - Throws: `TranscriptError` if the text cannot be read.
    public func update(_ text: String, name: String) throws(TranscriptError) -> Result {
        // A script expects nothing that could be rewritten.
        let isTranscript = Transcript.isTranscript(text)
        let ending = text.contains("\r\n") ? "\r\n" : "\n"
        var lines = TranscriptParser.lines(of: text)
        var count = 0
        var current = text
        var seen: Set<String> = []
        /// Cases that no repair helps, and why.
        var hopeless: [String: CaseFailure] = [:]
        while true {
            let transcript = try TestRun.transcript(current, name: name, tags: tags)
            guard
                let (one, failure) = CaseExecution.firstFailure(
                    in: transcript, options: options, except: { hopeless[$0] != nil })
            else {
                let order = transcript.cases.map(\.name)
                let first = order.compactMap { hopeless[$0] }.first
                return Result(text: current, repairCount: count, failure: first)
            }
            let isRepeated = !seen.insert(one + "\n" + current).inserted
            guard isTranscript, let repair = failure.repair, repair.files == [name], count < Self.limit, !isRepeated
            else {
                hopeless[one] = failure
                continue
            }
            repair.apply(to: &lines)
            count += 1
            current = lines.map { $0 + ending }.joined()
        }
    }
}

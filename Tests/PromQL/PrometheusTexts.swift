/// What Prometheus 2.42 says of expressions, and how it formats them: queries of our own, and its answers to them
/// (`/api/v1/query`, `/api/v1/format_query`). A query is followed by its answer, indented; `⏎` ends a line.
enum PrometheusTexts {
    static func pairs(_ text: String) -> [(query: String, answer: String)] {
        let lines = text.split(separator: "\n").map(String.init)
        return stride(from: 0, to: lines.count - 1, by: 2).map { index in
            (
                lines[index],
                lines[index + 1].dropFirst(4).split(separator: "⏎", omittingEmptySubsequences: false)
                    .joined(separator: "\n")
            )
        }
    }
}

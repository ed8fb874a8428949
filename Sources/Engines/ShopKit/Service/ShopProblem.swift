import KernelHosting
import KernelJSON

extension HTTPProblem {
    /// A refusal with its word for programs: `"error": "out_of_stock"`.
    public init(_ status: Int, word: String, _ detail: String, remedy: String? = nil) {
        self.init(status, detail, remedy: remedy)
        members = [("error", .string(word))]
    }

    /// What the database has refused, or what came to no answer. The latter may have been done all the same: a commit
    /// whose confirmation was lost is a commit, so whoever asks again must be recognisable.
    public init(_ failure: ShopStoreFailure) {
        let detail =
            switch failure {
            case .conflict: "\(failure)"
            case .database: "whether the database has done it is not known: \(failure)"
            }
        self.init(
            503, word: "database", detail,
            remedy: "ask again in a moment; what must not happen twice, with the same Idempotency-Key")
        fields = [("Retry-After", "1")]
    }
}

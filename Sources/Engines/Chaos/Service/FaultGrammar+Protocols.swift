import KernelStructures
import KernelWire
import KernelWorld

/// Words of faults that understand a protocol.
extension WordReader {
    /// `http 503 [first N] [after N [for N]] [with FIELD=VALUE] [N%]`
    mutating func protocolFault() throws(FaultGrammarError) -> any ProtocolFault {
        let name = try needed("fail what? http")
        guard name == "http" else { throw FaultGrammarError("faults do not speak '\(name)'; they speak http") }
        let word = try needed("with which status, 503 for instance")
        guard let status = Int(word), (200...599).contains(status) else {
            throw FaultGrammarError("'\(word)' is not a status of 200 to 599")
        }
        var counts = HTTPFaultCounts()
        var cohort = HTTPFaultCohort()
        while let word = peek {
            if word == "first" {
                skip()
                counts.limit = try requiredCount(after: word)
            } else if word == "after" {
                skip()
                counts.skipped = try requiredCount(after: word)
            } else if word == "for", let next = words.dropFirst().first, Int(next) != nil {
                skip()
                counts.limit = try requiredCount(after: word)
            } else if word == "with" {
                skip()
                cohort.field = try field()
            } else if word.hasSuffix("%") {
                cohort.share = try share("of how many requests")
            } else {
                break
            }
        }
        return HTTPFault(status: status, counts: counts, cohort: cohort)
    }

    /// `X-Cohort=beta`, or `X-Cohort` with any value.
    private mutating func field() throws(FaultGrammarError) -> (name: String, value: String) {
        let word = try needed("with which field, X-Cohort=beta for instance")
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard HTTPWriter.isSafeField(name: parts[0], value: parts.last ?? ""), !parts[0].isEmpty else {
            throw FaultGrammarError("'\(word)' is no field of HTTP such as X-Cohort=beta")
        }
        return (parts[0], parts.count > 1 ? parts[1] : "")
    }

    private mutating func requiredCount(after word: String) throws(FaultGrammarError) -> Int {
        guard let count = try count() else { throw FaultGrammarError("'\(word)' needs a number of requests") }
        return count
    }
}

/// What a limiter tells another one that asked it for quota: an assessment a charge, and what it gave beyond that.
package struct PeerAnswer {
    package var assessments: [Assessment]
    /// Tokens that were charged beyond the request, for the asker to spend by itself.
    package var granted: [Int]

    package init(assessments: [Assessment], granted: [Int]) {
        self.assessments = assessments
        self.granted = granted
    }
}

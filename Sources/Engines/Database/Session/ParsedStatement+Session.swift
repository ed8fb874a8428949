extension ParsedStatement {
    /// Whether a transaction that has failed may carry it out: COMMIT, ROLLBACK, ROLLBACK TO.
    var endsTransaction: Bool {
        guard node.kind == "TransactionStmt" else { return false }
        return ["TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_ROLLBACK_TO"].contains(node.text("kind"))
    }
}

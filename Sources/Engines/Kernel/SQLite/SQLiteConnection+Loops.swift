import CSQLite

extension SQLiteConnection {
    /// Whether a statement may take long: its program (sqlite.org/opcode.html) goes through rows of a table or of a
    /// series, and does not merely look up what has a unique key. The triggers that it sets off are looked at, too.
    ///
    /// What only goes through rows that the statement has put aside itself, as RETURNING does, does not count: there
    /// are no more of them than another loop has put there. TRUNCATE-like deletion of all rows is one instruction.
    public func hasLoop(_ sql: String) throws(SQLiteError) -> Bool {
        let listing = try prepare("EXPLAIN " + sql, isKept: false)
        var ownRows: Set<Int64> = []
        while try listing.step() {
            let address = listing.integer(0)
            // The program, or the next trigger's, begins.
            if address == 0 { ownRows = [] }
            switch listing.text(1) {
            case "OpenEphemeral", "OpenPseudo", "OpenDup", "SorterOpen": ownRows.insert(listing.integer(2))
            case "Next", "Prev", "VNext": if !ownRows.contains(listing.integer(2)) { return true }
            // Instruction 1 is where each program begins its work, after a jump to its end.
            case "Goto": if (2..<max(2, address)).contains(listing.integer(3)) { return true }
            default: break
            }
        }
        return false
    }
}

import CSQLite

extension SQLiteConnection {
    /// Whether a statement may take long: its program (sqlite.org/opcode.html) goes through rows of a table or of a
    /// series, and does not merely look up what has a unique key. The triggers that it sets off are looked at, too.
    ///
    /// What only goes through rows that the statement has put aside itself, as RETURNING does, does not count: there
    /// are no more of them than another loop has put there. TRUNCATE-like deletion of all rows is one instruction.
    public func hasLoop(_ sql: String) throws(SQLiteError) -> Bool {
        let listing = try prepare("EXPLAIN " + sql, isKept: false)
        // A program opens what it puts aside in its last instructions, behind the loops over it.
        var (ownRows, walked): (Set<Int64>, Set<Int64>) = ([], [])
        while try listing.step() {
            let address = listing.integer(0)
            // The program, or the next trigger's, begins.
            if address == 0 {
                if !walked.isSubset(of: ownRows) { return true }
                (ownRows, walked) = ([], [])
            }
            switch listing.text(1) {
            case "OpenEphemeral", "OpenPseudo", "OpenDup", "SorterOpen": ownRows.insert(listing.integer(2))
            case "Next", "Prev", "VNext": walked.insert(listing.integer(2))
            // Instruction 1 is where each program begins its work, after a jump to its end.
            case "Goto": if (2..<max(2, address)).contains(listing.integer(3)) { return true }
            default: break
            }
        }
        return !walked.isSubset(of: ownRows)
    }
}

extension DatabaseFunctions {
    static var texts: Table { Table() }
    static var patterns: Table { Table() }
    static var times: Table { Table() }
    static var timeParts: Table { Table() }
    static var documents: Table { Table() }
    static var documentChanges: Table { Table() }
    static var arrays: Table { Table() }
}

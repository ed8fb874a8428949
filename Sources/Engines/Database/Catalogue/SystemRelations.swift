import KernelWire

/// The catalogue's own tables and views, as relations.
enum SystemRelations {
    static let byOID: [UInt32: Relation] = {
        var result: [UInt32: Relation] = [:]
        for table in SystemTable.all {
            result[table.oid] = Relation(
                oid: table.oid, schema: Catalogue.catalogueSchema, name: table.name, kind: .table,
                columns: columns(table.columns), storage: table.name, system: table.source)
        }
        for view in SystemView.all {
            result[view.oid] = Relation(
                oid: view.oid, schema: view.schema, name: view.name, kind: .view, columns: columns(view.columns),
                storage: "", definition: view.definition)
        }
        return result
    }()

    private static func columns(_ columns: [(name: String, type: PostgresOID)]) -> [Relation.Column] {
        columns.enumerated().map { index, column in
            Relation.Column(
                number: Int16(index + 1), name: column.name, type: DataType(column.type), isNotNull: false,
                defaultText: nil, identity: "", isGenerated: false, storage: column.name)
        }
    }
}

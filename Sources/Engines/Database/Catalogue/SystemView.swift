import KernelWire

/// Views that are always there: `information_schema`, and the readable ones of `pg_catalog`. They are written in
/// PostgreSQL's SQL, as anybody's views are, and translated when somebody asks for them.
struct SystemView: Sendable {
    let schema: String
    let name: String
    let oid: UInt32
    let columns: [(name: String, type: PostgresOID)]
    let definition: String

    static func named(_ name: String, schema: String) -> SystemView? { byName[schema + "." + name] }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.schema + "." + $0.name, $0) })

    /// - Parameter columns: `name:type`, with blanks between.
    private init(_ schema: String, _ name: String, _ oid: UInt32, _ columns: String, _ definition: String) {
        self.schema = schema
        self.name = name
        self.oid = oid
        self.columns = columns.split(separator: " ").map { word in
            let parts = word.split(separator: ":")
            return (String(parts[0]), PostgresOID.named[String(parts[1])] ?? .text)
        }
        self.definition = definition
    }

    static let all: [SystemView] =
        [
            SystemView(
                "pg_catalog", "pg_tables", 12_001,
                "schemaname:name tablename:name tableowner:name tablespace:name hasindexes:bool hasrules:bool "
                    + "hastriggers:bool rowsecurity:bool",
                """
                SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), NULL::name, c.relhasindex, c.relhasrules,
                    c.relhastriggers, c.relrowsecurity
                FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')
                """),
            SystemView(
                "pg_catalog", "pg_views", 12_002, "schemaname:name viewname:name viewowner:name definition:text",
                """
                SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), pg_get_viewdef(c.oid)
                FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v'
                """),
            SystemView(
                "pg_catalog", "pg_indexes", 12_003,
                "schemaname:name tablename:name indexname:name tablespace:name indexdef:text",
                """
                SELECT n.nspname, c.relname, i.relname, NULL::name, pg_get_indexdef(i.oid)
                FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
                LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
                """),
            SystemView(
                "pg_catalog", "pg_sequences", 12_004,
                "schemaname:name sequencename:name sequenceowner:name data_type:regtype start_value:int8 min_value:int8 "
                    + "max_value:int8 increment_by:int8 cycle:bool cache_size:int8 last_value:int8",
                """
                SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), s.seqtypid::regtype, s.seqstart, s.seqmin,
                s.seqmax,
                    s.seqincrement, s.seqcycle, s.seqcache, pg_sequence_last_value(c.oid)
                FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
                LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
                """),
            SystemView(
                "pg_catalog", "pg_matviews", 12_005,
                "schemaname:name matviewname:name matviewowner:name tablespace:name hasindexes:bool ispopulated:bool "
                    + "definition:text",
                "SELECT NULL::name, NULL::name, NULL::name, NULL::name, NULL::bool, NULL::bool, NULL::text WHERE false"),
            SystemView(
                "information_schema", "schemata", 12_101,
                "catalog_name:name schema_name:name schema_owner:name default_character_set_catalog:name "
                    + "default_character_set_schema:name default_character_set_name:name sql_path:varchar",
                """
                SELECT current_database()::name, n.nspname, pg_get_userbyid(n.nspowner), NULL::name, NULL::name,
                NULL::name,
                    NULL::varchar
                FROM pg_namespace n
                """),
            SystemView(
                "information_schema", "tables", 12_102,
                "table_catalog:name table_schema:name table_name:name table_type:varchar self_referencing_column_name:name "
                    + "reference_generation:varchar user_defined_type_catalog:name user_defined_type_schema:name "
                    + "user_defined_type_name:name is_insertable_into:varchar is_typed:varchar commit_action:varchar",
                """
                SELECT current_database()::name, n.nspname, c.relname,
                    CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'r' THEN 'BASE TABLE' END::varchar, NULL::name,
                NULL::varchar,
                    NULL::name, NULL::name, NULL::name, CASE c.relkind WHEN 'r' THEN 'YES' ELSE 'NO' END::varchar,
                    'NO'::varchar, NULL::varchar
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v')
                """),
            SystemView(
                "information_schema", "views", 12_103,
                "table_catalog:name table_schema:name table_name:name view_definition:varchar check_option:varchar "
                    + "is_updatable:varchar is_insertable_into:varchar is_trigger_updatable:varchar "
                    + "is_trigger_deletable:varchar is_trigger_insertable_into:varchar",
                """
                SELECT current_database()::name, n.nspname, c.relname, pg_get_viewdef(c.oid)::varchar, 'NONE'::varchar,
                    'NO'::varchar, 'NO'::varchar, 'NO'::varchar, 'NO'::varchar, 'NO'::varchar
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v'
                """),
        ] + columnViews + constraintViews

    private static let columnViews: [SystemView] = [
        SystemView(
            "information_schema", "columns", 12_111,
            "table_catalog:name table_schema:name table_name:name column_name:name ordinal_position:int4 "
                + "column_default:varchar is_nullable:varchar data_type:varchar character_maximum_length:int4 "
                + "character_octet_length:int4 numeric_precision:int4 numeric_precision_radix:int4 numeric_scale:int4 "
                + "datetime_precision:int4 interval_type:varchar interval_precision:int4 character_set_catalog:name "
                + "character_set_schema:name character_set_name:name collation_catalog:name collation_schema:name "
                + "collation_name:name domain_catalog:name domain_schema:name domain_name:name udt_catalog:name "
                + "udt_schema:name udt_name:name scope_catalog:name scope_schema:name scope_name:name "
                + "maximum_cardinality:int4 dtd_identifier:name is_self_referencing:varchar is_identity:varchar "
                + "identity_generation:varchar identity_start:varchar identity_increment:varchar "
                + "identity_maximum:varchar identity_minimum:varchar identity_cycle:varchar is_generated:varchar "
                + "generation_expression:varchar is_updatable:varchar",
            """
            SELECT current_database()::name, n.nspname, c.relname, a.attname, a.attnum::int4,
                CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END::varchar,
                CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END::varchar,
                CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN 'ARRAY' ELSE format_type(a.atttypid, NULL) END::varchar,
                CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod > 0 THEN a.atttypmod - 4 END,
                CASE WHEN a.atttypid IN (25, 1042, 1043) THEN
                    CASE WHEN a.atttypmod > 0 THEN (a.atttypmod - 4) * 4 ELSE 1073741824 END END,
                CASE a.atttypid WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 THEN 53
                    WHEN 1700 THEN CASE WHEN a.atttypmod > 0 THEN ((a.atttypmod - 4) >> 16) & 65535 END END,
                CASE WHEN a.atttypid IN (20, 21, 23, 700, 701) THEN 2 WHEN a.atttypid = 1700 THEN 10 END,
                CASE WHEN a.atttypid IN (20, 21, 23) THEN 0 WHEN a.atttypid = 1700 AND a.atttypmod > 0
                    THEN (a.atttypmod - 4) & 2047 END,
                CASE WHEN a.atttypid = 1082 THEN 0 WHEN a.atttypid IN (1083, 1114, 1184, 1186) THEN
                    CASE WHEN a.atttypmod < 0 THEN 6 ELSE a.atttypmod END END,
                NULL::varchar, NULL::int4, NULL::name, NULL::name, NULL::name, NULL::name, NULL::name, NULL::name,
                NULL::name, NULL::name, NULL::name, current_database()::name, 'pg_catalog'::name, t.typname, NULL::name,
                NULL::name, NULL::name, NULL::int4, a.attnum::text::name, 'NO'::varchar,
                CASE WHEN a.attidentity IN ('a', 'd') THEN 'YES' ELSE 'NO' END::varchar,
                CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END::varchar, NULL::varchar,
                NULL::varchar, NULL::varchar, NULL::varchar, 'NO'::varchar,
                CASE WHEN a.attgenerated <> '' THEN 'ALWAYS' ELSE 'NEVER' END::varchar,
                CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END::varchar,
                CASE WHEN c.relkind = 'r' THEN 'YES' ELSE 'NO' END::varchar
            FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
            JOIN pg_class c ON a.attrelid = c.oid JOIN pg_namespace n ON c.relnamespace = n.oid
            JOIN pg_type t ON a.atttypid = t.oid
            WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v')
            """),
        SystemView(
            "information_schema", "sequences", 12_112,
            "sequence_catalog:name sequence_schema:name sequence_name:name data_type:varchar numeric_precision:int4 "
                + "numeric_precision_radix:int4 numeric_scale:int4 start_value:varchar minimum_value:varchar "
                + "maximum_value:varchar increment:varchar cycle_option:varchar",
            """
            SELECT current_database()::name, n.nspname, c.relname, format_type(s.seqtypid, NULL)::varchar,
                CASE s.seqtypid WHEN 20 THEN 64 WHEN 23 THEN 32 ELSE 16 END, 2, 0, s.seqstart::text::varchar,
                s.seqmin::text::varchar, s.seqmax::text::varchar, s.seqincrement::text::varchar,
                CASE WHEN s.seqcycle THEN 'YES' ELSE 'NO' END::varchar
            FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            """),
    ]

    private static let constraintViews: [SystemView] = [
        SystemView(
            "information_schema", "table_constraints", 12_121,
            "constraint_catalog:name constraint_schema:name constraint_name:name table_catalog:name table_schema:name "
                + "table_name:name constraint_type:varchar is_deferrable:varchar initially_deferred:varchar "
                + "enforced:varchar nulls_distinct:varchar",
            """
            SELECT current_database()::name, n.nspname, k.conname, current_database()::name, n.nspname, c.relname,
                CASE k.contype WHEN 'c' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY' WHEN 'p' THEN 'PRIMARY KEY'
                    WHEN 'u' THEN 'UNIQUE' END::varchar, 'NO'::varchar, 'NO'::varchar, 'YES'::varchar,
                CASE WHEN k.contype = 'u' THEN 'YES' END::varchar
            FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            """),
        SystemView(
            "information_schema", "key_column_usage", 12_122,
            "constraint_catalog:name constraint_schema:name constraint_name:name table_catalog:name table_schema:name "
                + "table_name:name column_name:name ordinal_position:int4 position_in_unique_constraint:int4",
            """
            SELECT current_database()::name, n.nspname, k.conname, current_database()::name, n.nspname, c.relname,
                a.attname, array_position(k.conkey, a.attnum),
                CASE WHEN k.contype = 'f' THEN array_position(k.conkey, a.attnum) END
            FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
            WHERE k.contype IN ('p', 'u', 'f')
            """),
        SystemView(
            "information_schema", "constraint_column_usage", 12_123,
            "table_catalog:name table_schema:name table_name:name column_name:name constraint_catalog:name "
                + "constraint_schema:name constraint_name:name",
            """
            SELECT current_database()::name, n.nspname, c.relname, a.attname, current_database()::name, n.nspname,
                k.conname
            FROM pg_constraint k
            JOIN pg_class c ON c.oid = CASE WHEN k.contype = 'f' THEN k.confrelid ELSE k.conrelid END
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid
                AND a.attnum = ANY (CASE WHEN k.contype = 'f' THEN k.confkey ELSE k.conkey END)
            """),
        SystemView(
            "information_schema", "referential_constraints", 12_124,
            "constraint_catalog:name constraint_schema:name constraint_name:name unique_constraint_catalog:name "
                + "unique_constraint_schema:name unique_constraint_name:name match_option:varchar update_rule:varchar "
                + "delete_rule:varchar",
            """
            SELECT current_database()::name, n.nspname, k.conname, current_database()::name, n.nspname, u.relname::name,
                'NONE'::varchar,
                CASE k.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                    WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END::varchar,
                CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
                    WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END::varchar
            FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_class u ON u.oid = k.conindid WHERE k.contype = 'f'
            """),
    ]
}

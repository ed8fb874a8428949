import KernelWire

/// The tables of `pg_catalog`: programs ask them what there is in a database. Their columns, types and numbers are
/// PostgreSQL 15's, because programs know them by heart.
struct SystemTable: Sendable {
    enum Source: String, Sendable {
        /// A table of the same name in SQLite: the catalogue itself.
        case stored
        /// Rows that the session knows (`SessionContext.outerRows`).
        case outer
        /// What does not exist here (foreign servers, policies …): no rows, but columns.
        case empty
    }

    let name: String
    let oid: UInt32
    let source: Source
    let columns: [(name: String, type: PostgresOID)]

    static let all: [SystemTable] = lines.map(SystemTable.init)
    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    private init(_ line: String) {
        let words = line.split(separator: " ")
        source = Source(rawValue: String(words[0])) ?? .empty
        name = String(words[1])
        oid = UInt32(words[2]) ?? 0
        columns = words[3...].map { word in
            let parts = word.split(separator: ":")
            return (String(parts[0]), PostgresOID.named[String(parts[1])] ?? .text)
        }
    }

    /// Where from, name, number, and columns with their types.
    private static let lines = [
        "stored pg_am 2601 oid:oid amname:name amhandler:regproc amtype:char",
        "stored pg_attrdef 2604 oid:oid adrelid:oid adnum:int2 adbin:text",
        "stored pg_attribute 1249 attrelid:oid attname:name atttypid:oid attstattarget:int4 attlen:int2 attnum:int2 attndims:int4 attcacheoff:int4 atttypmod:int4 attbyval:bool attalign:char attstorage:char attcompression:char attnotnull:bool atthasdef:bool atthasmissing:bool attidentity:char attgenerated:char attisdropped:bool attislocal:bool attinhcount:int4 attcollation:oid attacl:_text attoptions:_text attfdwoptions:_text attmissingval:text",
        "empty pg_auth_members 1261 roleid:oid member:oid grantor:oid admin_option:bool",
        "empty pg_cast 2605 oid:oid castsource:oid casttarget:oid castfunc:oid castcontext:char castmethod:char",
        "stored pg_class 1259 oid:oid relname:name relnamespace:oid reltype:oid reloftype:oid relowner:oid relam:oid relfilenode:oid reltablespace:oid relpages:int4 reltuples:float4 relallvisible:int4 reltoastrelid:oid relhasindex:bool relisshared:bool relpersistence:char relkind:char relnatts:int2 relchecks:int2 relhasrules:bool relhastriggers:bool relhassubclass:bool relrowsecurity:bool relforcerowsecurity:bool relispopulated:bool relreplident:char relispartition:bool relrewrite:oid relfrozenxid:int8 relminmxid:int8 relacl:_text reloptions:_text relpartbound:text",
        "stored pg_collation 3456 oid:oid collname:name collnamespace:oid collowner:oid collprovider:char collisdeterministic:bool collencoding:int4 collcollate:text collctype:text colliculocale:text collversion:text",
        "stored pg_constraint 2606 oid:oid conname:name connamespace:oid contype:char condeferrable:bool condeferred:bool convalidated:bool conrelid:oid contypid:oid conindid:oid conparentid:oid confrelid:oid confupdtype:char confdeltype:char confmatchtype:char conislocal:bool coninhcount:int4 connoinherit:bool conkey:_int2 confkey:_int2 conpfeqop:_oid conppeqop:_oid conffeqop:_oid confdelsetcols:_int2 conexclop:_oid conbin:text",
        "empty pg_conversion 2607 oid:oid conname:name connamespace:oid conowner:oid conforencoding:int4 contoencoding:int4 conproc:regproc condefault:bool",
        "outer pg_database 1262 oid:oid datname:name datdba:oid encoding:int4 datlocprovider:char datistemplate:bool datallowconn:bool datconnlimit:int4 datfrozenxid:int8 datminmxid:int8 dattablespace:oid datcollate:text datctype:text daticulocale:text datcollversion:text datacl:_text",
        "empty pg_db_role_setting 2964 setdatabase:oid setrole:oid setconfig:_text",
        "empty pg_default_acl 826 oid:oid defaclrole:oid defaclnamespace:oid defaclobjtype:char defaclacl:_text",
        "stored pg_depend 2608 classid:oid objid:oid objsubid:int4 refclassid:oid refobjid:oid refobjsubid:int4 deptype:char",
        "stored pg_description 2609 objoid:oid classoid:oid objsubid:int4 description:text",
        "empty pg_enum 3501 oid:oid enumtypid:oid enumsortorder:float4 enumlabel:name",
        "empty pg_event_trigger 3466 oid:oid evtname:name evtevent:name evtowner:oid evtfoid:oid evtenabled:char evttags:_text",
        "empty pg_extension 3079 oid:oid extname:name extowner:oid extnamespace:oid extrelocatable:bool extversion:text extconfig:_oid extcondition:_text",
        "empty pg_foreign_data_wrapper 2328 oid:oid fdwname:name fdwowner:oid fdwhandler:oid fdwvalidator:oid fdwacl:_text fdwoptions:_text",
        "empty pg_foreign_server 1417 oid:oid srvname:name srvowner:oid srvfdw:oid srvtype:text srvversion:text srvacl:_text srvoptions:_text",
        "empty pg_foreign_table 3118 ftrelid:oid ftserver:oid ftoptions:_text",
        "stored pg_index 2610 indexrelid:oid indrelid:oid indnatts:int2 indnkeyatts:int2 indisunique:bool indnullsnotdistinct:bool indisprimary:bool indisexclusion:bool indimmediate:bool indisclustered:bool indisvalid:bool indcheckxmin:bool indisready:bool indislive:bool indisreplident:bool indkey:int2vector indcollation:oidvector indclass:oidvector indoption:int2vector indexprs:text indpred:text",
        "empty pg_inherits 2611 inhrelid:oid inhparent:oid inhseqno:int4 inhdetachpending:bool",
        "empty pg_language 2612 oid:oid lanname:name lanowner:oid lanispl:bool lanpltrusted:bool lanplcallfoid:oid laninline:oid lanvalidator:oid lanacl:_text",
        "empty pg_largeobject_metadata 2995 oid:oid lomowner:oid lomacl:_text",
        "outer pg_locks 12073 locktype:text database:oid relation:oid page:int4 tuple:int2 virtualxid:text transactionid:int8 classid:oid objid:oid objsubid:int2 virtualtransaction:text pid:int4 mode:text granted:bool fastpath:bool waitstart:timestamptz",
        "stored pg_namespace 2615 oid:oid nspname:name nspowner:oid nspacl:_text",
        "empty pg_opclass 2616 oid:oid opcmethod:oid opcname:name opcnamespace:oid opcowner:oid opcfamily:oid opcintype:oid opcdefault:bool opckeytype:oid",
        "empty pg_operator 2617 oid:oid oprname:name oprnamespace:oid oprowner:oid oprkind:char oprcanmerge:bool oprcanhash:bool oprleft:oid oprright:oid oprresult:oid oprcom:oid oprnegate:oid oprcode:regproc oprrest:regproc oprjoin:regproc",
        "empty pg_partitioned_table 3350 partrelid:oid partstrat:char partnatts:int2 partdefid:oid partattrs:int2vector partclass:oidvector partcollation:oidvector partexprs:text",
        "empty pg_policy 3256 oid:oid polname:name polrelid:oid polcmd:char polpermissive:bool polroles:_oid polqual:text polwithcheck:text",
        "outer pg_prepared_statements 12095 name:text statement:text prepare_time:timestamptz parameter_types:_regtype from_sql:bool generic_plans:int8 custom_plans:int8",
        "empty pg_proc 1255 oid:oid proname:name pronamespace:oid proowner:oid prolang:oid procost:float4 prorows:float4 provariadic:oid prosupport:regproc prokind:char prosecdef:bool proleakproof:bool proisstrict:bool proretset:bool provolatile:char proparallel:char pronargs:int2 pronargdefaults:int2 prorettype:oid proargtypes:oidvector proallargtypes:_oid proargmodes:_char proargnames:_text proargdefaults:text protrftypes:_oid prosrc:text probin:text prosqlbody:text proconfig:_text proacl:_text",
        "empty pg_publication 6104 oid:oid pubname:name pubowner:oid puballtables:bool pubinsert:bool pubupdate:bool pubdelete:bool pubtruncate:bool pubviaroot:bool",
        "empty pg_publication_namespace 6237 oid:oid pnpubid:oid pnnspid:oid",
        "empty pg_publication_rel 6106 oid:oid prpubid:oid prrelid:oid prqual:text prattrs:int2vector",
        "empty pg_range 3541 rngtypid:oid rngsubtype:oid rngmultitypid:oid rngcollation:oid rngsubopc:oid rngcanonical:regproc rngsubdiff:regproc",
        "empty pg_rewrite 2618 oid:oid rulename:name ev_class:oid ev_type:char ev_enabled:char is_instead:bool ev_qual:text ev_action:text",
        "outer pg_roles 12000 rolname:name rolsuper:bool rolinherit:bool rolcreaterole:bool rolcreatedb:bool rolcanlogin:bool rolreplication:bool rolconnlimit:int4 rolpassword:text rolvaliduntil:timestamptz rolbypassrls:bool rolconfig:_text oid:oid",
        "stored pg_sequence 2224 seqrelid:oid seqtypid:oid seqstart:int8 seqincrement:int8 seqmax:int8 seqmin:int8 seqcache:int8 seqcycle:bool",
        "outer pg_settings 12104 name:text setting:text unit:text category:text short_desc:text extra_desc:text context:text vartype:text source:text min_val:text max_val:text enumvals:_text boot_val:text reset_val:text sourcefile:text sourceline:int4 pending_restart:bool",
        "empty pg_shdescription 2396 objoid:oid classoid:oid description:text",
        "outer pg_stat_activity 12222 datid:oid datname:name pid:int4 leader_pid:int4 usesysid:oid usename:name application_name:text client_addr:inet client_hostname:text client_port:int4 backend_start:timestamptz xact_start:timestamptz query_start:timestamptz state_change:timestamptz wait_event_type:text wait_event:text state:text backend_xid:int8 backend_xmin:int8 query_id:int8 query:text backend_type:text",
        "outer pg_stat_database 12266 datid:oid datname:name numbackends:int4 xact_commit:int8 xact_rollback:int8 blks_read:int8 blks_hit:int8 tup_returned:int8 tup_fetched:int8 tup_inserted:int8 tup_updated:int8 tup_deleted:int8 conflicts:int8 temp_files:int8 temp_bytes:int8 deadlocks:int8 checksum_failures:int8 checksum_last_failure:timestamptz blk_read_time:float8 blk_write_time:float8 session_time:float8 active_time:float8 idle_in_transaction_time:float8 sessions:int8 sessions_abandoned:int8 sessions_fatal:int8 sessions_killed:int8 stats_reset:timestamptz",
        "empty pg_stat_user_tables 12161 relid:oid schemaname:name relname:name seq_scan:int8 seq_tup_read:int8 idx_scan:int8 idx_tup_fetch:int8 n_tup_ins:int8 n_tup_upd:int8 n_tup_del:int8 n_tup_hot_upd:int8 n_live_tup:int8 n_dead_tup:int8 n_mod_since_analyze:int8 n_ins_since_vacuum:int8 last_vacuum:timestamptz last_autovacuum:timestamptz last_analyze:timestamptz last_autoanalyze:timestamptz vacuum_count:int8 autovacuum_count:int8 analyze_count:int8 autoanalyze_count:int8",
        "empty pg_statistic_ext 3381 oid:oid stxrelid:oid stxname:name stxnamespace:oid stxowner:oid stxstattarget:int4 stxkeys:int2vector stxkind:_char stxexprs:text",
        "empty pg_subscription 6100 oid:oid subdbid:oid subskiplsn:text subname:name subowner:oid subenabled:bool subbinary:bool substream:bool subtwophasestate:char subdisableonerr:bool subconninfo:text subslotname:name subsynccommit:text subpublications:_text",
        "empty pg_tablespace 1213 oid:oid spcname:name spcowner:oid spcacl:_text spcoptions:_text",
        "empty pg_timezone_names 12126 name:text abbrev:text utc_offset:interval is_dst:bool",
        "empty pg_trigger 2620 oid:oid tgrelid:oid tgparentid:oid tgname:name tgfoid:oid tgtype:int2 tgenabled:char tgisinternal:bool tgconstrrelid:oid tgconstrindid:oid tgconstraint:oid tgdeferrable:bool tginitdeferred:bool tgnargs:int2 tgattr:int2vector tgargs:bytea tgqual:text tgoldtable:name tgnewtable:name",
        "empty pg_ts_config 3602 oid:oid cfgname:name cfgnamespace:oid cfgowner:oid cfgparser:oid",
        "empty pg_ts_dict 3600 oid:oid dictname:name dictnamespace:oid dictowner:oid dicttemplate:oid dictinitoption:text",
        "empty pg_ts_parser 3601 oid:oid prsname:name prsnamespace:oid prsstart:regproc prstoken:regproc prsend:regproc prsheadline:regproc prslextype:regproc",
        "empty pg_ts_template 3764 oid:oid tmplname:name tmplnamespace:oid tmplinit:regproc tmpllexize:regproc",
        "stored pg_type 1247 oid:oid typname:name typnamespace:oid typowner:oid typlen:int2 typbyval:bool typtype:char typcategory:char typispreferred:bool typisdefined:bool typdelim:char typrelid:oid typsubscript:regproc typelem:oid typarray:oid typinput:regproc typoutput:regproc typreceive:regproc typsend:regproc typmodin:regproc typmodout:regproc typanalyze:regproc typalign:char typstorage:char typnotnull:bool typbasetype:oid typtypmod:int4 typndims:int4 typcollation:oid typdefaultbin:text typdefault:text typacl:_text",
        "outer pg_user 12014 usename:name usesysid:oid usecreatedb:bool usesuper:bool userepl:bool usebypassrls:bool passwd:text valuntil:timestamptz useconfig:_text",
    ]
}

extension PostgresOID {
    /// All types that there are, in the order of their numbers.
    static let known: [PostgresOID] = {
        let scalars: [PostgresOID] = [
            .bool, .bytea, .char, .name, .int8, .int2, .int2vector, .int4, .regproc, .text, .oid, .xid, .oidvector,
            .json,
            .float4, .float8, .unknown, .bpchar, .varchar, .date, .time, .timestamp, .timestamptz, .interval, .numeric,
            .regclass, .regtype, .void, .uuid, .jsonb, .record, .regnamespace,
        ]
        return (scalars + scalars.compactMap(\.array)).sorted { $0.rawValue < $1.rawValue }
    }()

    /// By the catalogue's name: `int4`, `_text`.
    static let named: [String: PostgresOID] = {
        var result: [String: PostgresOID] = [:]
        for type in known { if let name = type.catalogueName { result[name] = type } }
        return result
    }()
}

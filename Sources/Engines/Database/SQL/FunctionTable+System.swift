extension FunctionTable {
    static let system = """
        version() text
        current_database() name
        current_schema() name
        current_schemas(bool) _name
        current_user() name
        session_user() name
        current_setting(text) text
        current_setting(text, bool) text
        !set_config(text, text, bool) text
        pg_backend_pid() int4 = pg_backend_pid
        !pg_cancel_backend(int4) bool = pg_cancel_backend
        !pg_terminate_backend(int4) bool = pg_terminate_backend
        inet_client_addr() text
        inet_server_addr() text
        inet_server_port() int4
        pg_postmaster_start_time() timestamptz = pg_postmaster_start_time
        pg_conf_load_time() timestamptz = pg_postmaster_start_time
        pg_is_in_recovery() bool = 0
        txid_current() int8
        pg_current_xact_id() int8 = pg_txid_current
        !nextval(regclass) int8
        !currval(regclass) int8
        !lastval() int8
        !setval(regclass, int8) int8
        !setval(regclass, int8, bool) int8
        !pg_notify(text, text) void = pg_notify
        !pg_advisory_lock(int8) void = pg_advisory('lock', $1)
        !pg_advisory_lock(int4, int4) void = pg_advisory('lock', $1, $2)
        !pg_advisory_lock_shared(int8) void = pg_advisory('lock shared', $1)
        !pg_advisory_lock_shared(int4, int4) void = pg_advisory('lock shared', $1, $2)
        !pg_advisory_xact_lock(int8) void = pg_advisory('lock xact', $1)
        !pg_advisory_xact_lock(int4, int4) void = pg_advisory('lock xact', $1, $2)
        !pg_advisory_xact_lock_shared(int8) void = pg_advisory('lock xact shared', $1)
        !pg_advisory_xact_lock_shared(int4, int4) void = pg_advisory('lock xact shared', $1, $2)
        !pg_try_advisory_lock(int8) bool = pg_advisory('try', $1)
        !pg_try_advisory_lock(int4, int4) bool = pg_advisory('try', $1, $2)
        !pg_try_advisory_lock_shared(int8) bool = pg_advisory('try shared', $1)
        !pg_try_advisory_lock_shared(int4, int4) bool = pg_advisory('try shared', $1, $2)
        !pg_try_advisory_xact_lock(int8) bool = pg_advisory('try xact', $1)
        !pg_try_advisory_xact_lock(int4, int4) bool = pg_advisory('try xact', $1, $2)
        !pg_try_advisory_xact_lock_shared(int8) bool = pg_advisory('try xact shared', $1)
        !pg_try_advisory_xact_lock_shared(int4, int4) bool = pg_advisory('try xact shared', $1, $2)
        !pg_advisory_unlock(int8) bool = pg_advisory('unlock', $1)
        !pg_advisory_unlock(int4, int4) bool = pg_advisory('unlock', $1, $2)
        !pg_advisory_unlock_shared(int8) bool = pg_advisory('unlock shared', $1)
        !pg_advisory_unlock_shared(int4, int4) bool = pg_advisory('unlock shared', $1, $2)
        !pg_advisory_unlock_all() void = pg_advisory('all')
        pg_typeof(any) regtype = pg_typeof($t)
        pg_column_size(any) int4 = pg_column_size($1)
        pg_size_pretty(int8) text = pg_size_pretty
        pg_size_pretty(numeric) text = pg_size_pretty
        num_nulls(any...) int4
        num_nonnulls(any...) int4
        """

    static let catalogue = """
        pg_get_userbyid(oid) name = pg_get_userbyid
        pg_encoding_to_char(int4) name = pg_encoding_to_char
        pg_client_encoding() name = 'UTF8'
        getdatabaseencoding() name = 'UTF8'
        format_type(oid, int4) text
        pg_table_is_visible(oid) bool = pg_table_is_visible
        pg_type_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_function_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_operator_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_collation_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_conversion_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_statistics_obj_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_ts_config_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_ts_dict_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_ts_parser_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_ts_template_is_visible(oid) bool = ($1 IS NOT NULL)
        pg_get_statisticsobjdef_columns(oid) text = NULL
        pg_char_to_encoding(name) int4 = (CASE lower($1) WHEN 'utf8' THEN 6 WHEN 'sql_ascii' THEN 0 ELSE -1 END)
        pg_get_expr(text, oid) text = $1
        pg_get_expr(text, oid, bool) text = $1
        pg_get_indexdef(oid) text = pg_get_indexdef($1, 0)
        pg_get_indexdef(oid, int4, bool) text = pg_get_indexdef($1, $2)
        pg_get_constraintdef(oid) text = pg_get_constraintdef
        pg_get_constraintdef(oid, bool) text = pg_get_constraintdef($1)
        pg_get_viewdef(oid) text = pg_get_viewdef
        pg_get_viewdef(oid, bool) text = pg_get_viewdef($1)
        pg_get_viewdef(oid, int4) text = pg_get_viewdef($1)
        pg_get_triggerdef(oid, bool) text = NULL
        pg_get_ruledef(oid, bool) text = NULL
        pg_get_functiondef(oid) text = NULL
        pg_get_function_result(oid) text = NULL
        pg_get_function_arguments(oid) text = NULL
        pg_get_function_identity_arguments(oid) text = NULL
        pg_get_partkeydef(oid) text = NULL
        pg_get_serial_sequence(text, text) text = pg_get_serial_sequence
        pg_get_statisticsobjdef_columns(oid) text = NULL
        pg_sequence_last_value(oid) int8 = pg_sequence_last_value
        pg_relation_is_publishable(regclass) bool = 1
        pg_relation_size(regclass) int8 = pg_relation_size
        pg_relation_size(regclass, text) int8 = pg_relation_size($1)
        pg_table_size(regclass) int8 = pg_relation_size
        pg_indexes_size(regclass) int8 = pg_relation_size
        pg_total_relation_size(regclass) int8 = pg_relation_size
        pg_database_size(name) int8 = pg_database_size
        pg_tablespace_location(oid) text = ''
        obj_description(oid, name) text = pg_description_of($1, 0)
        obj_description(oid) text = pg_description_of($1, 0)
        col_description(oid, int4) text = pg_description_of($1, $2)
        shobj_description(oid, name) text = NULL
        has_table_privilege(text, text) bool = 1
        has_table_privilege(oid, text) bool = 1
        has_table_privilege(name, oid, text) bool = 1
        has_schema_privilege(text, text) bool = 1
        has_schema_privilege(oid, text) bool = 1
        has_database_privilege(text, text) bool = 1
        has_database_privilege(oid, text) bool = 1
        has_database_privilege(text, text, text) bool = 1
        has_column_privilege(oid, int2, text) bool = 1
        pg_has_role(name, text) bool = 1
        pg_has_role(oid, text) bool = 1
        pg_has_role(name, oid, text) bool = 1
        to_regclass(text) regclass
        to_regtype(text) regtype
        """

    static let aggregates = """
        count(any) int8 = count($o)
        sum(int2) int8 = sum($1)
        sum(int4) int8 = sum($1)
        sum(int8) numeric = pg_numeric_sum
        sum(numeric) numeric = pg_numeric_sum($o)
        sum(float4) float4 = pg_float_sum($1, 4)
        sum(float8) float8 = pg_float_sum($1, 8)
        sum(interval) interval = pg_interval_sum
        avg(int2) numeric = pg_numeric_avg
        avg(int4) numeric = pg_numeric_avg
        avg(int8) numeric = pg_numeric_avg
        avg(numeric) numeric = pg_numeric_avg($o)
        avg(float4) float8 = pg_float_avg
        avg(float8) float8 = pg_float_avg
        min(anyelement) anyelement = min($o)
        max(anyelement) anyelement = max($o)
        bool_and(bool) bool = min($1)
        bool_or(bool) bool = max($1)
        every(bool) bool = min($1)
        string_agg(text, text) text
        string_agg(bytea, bytea) bytea = pg_bytea_agg
        array_agg(anyelement) anyarray = pg_array_of($t)
        json_agg(anyelement) json = pg_json_agg(0, $t)
        jsonb_agg(anyelement) jsonb = pg_json_agg(1, $t)
        json_object_agg(any, any) json = pg_json_object_agg(0, $t)
        jsonb_object_agg(any, any) jsonb = pg_json_object_agg(1, $t)
        percentile_cont(float8) float8
        percentile_disc(float8) anyelement
        mode() anyelement
        bit_and(int4) int4 = pg_bit_and
        bit_or(int4) int4 = pg_bit_or
        bit_and(int8) int8 = pg_bit_and
        bit_or(int8) int8 = pg_bit_or
        stddev(numeric) numeric = pg_numeric_variance($1, 3)
        stddev_samp(numeric) numeric = pg_numeric_variance($1, 3)
        stddev_pop(numeric) numeric = pg_numeric_variance($1, 2)
        variance(numeric) numeric = pg_numeric_variance($1, 1)
        var_samp(numeric) numeric = pg_numeric_variance($1, 1)
        var_pop(numeric) numeric = pg_numeric_variance($1, 0)
        stddev(int4) numeric = pg_numeric_variance($1, 3)
        stddev_samp(int4) numeric = pg_numeric_variance($1, 3)
        stddev_pop(int4) numeric = pg_numeric_variance($1, 2)
        variance(int4) numeric = pg_numeric_variance($1, 1)
        var_samp(int4) numeric = pg_numeric_variance($1, 1)
        var_pop(int4) numeric = pg_numeric_variance($1, 0)
        stddev(float8) float8 = pg_float_variance($1, 3)
        stddev_samp(float8) float8 = pg_float_variance($1, 3)
        stddev_pop(float8) float8 = pg_float_variance($1, 2)
        variance(float8) float8 = pg_float_variance($1, 1)
        var_samp(float8) float8 = pg_float_variance($1, 1)
        var_pop(float8) float8 = pg_float_variance($1, 0)
        """

    static let windows = """
        row_number() int8 = row_number()
        rank() int8 = rank()
        dense_rank() int8 = dense_rank()
        percent_rank() float8 = percent_rank()
        cume_dist() float8 = cume_dist()
        ntile(int4) int4 = ntile($1)
        lag(anyelement) anyelement = lag($1)
        lag(anyelement, int4) anyelement = lag($1, $2)
        lag(anyelement, int4, anyelement) anyelement = lag($1, $2, $3)
        lead(anyelement) anyelement = lead($1)
        lead(anyelement, int4) anyelement = lead($1, $2)
        lead(anyelement, int4, anyelement) anyelement = lead($1, $2, $3)
        first_value(anyelement) anyelement = first_value($1)
        last_value(anyelement) anyelement = last_value($1)
        nth_value(anyelement, int4) anyelement = nth_value($1, $2)
        """

    static let rows = """
        generate_series(int4, int4) int4
        generate_series(int4, int4, int4) int4
        generate_series(int8, int8) int8
        generate_series(int8, int8, int8) int8
        generate_series(numeric, numeric) numeric
        generate_series(numeric, numeric, numeric) numeric
        generate_series(timestamp, timestamp, interval) timestamp
        generate_series(timestamptz, timestamptz, interval) timestamptz
        unnest(anyarray) anyelement
        generate_subscripts(anyarray, int4) int4
        generate_subscripts(int2vector, int4) int4
        json_array_elements(json) json
        json_array_elements_text(json) text
        jsonb_array_elements(jsonb) jsonb
        jsonb_array_elements_text(jsonb) text
        json_object_keys(json) text
        jsonb_object_keys(jsonb) text
        regexp_matches(text, text) _text
        regexp_matches(text, text, text) _text
        regexp_split_to_table(text, text) text
        string_to_table(text, text) text
        pg_partition_ancestors(regclass) regclass
        json_each(json) record
        json_each_text(json) record
        jsonb_each(jsonb) record
        jsonb_each_text(jsonb) record
        pg_get_keywords() record
        """
}

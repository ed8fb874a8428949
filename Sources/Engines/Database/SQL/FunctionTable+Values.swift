extension FunctionTable {
    static let numbers = """
        abs(int2) int2 = pg_int_abs($1, 2)
        abs(int4) int4 = pg_int_abs($1, 4)
        abs(int8) int8 = pg_int_abs($1, 8)
        abs(numeric) numeric = pg_numeric_abs
        abs(float4) float4 = pg_float_abs
        abs(float8) float8 = pg_float_abs
        ceil(numeric) numeric = pg_numeric_ceil
        ceil(float8) float8 = pg_float_ceil
        ceiling(numeric) numeric = pg_numeric_ceil
        ceiling(float8) float8 = pg_float_ceil
        floor(numeric) numeric = pg_numeric_floor
        floor(float8) float8 = pg_float_floor
        round(float8) float8 = pg_float_round
        round(numeric) numeric = pg_numeric_round($1, 0)
        round(numeric, int4) numeric = pg_numeric_round
        trunc(float8) float8 = pg_float_trunc
        trunc(numeric) numeric = pg_numeric_trunc($1, 0)
        trunc(numeric, int4) numeric = pg_numeric_trunc
        sign(numeric) numeric = pg_numeric_sign
        sign(float8) float8 = pg_float_sign
        sqrt(numeric) numeric = pg_numeric_sqrt
        sqrt(float8) float8 = pg_float_sqrt
        power(float8, float8) float8 = pg_float_power($1, $2, 8)
        power(numeric, numeric) numeric = pg_numeric_power
        pow(float8, float8) float8 = pg_float_power($1, $2, 8)
        pow(numeric, numeric) numeric = pg_numeric_power
        mod(int2, int2) int2 = pg_int_modulo($1, $2, 2)
        mod(int4, int4) int4 = pg_int_modulo($1, $2, 4)
        mod(int8, int8) int8 = pg_int_modulo($1, $2, 8)
        mod(numeric, numeric) numeric = pg_numeric_modulo
        div(numeric, numeric) numeric = pg_numeric_div
        gcd(int4, int4) int4 = pg_gcd($1, $2, 4)
        gcd(int8, int8) int8 = pg_gcd($1, $2, 8)
        exp(float8) float8 = pg_exp
        ln(float8) float8 = pg_ln
        log(float8) float8 = pg_log10
        log10(float8) float8 = pg_log10
        cbrt(float8) float8
        sin(float8) float8
        cos(float8) float8
        tan(float8) float8
        asin(float8) float8
        acos(float8) float8
        atan(float8) float8
        atan2(float8, float8) float8
        degrees(float8) float8
        radians(float8) float8
        pi() float8 = 3.141592653589793
        scale(numeric) int4 = pg_numeric_scale
        trim_scale(numeric) numeric = pg_numeric_trim_scale
        width_bucket(float8, float8, float8, int4) int4
        !random() float8
        !setseed(float8) void
        to_hex(int4) text = pg_to_hex($1, 4)
        to_hex(int8) text = pg_to_hex($1, 8)
        hashtext(text) int4
        """

    static let texts = """
        length(text) int4 = length($1)
        length(bytea) int4 = length($1)
        char_length(text) int4 = length($1)
        character_length(text) int4 = length($1)
        octet_length(text) int4 = length(CAST($1 AS BLOB))
        octet_length(bpchar) int4 = length(CAST($1 AS BLOB))
        octet_length(bytea) int4 = length($1)
        bit_length(text) int4 = (8 * length(CAST($1 AS BLOB)))
        lower(text) text
        upper(text) text
        initcap(text) text
        substring(text, int4) text = pg_substring
        substring(text, int4, int4) text = pg_substring
        substring(text, text) text = pg_substring_match
        substring(bytea, int4) bytea = pg_substring
        substring(bytea, int4, int4) bytea = pg_substring
        substr(text, int4) text = pg_substring
        substr(text, int4, int4) text = pg_substring
        left(text, int4) text = pg_left
        right(text, int4) text = pg_right
        position(text, text) int4
        strpos(text, text) int4 = pg_position
        overlay(text, text, int4) text
        overlay(text, text, int4, int4) text
        btrim(text) text = trim($1, ' ')
        btrim(text, text) text = pg_btrim
        ltrim(text) text = ltrim($1, ' ')
        ltrim(text, text) text = pg_ltrim
        rtrim(text) text = rtrim($1, ' ')
        rtrim(text, text) text = pg_rtrim
        replace(text, text, text) text = pg_replace
        translate(text, text, text) text
        repeat(text, int4) text
        reverse(text) text
        lpad(text, int4) text
        lpad(text, int4, text) text
        rpad(text, int4) text
        rpad(text, int4, text) text
        split_part(text, text, int4) text
        starts_with(text, text) bool
        ascii(text) int4
        chr(int4) text
        concat(any...) text = pg_concat($t)
        concat_ws(text, any...) text = pg_concat_ws($t)
        format(text, any...) text = pg_format($t)
        md5(text) text
        md5(bytea) text
        sha224(bytea) bytea = pg_digest('sha224', $1)
        sha256(bytea) bytea = pg_digest('sha256', $1)
        sha384(bytea) bytea = pg_digest('sha384', $1)
        sha512(bytea) bytea = pg_digest('sha512', $1)
        encode(bytea, text) text
        decode(text, text) bytea
        convert_to(text, name) bytea
        convert_from(bytea, name) text
        quote_ident(text) text
        quote_literal(text) text
        quote_literal(anyelement) text
        quote_nullable(text) text
        regexp_replace(text, text, text) text
        regexp_replace(text, text, text, text) text
        regexp_match(text, text) _text
        regexp_match(text, text, text) _text
        regexp_count(text, text) int4
        regexp_like(text, text) bool = pg_matches
        regexp_substr(text, text) text = pg_regexp_substr
        regexp_split_to_array(text, text) _text
        like_escape(text, text) text
        similar_to_escape(text) text
        similar_to_escape(text, text) text
        to_number(text, text) numeric
        parse_ident(text) _text
        text(anyelement) text = pg_text_of($t)
        """

    static let times = """
        now() timestamptz
        transaction_timestamp() timestamptz = pg_now
        statement_timestamp() timestamptz
        !clock_timestamp() timestamptz
        !timeofday() text
        date_trunc(text, timestamp) timestamp = pg_date_trunc
        date_trunc(text, timestamptz) timestamptz = pg_date_trunc_tz
        date_trunc(text, interval) interval = pg_interval_trunc
        date_part(text, timestamp) float8 = pg_date_part
        date_part(text, timestamptz) float8 = pg_date_part_tz
        date_part(text, date) float8 = pg_date_part_date
        date_part(text, time) float8 = pg_date_part_time
        date_part(text, interval) float8 = pg_date_part_interval
        extract(text, timestamp) numeric = pg_extract
        extract(text, timestamptz) numeric = pg_extract_tz
        extract(text, date) numeric = pg_extract_date
        extract(text, time) numeric = pg_extract_time
        extract(text, interval) numeric = pg_extract_interval
        date_bin(interval, timestamp, timestamp) timestamp
        date_bin(interval, timestamptz, timestamptz) timestamptz
        age(timestamp, timestamp) interval
        age(timestamptz, timestamptz) interval
        age(timestamp) interval = pg_age(pg_local_midnight(), $1)
        age(timestamptz) interval = pg_age(pg_local_midnight(), pg_moment_to_local($1))
        make_date(int4, int4, int4) date
        make_time(int4, int4, float8) time
        make_timestamp(int4, int4, int4, int4, int4, float8) timestamp
        make_interval(int4, int4, int4, int4, int4, int4, float8) interval
        to_timestamp(float8) timestamptz = pg_to_timestamp
        to_char(timestamp, text) text = pg_to_char_timestamp($1, $2, 0)
        to_char(timestamptz, text) text = pg_to_char_timestamp(pg_moment_to_local($1), $2, 1)
        to_char(int4, text) text = pg_to_char_number(CAST($1 AS TEXT), $2)
        to_char(int8, text) text = pg_to_char_number(CAST($1 AS TEXT), $2)
        to_char(numeric, text) text = pg_to_char_number
        to_char(float8, text) text = pg_to_char_number(pg_float_to_numeric($1, 8), $2)
        to_date(text, text) date
        timezone(text, timestamp) timestamptz = pg_zone_to_moment
        timezone(text, timestamptz) timestamp = pg_zone_to_local
        isfinite(date) bool = pg_is_finite
        isfinite(timestamp) bool = pg_is_finite
        isfinite(timestamptz) bool = pg_is_finite
        justify_days(interval) interval = pg_interval_justify($1, 1)
        justify_hours(interval) interval = pg_interval_justify($1, 2)
        justify_interval(interval) interval = pg_interval_justify($1, 3)
        date(timestamp) date = pg_timestamp_to_date
        date(timestamptz) date = pg_timestamp_to_date(pg_moment_to_local($1))
        !pg_sleep(float8) void = pg_sleep
        !pg_sleep_for(interval) void = pg_sleep(pg_interval_seconds($1))
        """

    static let documents = """
        json_typeof(json) text = pg_json_typeof
        jsonb_typeof(jsonb) text = pg_json_typeof
        json_array_length(json) int4 = pg_json_array_length
        jsonb_array_length(jsonb) int4 = pg_json_array_length
        json_extract_path(json, text...) json = pg_json_extract(0, $*)
        json_extract_path_text(json, text...) text = pg_json_extract(2, $*)
        jsonb_extract_path(jsonb, text...) jsonb = pg_json_extract(1, $*)
        jsonb_extract_path_text(jsonb, text...) text = pg_json_extract(2, $*)
        to_json(anyelement) json = pg_to_json(0, $t)
        to_jsonb(anyelement) jsonb = pg_to_json(1, $t)
        row_to_json(anyelement) json = pg_to_json(0, $t)
        array_to_json(anyarray) json = pg_to_json(0, $t)
        json_build_object(any...) json = pg_json_build_object(0, $t)
        jsonb_build_object(any...) jsonb = pg_json_build_object(1, $t)
        json_build_array(any...) json = pg_json_build_array(0, $t)
        jsonb_build_array(any...) jsonb = pg_json_build_array(1, $t)
        jsonb_set(jsonb, _text, jsonb) jsonb
        jsonb_set(jsonb, _text, jsonb, bool) jsonb
        jsonb_insert(jsonb, _text, jsonb) jsonb
        jsonb_strip_nulls(jsonb) jsonb = pg_json_strip_nulls($1, 1)
        json_strip_nulls(json) json = pg_json_strip_nulls($1, 0)
        jsonb_pretty(jsonb) text
        jsonb_exists(jsonb, text) bool
        gen_random_uuid() uuid = pg_gen_random_uuid
        """

    static let arrays = """
        array_length(anyarray, int4) int4
        array_upper(anyarray, int4) int4
        array_upper(int2vector, int4) int4
        array_lower(anyarray, int4) int4
        array_ndims(anyarray) int4
        cardinality(anyarray) int4
        array_to_string(anyarray, text) text = pg_array_to_string($1, $2)
        array_to_string(anyarray, text, text) text = pg_array_to_string
        string_to_array(text, text) _text
        string_to_array(text, text, text) _text
        array_position(anyarray, anyelement) int4 = pg_array_position($t)
        array_position(int2vector, int2) int4 = pg_vector_position
        array_append(anyarray, anyelement) anyarray = pg_array_append($t)
        array_prepend(anyelement, anyarray) anyarray = pg_array_prepend($t)
        array_cat(anyarray, anyarray) anyarray = pg_array_cat($t)
        array_remove(anyarray, anyelement) anyarray = pg_array_remove($t)
        """
}

import KernelSQLite
import KernelWire

/// How values lie in SQLite, and what they are elsewhere.
///
/// | type | in SQLite |
/// |---|---|
/// | bool | 0 or 1 |
/// | integers, oid and its relatives | integer |
/// | floats | real; NaN, which SQLite takes for NULL, is the text `NaN` |
/// | numeric | its text, ordered by the collation `pg_numeric` |
/// | texts, json, uuid | their texts |
/// | arrays, jsonb | their texts, ordered by collations of their own (`CollatedOrders`) |
/// | bytea | blob |
/// | date | days since 2000-01-01 |
/// | time, timestamp, timestamptz | microseconds, since 2000-01-01 where there is a day |
/// | interval | `months:days:microseconds`, ordered by the collation `pg_interval` |
///
/// Columns have no affinity, so SQLite changes nothing of it, and its own comparisons are the right ones.
public enum DatumCoding {
    // MARK: From outside

    /// A parameter's value, or a field of COPY, as SQLite is to store it.
    ///
    /// - Throws: what the type's input function would: 22P02, 22003, 22007, 22008 …
    public static func decode(
        _ bytes: [UInt8], _ format: PostgresFormat, type: PostgresOID, context: SessionContext, catalogue: Catalogue
    ) throws(PostgresError) -> SQLiteValue {
        if format == .text { return try parse(try PostgresText.decode(bytes), type: type, context, catalogue) }
        switch type {
        case .time:
            let value = try bigEndian(bytes, Int64.self)
            guard (0...PostgresTimestamp.dayMicroseconds).contains(value) else {
                throw PostgresError(.datetimeFieldOverflow, "time out of range")
            }
            return .integer(value)
        case .interval:
            guard bytes.count == 16 else {
                throw PostgresError(.protocolViolation, "insufficient data left in message")
            }
            return .text(
                IntervalValue(
                    months: try bigEndian(Array(bytes[12...]), Int32.self),
                    days: try bigEndian(Array(bytes[8..<12]), Int32.self),
                    microseconds: try bigEndian(Array(bytes[..<8]), Int64.self)
                ).stored)
        case .jsonb:
            guard bytes.first == 1 else { throw PostgresError(.internalError, "unsupported jsonb version number") }
            return try parse(try PostgresText.decode(Array(bytes.dropFirst())), type: type, context, catalogue)
        default: return stored(try PostgresValue(binary: bytes, type: type))
        }
    }

    private static func bigEndian<T: FixedWidthInteger>(_ bytes: [UInt8], _: T.Type) throws(PostgresError) -> T {
        guard bytes.count == T.bitWidth / 8 else {
            throw PostgresError(.protocolViolation, "insufficient data left in message")
        }
        return bytes.reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
    }

    /// The value that a text stands for.
    static func parse(
        _ text: String, type: PostgresOID, _ context: SessionContext, _ catalogue: Catalogue
    ) throws(PostgresError) -> SQLiteValue {
        switch type {
        case .text, .varchar, .bpchar, .unknown: return .text(text)
        case .name: return .text(String(decoding: text.utf8.prefix(63), as: UTF8.self))
        case .char: return .text(String(text.prefix(1)))
        case .time: return .integer(try TimeOfDay.parse(text))
        case .interval: return .text(try IntervalValue(parsing: text).stored)
        case .timestamp, .timestamptz, .date:
            if let known = try DateTimeWords.parse(text, type: type, context) { return known }
            return stored(try PostgresValue(text: text, type: type))
        case .json: return .text(try JSONText.checked(text))
        case .jsonb: return .text(try JSONText.canonical(text))
        case .regclass, .regtype, .regproc, .regnamespace:
            return .integer(Int64(try ObjectNames.number(text, type: type, context, catalogue)))
        case .int2vector, .oidvector: return .text(text)
        default: return stored(try PostgresValue(text: text, type: type))
        }
    }

    static func stored(_ value: PostgresValue) -> SQLiteValue {
        switch value {
        case .bool(let value): .integer(value ? 1 : 0)
        case .int2(let value): .integer(Int64(value))
        case .int4(let value): .integer(Int64(value))
        case .int8(let value): .integer(value)
        case .oid(let value): .integer(Int64(value))
        case .float4(let value): real(Double(value))
        case .float8(let value): real(value)
        case .numeric(let value): .text(value.description)
        case .text(let value), .jsonb(let value): .text(value)
        case .bytea(let value): .blob(value)
        case .date(let value): .integer(Int64(value.days))
        case .timestamp(let value), .timestamptz(let value): .integer(value.microseconds)
        case .uuid(let value): .text(value.description)
        case .array: .text(value.text)
        }
    }

    static func real(_ value: Double) -> SQLiteValue { value.isNaN ? .text("NaN") : .real(value) }

    // MARK: To outside

    /// A column of the current row, as a value of a DataRow.
    public static func encode(
        _ statement: SQLiteStatement, column: Int, type: PostgresOID, format: PostgresFormat, context: SessionContext,
        catalogue: Catalogue, into writer: inout BackendMessageWriter
    ) {
        if statement.isNull(column) { return writer.null() }
        if format == .text {
            switch type {
            case .int2, .int4, .int8, .oid: return writer.value(decimal: Int(statement.integer(column)))
            case .text, .varchar, .bpchar, .name, .char, .numeric, .json, .jsonb, .uuid, .unknown:
                return statement.withBytes(column) { writer.value($0) }
            default: return writer.value(utf8: text(statement.value(column), type: type, context, catalogue))
            }
        }
        switch type {
        case .text, .varchar, .bpchar, .name, .char, .json, .unknown:
            statement.withBytes(column) { writer.value($0) }
        default: writer.value(binary(statement.value(column), type: type, context, catalogue))
        }
    }

    /// As the type's output function writes it.
    public static func text(
        _ value: SQLiteValue, type: PostgresOID, _ context: SessionContext, _ catalogue: Catalogue
    ) -> String {
        switch (type, value) {
        case (.bool, .integer(let number)): return number == 0 ? "f" : "t"
        case (.float4, .real(let number)): return PostgresFloat.text(Float(number))
        case (.date, .integer(let days)): return PostgresDate(days: Int32(truncatingIfNeeded: days)).description
        case (.time, .integer(let time)): return PostgresTimestamp.timeText(time)
        case (.timestamp, .integer(let time)): return PostgresTimestamp(microseconds: time).description
        case (.timestamptz, .integer(let time)):
            let zone = context.timeZone
            return PostgresTimestamp(microseconds: zone.local(time)).text(zone: TimeZoneOffset.text(zone.seconds))
        case (.interval, .text(let text)): return IntervalValue(stored: text)?.description ?? text
        case (.regclass, .integer(let number)), (.regtype, .integer(let number)), (.regproc, .integer(let number)),
            (.regnamespace, .integer(let number)):
            return ObjectNames.name(UInt32(truncatingIfNeeded: number), type: type, context, catalogue)
        case (.bytea, .blob(let bytes)): return PostgresValue.bytea(bytes).text
        case (_, .integer(let number)): return String(number)
        case (_, .real(let number)): return PostgresFloat.text(number)
        case (_, .text(let text)): return text
        case (_, .blob(let bytes)): return PostgresValue.bytea(bytes).text
        case (_, .null): return ""
        }
    }

    private static func binary(
        _ value: SQLiteValue, type: PostgresOID, _ context: SessionContext, _ catalogue: Catalogue
    ) -> [UInt8] {
        switch (type, value) {
        case (.time, .integer(let time)): return bytes(time)
        case (.interval, .text(let text)):
            guard let value = IntervalValue(stored: text) else { return [] }
            return bytes(value.microseconds) + bytes(value.days) + bytes(value.months)
        case (.regclass, .integer(let number)), (.regtype, .integer(let number)), (.regproc, .integer(let number)),
            (.regnamespace, .integer(let number)), (.xid, .integer(let number)):
            return bytes(UInt32(truncatingIfNeeded: number))
        default: return datum(value, type: type, context, catalogue)?.encoded(.binary) ?? []
        }
    }

    private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// The value as programs know it; nil for NULL.
    public static func datum(
        _ value: SQLiteValue, type: PostgresOID, _ context: SessionContext, _ catalogue: Catalogue
    ) -> PostgresValue? {
        switch (type, value) {
        case (_, .null): nil
        case (.bool, .integer(let number)): .bool(number != 0)
        case (.int2, .integer(let number)): .int2(Int16(truncatingIfNeeded: number))
        case (.int4, .integer(let number)): .int4(Int32(truncatingIfNeeded: number))
        case (.int8, .integer(let number)): .int8(number)
        case (.oid, .integer(let number)): .oid(UInt32(truncatingIfNeeded: number))
        case (.float4, .real(let number)): .float4(Float(number))
        case (.float8, .real(let number)): .float8(number)
        case (.float4, .integer(let number)): .float4(Float(number))
        case (.float8, .integer(let number)): .float8(Double(number))
        case (.bytea, .blob(let bytes)): .bytea(bytes)
        case (.date, .integer(let days)): .date(PostgresDate(days: Int32(truncatingIfNeeded: days)))
        case (.timestamp, .integer(let time)): .timestamp(PostgresTimestamp(microseconds: time))
        case (.timestamptz, .integer(let time)): .timestamptz(PostgresTimestamp(microseconds: time))
        case (.jsonb, .text(let text)): .jsonb(text)
        case (.float4, .text), (.float8, .text), (.numeric, .text), (.uuid, .text):
            (try? PostgresValue(text: text(value, type: type, context, catalogue), type: type)) ?? nil
        case (_, .text(let text)) where type.element != nil: (try? PostgresValue(text: text, type: type)) ?? nil
        default: .text(text(value, type: type, context, catalogue))
        }
    }
}

/// `03:04:05.6` as microseconds.
enum TimeOfDay {
    static func parse(_ text: String) throws(PostgresError) -> Int64 {
        let day = "2000-01-01 "
        do {
            let value = try PostgresTimestamp(parsing: day + PostgresText.trimmed(text), hasZone: false)
            return value.microseconds
        } catch {
            // What has a day before it is taken too, for its time.
            if let whole = try? PostgresTimestamp(parsing: text, hasZone: false) {
                let rest = whole.microseconds % PostgresTimestamp.dayMicroseconds
                return rest < 0 ? rest + PostgresTimestamp.dayMicroseconds : rest
            }
            var error = error
            error.message =
                error.sqlState == .invalidDatetimeFormat
                ? "invalid input syntax for type time: \"\(text)\"" : "date/time field value out of range: \"\(text)\""
            throw error
        }
    }
}

/// `now`, `today`, `tomorrow`, `yesterday`, and local times where a zone counts.
enum DateTimeWords {
    static func parse(
        _ text: String, type: PostgresOID, _ context: SessionContext
    ) throws(PostgresError) -> SQLiteValue? {
        let word = PostgresText.trimmed(text).lowercased()
        let zone = context.timeZone
        let local = zone.local(context.transactionTime.postgresMicroseconds)
        let day = local / PostgresTimestamp.dayMicroseconds - (local % PostgresTimestamp.dayMicroseconds < 0 ? 1 : 0)
        let offset: Int64
        switch word {
        case "now": return .integer(type == .date ? day : type == .timestamp ? local : zone.moment(local))
        case "today": offset = 0
        case "tomorrow": offset = 1
        case "yesterday": offset = -1
        default:
            guard type == .timestamptz, zone.seconds != 0, !hasZone(word) else { return nil }
            return .integer(zone.moment(try PostgresTimestamp(parsing: text, hasZone: false).microseconds))
        }
        if type == .date { return .integer(day + offset) }
        let start = (day + offset) * PostgresTimestamp.dayMicroseconds
        return .integer(type == .timestamp ? start : zone.moment(start))
    }

    static func isRelative(_ text: String) -> Bool {
        ["now", "today", "tomorrow", "yesterday"].contains(PostgresText.trimmed(text).lowercased())
    }

    /// Whether a zone is written behind the time: the day has hyphens too.
    private static func hasZone(_ word: String) -> Bool {
        if word.hasSuffix("infinity") || word == "epoch" || word.hasSuffix("z") || word.hasSuffix("utc")
            || word.hasSuffix("gmt")
        {
            return true
        }
        return word.dropFirst(10).contains { $0 == "+" || $0 == "-" }
    }
}

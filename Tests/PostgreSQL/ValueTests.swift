import KernelStructures
import KernelWire
import Testing

/// Values as text and as bytes. Expected texts are what PostgreSQL 15 prints.
@Suite struct PostgresValueTests {
    @Test(
        "texts come back as PostgreSQL writes them",
        arguments: [
            (PostgresOID.bool, " yes ", "t"), (.bool, "of", "f"), (.int2, "-32768", "-32768"), (.int4, " 42 ", "42"),
            (.int8, "9223372036854775807", "9223372036854775807"), (.oid, "-1", "4294967295"),
            (.float8, "1e15", "1e+15"), (.float8, "123456789012345", "123456789012345"), (.float8, "0.0001", "0.0001"),
            (.float8, "0.00001", "1e-05"), (.float8, "-0", "-0"), (.float8, "nan", "NaN"),
            (.float8, "-inf", "-Infinity"), (.float8, "0.1", "0.1"),
            (.float8, "1.7976931348623157e308", "1.7976931348623157e+308"),
            (.float4, "1000000", "1e+06"), (.float4, "0.1", "0.1"), (.float4, "123456", "123456"),
            (.numeric, "00012.3400", "12.3400"), (.numeric, "-0.00", "0.00"), (.numeric, "1e3", "1000"),
            (.numeric, "1.5e-3", "0.0015"), (.numeric, "123456789.000000001", "123456789.000000001"),
            (.numeric, "NaN", "NaN"), (.numeric, "-Infinity", "-Infinity"), (.numeric, ".5", "0.5"),
            (.bytea, "\\xDEAD", "\\xdead"), (.bytea, "a\\\\b\\001", "\\x615c6201"),
            (.date, "2026-01-02", "2026-01-02"), (.date, "0044-03-15 BC", "0044-03-15 BC"),
            (.date, "infinity", "infinity"), (.date, "epoch", "1970-01-01"),
            (.timestamp, "2026-01-02T03:04:05.670", "2026-01-02 03:04:05.67"),
            (.timestamp, "2026-01-02", "2026-01-02 00:00:00"),
            (.timestamptz, "2026-01-02 03:04:05+02", "2026-01-02 01:04:05+00"),
            (.timestamptz, "2026-01-02 03:04:05-03:30", "2026-01-02 06:34:05+00"),
            (.timestamptz, "1999-12-31 23:59:59.999999Z", "1999-12-31 23:59:59.999999+00"),
            (.uuid, "{A0EEBC99-9C0B4EF8-BB6D6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (.int4Array, "{1, NULL,3}", "{1,NULL,3}"),
            (.textArray, "{\"a,b\",\"NULL\",c d}", "{\"a,b\",\"NULL\",\"c d\"}"),
            (.textArray, "{}", "{}"), (.jsonb, "{\"a\": 1}", "{\"a\": 1}"), (.text, " x ", " x "),
        ])
    func texts(type: PostgresOID, input: String, output: String) throws {
        let value = try PostgresValue(text: input, type: type)
        #expect(value.text == output)
        // And through the binary form.
        #expect(try PostgresValue(binary: value.encoded(.binary), type: type).text == output)
    }

    @Test(
        "what is none is refused with PostgreSQL's code and words",
        arguments: [
            (PostgresOID.int4, "abc", "22P02", "invalid input syntax for type integer: \"abc\""),
            (.int4, "2147483648", "22003", "value \"2147483648\" is out of range for type integer"),
            (.int2, "1.5", "22P02", "invalid input syntax for type smallint: \"1.5\""),
            (.bool, "maybe", "22P02", "invalid input syntax for type boolean: \"maybe\""),
            (.float8, "1e400", "22003", "\"1e400\" is out of range for type double precision"),
            (.numeric, "1,5", "22P02", "invalid input syntax for type numeric: \"1,5\""),
            (.uuid, "x", "22P02", "invalid input syntax for type uuid: \"x\""),
            (.bytea, "\\xabc", "22023", "invalid hexadecimal data: odd number of digits"),
            (.date, "2026-02-29", "22008", "date/time field value out of range: \"2026-02-29\""),
            (.date, "soon", "22007", "invalid input syntax for type date: \"soon\""),
            (.timestamp, "2026-01-02 25:00", "22008", "date/time field value out of range: \"2026-01-02 25:00\""),
            (.int4Array, "{1", "22P02", "malformed array literal: \"{1\""),
        ])
    func refusals(type: PostgresOID, input: String, state: String, message: String) {
        #expect(throws: PostgresError(SQLState(rawValue: state), message)) {
            try PostgresValue(text: input, type: type)
        }
    }

    @Test("the binary layouts are PostgreSQL's")
    func layouts() throws {
        func bytes(_ text: String, _ type: PostgresOID) throws -> [UInt8] {
            try PostgresValue(text: text, type: type).encoded(.binary)
        }
        // What `psql` gets with `\bind` from `select 12.34::numeric` and so on, by the send functions.
        #expect(try bytes("12.34", .numeric) == [0, 2, 0, 0, 0, 0, 0, 2, 0, 12, 0x0d, 0x48])
        #expect(try bytes("-0.0001", .numeric) == [0, 1, 255, 255, 0x40, 0, 0, 4, 0, 1])
        #expect(try bytes("2000-01-02", .date) == [0, 0, 0, 1])
        #expect(try bytes("2000-01-01 00:00:01", .timestamp) == [0, 0, 0, 0, 0, 0x0f, 0x42, 0x40])
        #expect(try bytes("{\"a\":1}", .jsonb).first == 1)
    }

    @Test("random numbers go to text and back, and random bytes never become a value that cannot be written")
    func fuzz() throws {
        var random = SeededRandom(seed: 5)
        let types: [PostgresOID] = [
            .bool, .int2, .int4, .int8, .float4, .float8, .numeric, .text, .bytea, .date, .timestamp, .timestamptz,
            .jsonb, .uuid, .int4Array, .textArray, .numericArray,
        ]
        for _ in 0..<20_000 {
            let number = Double(bitPattern: random.next())
            if number.isFinite {
                let text = PostgresValue.float8(number).text
                #expect(try PostgresValue(text: text, type: .float8) == .float8(number))
            }
            let type = types[random.below(types.count)]
            let bytes = (0..<random.below(40)).map { _ in UInt8(random.below(random.chance(0.5) ? 4 : 256)) }
            guard let value = try? PostgresValue(binary: bytes, type: type) else { continue }
            let again = try PostgresValue(binary: value.encoded(.binary), type: type)
            #expect(again.encoded(.binary) == value.encoded(.binary))
            if type != .text, type != .jsonb, type.element == nil {
                #expect(try PostgresValue(text: value.text, type: type).text == value.text, "\(type) \(bytes)")
            }
        }
    }
}

extension PostgresValue {
    func encodeBinary(into bytes: inout [UInt8]) {
        switch self {
        case .bool(let value): bytes.append(value ? 1 : 0)
        case .int2(let value): bytes.append(bigEndian: value)
        case .int4(let value): bytes.append(bigEndian: value)
        case .int8(let value): bytes.append(bigEndian: value)
        case .oid(let value): bytes.append(bigEndian: value)
        case .float4(let value): bytes.append(bigEndian: value.bitPattern)
        case .float8(let value): bytes.append(bigEndian: value.bitPattern)
        case .numeric(let value): value.encode(into: &bytes)
        case .text(let value): bytes.append(contentsOf: value.utf8)
        case .bytea(let value): bytes.append(contentsOf: value)
        case .date(let value): bytes.append(bigEndian: value.days)
        case .timestamp(let value), .timestamptz(let value): bytes.append(bigEndian: value.microseconds)
        case .jsonb(let value):
            bytes.append(1)
            bytes.append(contentsOf: value.utf8)
        case .uuid(let value):
            bytes.append(bigEndian: value.high)
            bytes.append(bigEndian: value.low)
        case .array(let values, let element): Self.encodeArray(values, element, into: &bytes)
        }
    }

    /// - Throws: 22P03 for what is no value of the type, 08P01 for too few bytes.
    public init(binary bytes: [UInt8], type: PostgresOID) throws(PostgresError) {
        var result = Result<PostgresValue, PostgresError>.success(.bool(false))
        bytes.withUnsafeBytes { raw in
            do throws(PostgresError) {
                var cursor = PostgresCursor(raw)
                let value = try Self.read(&cursor, type)
                guard cursor.remaining == 0 else {
                    throw PostgresError(.invalidBinaryRepresentation, "incorrect binary data format")
                }
                result = .success(value)
            } catch {
                result = .failure(error)
            }
        }
        self = try result.get()
    }

    private static func read(_ cursor: inout PostgresCursor, _ type: PostgresOID) throws(PostgresError)
        -> PostgresValue
    {
        switch type {
        case .bool: return .bool(try cursor.byte() != 0)
        case .int2: return .int2(try cursor.integer())
        case .int4: return .int4(try cursor.integer())
        case .int8: return .int8(try cursor.integer())
        case .oid, .xid, .regclass, .regtype, .regproc: return .oid(try cursor.integer())
        case .float4: return .float4(Float(bitPattern: try cursor.integer()))
        case .float8: return .float8(Double(bitPattern: try cursor.integer()))
        case .numeric: return .numeric(try PostgresNumeric(&cursor))
        case .bytea: return .bytea(Array(try cursor.take(cursor.remaining)))
        case .date: return .date(try PostgresDate(checking: try cursor.integer()))
        case .timestamp: return .timestamp(try PostgresTimestamp(checking: try cursor.integer()))
        case .timestamptz: return .timestamptz(try PostgresTimestamp(checking: try cursor.integer()))
        case .jsonb:
            let version = try cursor.byte()
            guard version == 1 else {
                throw PostgresError(.internalError, "unsupported jsonb version number \(version)")
            }
            return .jsonb(try PostgresText.decode(try cursor.take(cursor.remaining)))
        case .uuid: return .uuid(PostgresUUID(high: try cursor.integer(), low: try cursor.integer()))
        default:
            if let element = type.element { return try readArray(&cursor, element) }
            return .text(try PostgresText.decode(try cursor.take(cursor.remaining)))
        }
    }

    // MARK: Arrays (array_send)

    private static func encodeArray(_ values: [PostgresValue?], _ element: PostgresOID, into bytes: inout [UInt8]) {
        bytes.append(bigEndian: Int32(values.isEmpty ? 0 : 1))
        bytes.append(bigEndian: Int32(values.contains { $0 == nil } ? 1 : 0))
        bytes.append(bigEndian: element.rawValue)
        if values.isEmpty { return }
        bytes.append(bigEndian: Int32(clamping: values.count))
        bytes.append(bigEndian: Int32(1))
        for value in values { bytes.append(value: value?.encoded(.binary)) }
    }

    private static func readArray(_ cursor: inout PostgresCursor, _ element: PostgresOID) throws(PostgresError)
        -> PostgresValue
    {
        let dimensions = try cursor.integer(Int32.self)
        _ = try cursor.integer(Int32.self)
        let sent = try cursor.oid()
        guard sent == element else {
            throw PostgresError(.datatypeMismatch, "wrong element type")
        }
        if dimensions == 0 { return .array([], element: element) }
        guard dimensions == 1 else {
            throw PostgresError(.featureNotSupported, "arrays of \(dimensions) dimensions are not supported")
        }
        let count = try cursor.integer(Int32.self)
        _ = try cursor.integer(Int32.self)
        // Each element takes four bytes at least: a great count reserves no memory.
        guard count >= 0, Int(count) <= cursor.remaining / 4 else {
            throw PostgresError(.protocolViolation, "insufficient data left in message")
        }
        var values: [PostgresValue?] = []
        for _ in 0..<count {
            guard let bytes = try cursor.value() else {
                values.append(nil)
                continue
            }
            values.append(try PostgresValue(binary: bytes, type: element))
        }
        return .array(values, element: element)
    }
}

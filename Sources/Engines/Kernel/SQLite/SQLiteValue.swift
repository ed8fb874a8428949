import CSQLite
import Glibc

/// A value of one of SQLite's five storage classes.
public enum SQLiteValue: Equatable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])
}

/// The arguments of a function's call, valid until it returns.
public struct SQLiteArguments {
    let values: UnsafeMutablePointer<OpaquePointer?>?
    public let count: Int

    /// - Parameter index: from 0; beyond the end there is `null`.
    public subscript(index: Int) -> SQLiteValue {
        guard let value = value(index) else { return .null }
        switch sqlite3_value_type(value) {
        case SQLITE_INTEGER: return .integer(sqlite3_value_int64(value))
        case SQLITE_FLOAT: return .real(sqlite3_value_double(value))
        case SQLITE_TEXT: return .text(text(value))
        case SQLITE_BLOB: return .blob(Array(bytes(value)))
        default: return .null
        }
    }

    public func isNull(_ index: Int) -> Bool { value(index).map { sqlite3_value_type($0) == SQLITE_NULL } ?? true }
    /// By SQLite's conversion, which takes 0 for what is no number.
    public func integer(_ index: Int) -> Int64 { value(index).map { sqlite3_value_int64($0) } ?? 0 }
    public func real(_ index: Int) -> Double { value(index).map { sqlite3_value_double($0) } ?? 0 }
    /// As text whatever it is; nil for `null`.
    public func text(_ index: Int) -> String? { isNull(index) ? nil : value(index).map { text($0) } }

    /// The bytes of a text or blob, without a copy.
    public func withBytes<Result>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        guard let value = value(index) else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return try body(bytes(value))
    }

    private func value(_ index: Int) -> OpaquePointer? {
        guard index >= 0, index < count, let values else { return nil }
        return values[index]
    }

    private func text(_ value: OpaquePointer) -> String {
        guard let start = sqlite3_value_text(value) else { return "" }
        let count = Int(sqlite3_value_bytes(value))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    private func bytes(_ value: OpaquePointer) -> UnsafeRawBufferPointer {
        // The pointer first: asking for it may convert, and the count is the converted value's.
        let start =
            sqlite3_value_type(value) == SQLITE_BLOB
            ? sqlite3_value_blob(value) : sqlite3_value_text(value).map { UnsafeRawPointer($0) }
        return UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : Int(sqlite3_value_bytes(value)))
    }
}

extension SQLiteValue {
    /// Hands it to SQLite as the result of a function.
    func give(to context: OpaquePointer?) {
        switch self {
        case .null: sqlite3_result_null(context)
        case .integer(let number): sqlite3_result_int64(context, number)
        case .real(let number): sqlite3_result_double(context, number)
        case .text(var text):
            text.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) {
                    sqlite3_result_text64(
                        context, $0.baseAddress ?? emptyText, UInt64($0.count), copied, UInt8(SQLITE_UTF8))
                }
            }
        case .blob(let bytes):
            bytes.withUnsafeBytes {
                if let start = $0.baseAddress {
                    sqlite3_result_blob64(context, start, UInt64($0.count), copied)
                } else {
                    sqlite3_result_zeroblob(context, 0)
                }
            }
        }
    }
}

/// Has SQLite copy what it is given: `SQLITE_TRANSIENT`, a cast in C.
nonisolated(unsafe) let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
/// What an empty buffer, which may have no address, points at: without an address it would be NULL.
nonisolated(unsafe) let emptyText = UnsafePointer(strdup(""))!

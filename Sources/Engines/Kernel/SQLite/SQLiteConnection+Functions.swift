import CSQLite

/// How an aggregate comes to its result: one object for each group of rows.
public protocol SQLiteAggregate: AnyObject {
    func step(_ arguments: SQLiteArguments) throws
    func finish() throws -> SQLiteValue
}

extension SQLiteConnection {
    /// Makes a function in Swift callable from SQL. What it throws ends the statement, as `SQLiteError.underlying`.
    ///
    /// - Parameters:
    ///   - argumentCount: -1 for any number.
    ///   - isDeterministic: whether the same arguments give the same result within a statement; only such functions can
    ///     stand in an index, and SQLite may call them once instead of for each row.
    public func addFunction(
        _ name: String, argumentCount: Int, isDeterministic: Bool = true,
        _ body: @escaping (SQLiteArguments) throws -> SQLiteValue
    ) throws(SQLiteError) {
        let function = Function(self, body)
        try check(
            sqlite3_create_function_v2(
                handle, name, CInt(clamping: argumentCount), Self.flags(isDeterministic),
                Unmanaged.passRetained(function).toOpaque(),
                { context, count, values in
                    let function = Unmanaged<Function>.fromOpaque(sqlite3_user_data(context)).takeUnretainedValue()
                    function.finish(context) { try function.body(SQLiteArguments(values: values, count: Int(count))) }
                }, nil, nil, { Unmanaged<Function>.fromOpaque($0!).release() }))
    }

    /// Makes an aggregate callable from SQL. `make` is called for each group.
    public func addAggregate(
        _ name: String, argumentCount: Int, _ make: @escaping () -> any SQLiteAggregate
    ) throws(SQLiteError) {
        let aggregate = Aggregate(self, make)
        try check(
            sqlite3_create_function_v2(
                handle, name, CInt(clamping: argumentCount), Self.flags(true),
                Unmanaged.passRetained(aggregate).toOpaque(), nil,
                { context, count, values in
                    let aggregate = Unmanaged<Aggregate>.fromOpaque(sqlite3_user_data(context)).takeUnretainedValue()
                    let arguments = SQLiteArguments(values: values, count: Int(count))
                    guard let group = aggregate.group(context, isEnd: false) else { return }
                    do { try group.step(arguments) } catch { aggregate.fail(context, error) }
                },
                { context in
                    let aggregate = Unmanaged<Aggregate>.fromOpaque(sqlite3_user_data(context)).takeUnretainedValue()
                    guard let group = aggregate.group(context, isEnd: true) else { return }
                    aggregate.finish(context) { try group.finish() }
                }, { Unmanaged<Aggregate>.fromOpaque($0!).release() }))
    }

    /// Names an order of texts. `compare` is negative if the first one (UTF-8) comes before the other.
    public func addCollation(
        _ name: String, _ compare: @escaping (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Int
    ) throws(SQLiteError) {
        let collation = Collation(compare)
        try check(
            sqlite3_create_collation_v2(
                handle, name, SQLITE_UTF8, Unmanaged.passRetained(collation).toOpaque(),
                { object, count1, text1, count2, text2 in
                    let compare = Unmanaged<Collation>.fromOpaque(object!).takeUnretainedValue().compare
                    return CInt(
                        clamping: compare(
                            UnsafeRawBufferPointer(start: text1, count: Int(count1)),
                            UnsafeRawBufferPointer(start: text2, count: Int(count2))))
                }, { Unmanaged<Collation>.fromOpaque($0!).release() }))
    }

    private static func flags(_ isDeterministic: Bool) -> CInt {
        SQLITE_UTF8 | SQLITE_INNOCUOUS | (isDeterministic ? SQLITE_DETERMINISTIC : 0)
    }

    private func check(_ code: CInt) throws(SQLiteError) {
        if code != SQLITE_OK { throw error(code) }
    }
}

private class Registered {
    unowned let connection: SQLiteConnection
    init(_ connection: SQLiteConnection) { self.connection = connection }

    func finish(_ context: OpaquePointer?, _ body: () throws -> SQLiteValue) {
        connection.functionCallCount &+= 1
        do { try body().give(to: context) } catch { fail(context, error) }
    }

    func fail(_ context: OpaquePointer?, _ error: any Error) {
        connection.thrown = error
        sqlite3_result_error(context, "\(error)", -1)
    }
}

private final class Function: Registered {
    let body: (SQLiteArguments) throws -> SQLiteValue
    init(_ connection: SQLiteConnection, _ body: @escaping (SQLiteArguments) throws -> SQLiteValue) {
        self.body = body
        super.init(connection)
    }
}

private final class Aggregate: Registered {
    let make: () -> any SQLiteAggregate
    init(_ connection: SQLiteConnection, _ make: @escaping () -> any SQLiteAggregate) {
        self.make = make
        super.init(connection)
    }

    private final class Group {
        let aggregate: any SQLiteAggregate
        init(_ aggregate: any SQLiteAggregate) { self.aggregate = aggregate }
    }

    /// The group that SQLite is at, which it keeps a pointer for; at the end it is let go of. A group without rows gets
    /// an object for its end only.
    func group(_ context: OpaquePointer?, isEnd: Bool) -> (any SQLiteAggregate)? {
        let byteCount = isEnd ? 0 : MemoryLayout<UnsafeMutableRawPointer?>.size
        guard let memory = sqlite3_aggregate_context(context, CInt(byteCount)) else {
            if isEnd { return make() }
            sqlite3_result_error_nomem(context)
            return nil
        }
        let place = memory.assumingMemoryBound(to: UnsafeMutableRawPointer?.self)
        if let existing = place.pointee {
            let group = Unmanaged<Group>.fromOpaque(existing)
            defer {
                if isEnd {
                    place.pointee = nil
                    group.release()
                }
            }
            return group.takeUnretainedValue().aggregate
        }
        let aggregate = make()
        if !isEnd { place.pointee = Unmanaged.passRetained(Group(aggregate)).toOpaque() }
        return aggregate
    }
}

private final class Collation {
    let compare: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Int
    init(_ compare: @escaping (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Int) { self.compare = compare }
}

import KernelCoroutines
import KernelSQLite
import KernelStructures
import KernelWire

/// Statements that take long, in slices between which everybody else has his turn.
///
/// ## The problem
///
/// `select count(*) from generate_series(1, 1000000000000)` is one step of SQLite, and takes a day. A coroutine
/// (`KernelCoroutines`) can be left in the midst of it, but to enter and to leave one takes ten microseconds, and
/// `pgbench -S` asks for a whole statement in thirty.
///
/// ## How
///
/// - *Reading*: on the loop, as far as a turn goes. Whoever has rows by then stops at one of them, and goes on in
///   slices later. Whoever has not is interrupted and begun again in slices: nothing was sent, nothing has changed,
///   and what functions like `pg_advisory_lock` did is not done twice (`WaitingCalls`). That wastes two milliseconds
///   of work, once.
/// - *Writing*: an interrupt would roll back the whole transaction (sqlite.org/c3ref/interrupt.html), so it has to be
///   known before. A statement whose program has no loop over rows of a table (`SQLiteConnection.hasLoop`) looks up
///   what it changes by a unique key, and stays on the loop; all others are in slices from the start.
/// - *Definitions* (CREATE TABLE AS, CREATE INDEX …), TRUNCATE, EXPLAIN ANALYZE, DECLARE and FETCH: in slices always.
///
/// Meanwhile the session waits as it does for its turn, so that messages wait, and a cancel request, a statement
/// timeout or the client's end is obeyed between two slices. Who writes has the pen meanwhile, as in an open
/// transaction.
///
/// ## Where it is wrong
///
/// Some instructions of SQLite are long themselves: sorting what fits into a connection's memory, emptying a table,
/// a function over a text of many megabytes. Nobody has his turn within one of them.
extension DatabaseSession {
    /// Runs a part of a statement in slices, all SQL on this connection included, up to its end or to the first time
    /// that others have their turn.
    ///
    /// - Parameter body: waits, if it has to, by returning; it is not called again.
    func inSlices(
        on connection: DatabaseConnection, _ body: @escaping () throws(PostgresError) -> Progress
    ) throws(PostgresError) -> Progress {
        if isInSlice { return try body() }
        do throws(CoroutineError) {
            slices = try Coroutine { slice in
                connection.run(in: slice)
                defer { connection.run(in: nil) }
                do throws(PostgresError) { return .success(try body()) } catch { return .failure(error) }
            }
        } catch {
            throw PostgresError(
                .insufficientResources, "\(error)", hint: "Try again when some of the long statements have ended.")
        }
        return try goOnInSlices()
    }

    /// The next slice.
    func goOnInSlices() throws(PostgresError) -> Progress {
        guard let slices else { return .done }
        isInSlice = true
        sliceCount &+= 1
        let result = slices.resume()
        isInSlice = false
        guard let result else {
            wait = sliceWait
            sliceWait = .turn
            return .waiting
        }
        self.slices = nil
        return try result.get()
    }

    /// Brings what runs in slices to its end at once, whatever it comes to.
    func stopSlices() {
        guard let slices, !isInSlice else { return }
        self.slices = nil
        isInSlice = true
        slices.stop()
        isInSlice = false
        sliceWait = .turn
    }

    /// Within a slice: others have their turn, or something is waited for that has to be there before there is more.
    func giveWay(for reason: Wait = .turn, on connection: DatabaseConnection) throws(PostgresError) {
        sliceWait = reason
        guard connection.giveWay() else { throw Self.stopped }
        sliceWait = .turn
    }

    /// For nobody's eyes: whoever stops a statement says why.
    static let stopped = PostgresError(.queryCanceled, "canceling statement due to user request")

    /// Lab time of the work since others last had their turn, where the clock is not the host's.
    public var turnCost: LabDuration { slices == nil ? .zero : Self.sliceCost }

    private static let sliceCost = LabDuration.milliseconds(1)
}

import KernelCoroutines
import KernelSQLite
import KernelWire

/// A connection to SQLite, with what PostgreSQL has beyond it: functions, the catalogue, and an eye on how long the
/// present statement takes.
final class DatabaseConnection {
    let sqlite: SQLiteConnection
    let catalogue: Catalogue
    private let watch = Watch()

    /// How a statement is watched. Work is counted in instructions of SQLite's machine, so that what happens is the
    /// same on every run; fifty million of them take about a second.
    private final class Watch {
        /// Where the statement gives way, if it runs in slices.
        var slice: Slice?
        /// Whether a statement that turns out to be long may be given up, and begun again in slices.
        var mayBeginAgain = false
        /// It was given up for that.
        var isGivenUp = false
        /// Work since others had their turn.
        var work = 0
        /// `functionCallCount` when that was last reckoned.
        var calls = 0

        /// - Returns: false if the statement is to be interrupted.
        func goesOn(calls now: Int) -> Bool {
            work += DatabaseConnection.interval + (now &- calls) * DatabaseConnection.callWork
            calls = now
            if slice != nil { return work < DatabaseConnection.sliceWork || offer() }
            guard work >= DatabaseConnection.loopWork else { return true }
            isGivenUp = mayBeginAgain
            return !isGivenUp
        }

        func offer() -> Bool {
            work = 0
            return slice?.offer() ?? true
        }
    }

    /// Instructions between two looks at the work done: a tenth of a millisecond.
    private static let interval = 5000
    /// A function in Swift is one instruction, and takes as long as about so many.
    private static let callWork = 20
    /// Work after which a statement in slices lets others have their turn: about a millisecond.
    static let sliceWork = 50_000
    /// Work after which a statement that runs on the loop is begun again in slices.
    private static let loopWork = 100_000

    init(_ database: Database) throws(PostgresError) {
        do throws(SQLiteError) {
            sqlite = try database.file.open()
            catalogue = Catalogue(sqlite, shared: database.shared)
            try DatabaseFunctions.register(on: sqlite, catalogue: catalogue)
        } catch {
            throw ErrorMapping.postgresError(for: error, catalogue: nil)
        }
        sqlite.watch(every: Self.interval) { [watch, unowned sqlite] in watch.goesOn(calls: sqlite.functionCallCount) }
    }

    /// A session's statement is about to run.
    func begin(_ context: SessionContext) {
        sqlite.context = context
        watch.mayBeginAgain = false
        watch.isGivenUp = false
    }

    func end() { sqlite.context = nil }

    // MARK: Giving way

    /// All statements from here on give way by `slice`; with nil they run on the loop.
    func run(in slice: Slice?) {
        watch.slice = slice
        watch.work = 0
        watch.calls = sqlite.functionCallCount
    }

    /// The next steps run on the loop, before others have their turn.
    func beginTurn(mayBeginAgain: Bool) {
        watch.mayBeginAgain = mayBeginAgain && watch.slice == nil
        watch.isGivenUp = false
        guard watch.slice == nil else { return }
        watch.work = 0
        watch.calls = sqlite.functionCallCount
    }

    /// Whether a statement on the loop was interrupted, to be begun again in slices.
    var isGivenUp: Bool { watch.isGivenUp }
    /// Whether it has had its turn, and should stop at the row where it is.
    var hasHadTurn: Bool { watch.slice == nil && watch.work >= Self.sliceWork }

    /// Gives others their turn, if this runs in slices.
    ///
    /// - Returns: whether to go on.
    func giveWay() -> Bool { watch.offer() }

    /// Whether nobody waits for the statement any more.
    var isStopped: Bool { watch.slice?.isStopped == true }

    // MARK: Statements

    /// A statement without parameters and rows.
    func run(_ sql: String) throws(PostgresError) {
        do throws(SQLiteError) {
            try sqlite.prepare(sql).run()
        } catch {
            throw ErrorMapping.postgresError(for: error, catalogue: catalogue)
        }
    }

    /// Whatever the transaction has come to: afterwards there is none.
    func rollBack() {
        if sqlite.isInTransaction { try? run("ROLLBACK") }
        catalogue.forget()
    }
}

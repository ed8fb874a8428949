import KernelStructures
import ShortenerEngine

/// Codes that nobody has had: numbers from a counter in the database, a block at a time, permuted.
///
/// A block that a killed process had taken is lost, which leaves gaps among the numbers and nothing that anybody sees.
final class CodeSource {
    private let database: any LinkDatabase
    private let firstLength: Int
    private var permutation: ShortCode?
    private var next: UInt64 = 0
    private var end: UInt64 = 0
    private var waiting: [(length: Int?, done: (Result<String, LinkDatabaseFailure>) -> Void)] = []
    private var isAsking = false

    static let blockSize = 64

    init(_ database: any LinkDatabase, firstLength: Int) {
        self.database = database
        self.firstLength = firstLength
    }

    /// - Parameter proposedKey: the secret of the order, if the database has none yet.
    func open(proposedKey: UInt64, _ done: @escaping (LinkDatabaseFailure?) -> Void) {
        database.run(LinkTables.secrets([("next", 0), ("key", proposedKey)])) { [self] result in
            switch result {
            case .failure(let failure): done(failure)
            case .success(let rows):
                let key = UInt64(bitPattern: Int64(rows.last?.first?.first?.integer ?? 0))
                permutation = ShortCode(key: key, firstLength: firstLength)
                done(nil)
            }
        }
    }

    /// A code that was never given before; it may still be somebody's alias.
    ///
    /// - Parameter length: characters; nil for as few as there are codes left of. With a length it may be somebody's
    ///   code, too.
    func take(length: Int?, _ done: @escaping (Result<String, LinkDatabaseFailure>) -> Void) {
        if let code = nextCode(length) { return done(.success(code)) }
        waiting.append((length, done))
        guard !isAsking else { return }
        isAsking = true
        database.run(
            "UPDATE url_counters SET value = value + \(Self.blockSize) WHERE name = $1 RETURNING value", [.text("next")]
        ) { [self] result in
            isAsking = false
            let callers = waiting
            waiting = []
            switch result {
            case .failure(let failure): for caller in callers { caller.done(.failure(failure)) }
            case .success(let rows):
                end = UInt64(max(0, rows.first?.first?.integer ?? 0))
                next = end - min(end, UInt64(Self.blockSize))
                for caller in callers { take(length: caller.length, caller.done) }
            }
        }
    }

    private func nextCode(_ length: Int?) -> String? {
        while next < end {
            next += 1
            let code = length.map { permutation?.code(next - 1, length: $0) } ?? permutation?.code(next - 1)
            guard let code else { continue }
            if !Alias.reserved.contains(code.lowercased()) { return code }
        }
        return nil
    }
}

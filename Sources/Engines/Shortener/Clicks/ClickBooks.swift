import KernelStructures

/// Which clicks are in the books, by their names, and what has become of those that are not.
///
/// Names of a life follow one another, its clicks are written down in that order, and they are entered in that order.
/// So a click that is missing while a later one of the same life is there was lost on the way: damage, or a broker
/// that lost a page. One behind the last of a life that ended without a word was in the file and not synced: the power
/// took it, and that was what the stated window is for. One behind the last of a life that is not closed may still
/// come.
public struct ClickBooks {
    /// What the books say of one life.
    public struct Book: Sendable {
        public let node: String
        public let beganAt: LabTime
        /// When the file was last synced before clicks of it were entered.
        public let syncedAt: LabTime
        public let endedAt: LabTime?
        /// By a kill, or by the power.
        public let endedWithoutWord: Bool
        /// Whether everything that this life has left on its disk is entered.
        public let isClosed: Bool
        fileprivate var runs: [(low: UInt64, high: UInt64)] = []

        public init(
            node: String, beganAt: LabTime, syncedAt: LabTime, endedAt: LabTime?, endedWithoutWord: Bool, isClosed: Bool
        ) {
            self.node = node
            self.beganAt = beganAt
            self.syncedAt = syncedAt
            self.endedAt = endedAt
            self.endedWithoutWord = endedWithoutWord
            self.isClosed = isClosed
        }
    }

    public enum Fate: Equatable, Sendable {
        case counted
        /// - isPromised: that it could be lost was said: the power failed within the stated window.
        case missing(isPromised: Bool)
        /// It is written down, and on its way into the database.
        case waiting
        /// No life that the books know has given it out.
        case unknown
    }

    private var books: [UInt64: Book] = [:]

    public init() {}

    public subscript(number: UInt64) -> Book? { books[number] }

    public mutating func add(_ book: Book, number: UInt64) { books[number] = book }

    /// Names that are entered, of a book that was added; runs come in the order of their beginnings.
    public mutating func add(run low: UInt64, _ high: UInt64, of number: UInt64) {
        books[number]?.runs.append((low, high))
    }

    public func fate(of name: ClickName) -> Fate {
        guard let book = books[name.book] else { return .unknown }
        // The last run that begins at the name or before it: they are few, but a damaged disk may make them many.
        var (low, high) = (0, book.runs.count)
        while low < high {
            let middle = (low + high) / 2
            if book.runs[middle].low <= name.serial { low = middle + 1 } else { high = middle }
        }
        if low > 0, name.serial <= book.runs[low - 1].high { return .counted }
        if low < book.runs.count { return .missing(isPromised: false) }
        guard book.isClosed else { return .waiting }
        return .missing(isPromised: book.endedWithoutWord)
    }
}
